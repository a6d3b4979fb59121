//! Chance that is the same in every run.

/// A small generator (xorshift64*): fast, seeded, and good enough to choose words.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        // Zero is the one state that it never leaves.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    /// A number less than `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % bound.max(1)
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or(0)
    }

    /// One of several texts.
    pub fn one_of(&mut self, several: &[&'static str]) -> &'static str {
        several[self.below(several.len())]
    }

    /// About `len` bytes of text like an SQL statement: words, numbers, and one character in
    /// about fifty that JSON escapes.
    pub fn statement(&mut self, len: usize) -> String {
        const TABLES: [&str; 6] = ["orders", "users", "items", "events", "kunden", "日本"];
        const COLUMNS: [&str; 8] =
            ["id", "name", "total", "created_at", "customer_id", "state", "région", "note"];
        const WORDS: [&str; 6] = ["paid", "open", "smith", "web-1", "2026-11-22", "a/b"];
        let mut text = String::with_capacity(len + 160);
        while text.len() < len {
            let (table, column) = (self.one_of(&TABLES), self.one_of(&COLUMNS));
            text.push_str("SELECT ");
            text.push_str(column);
            text.push_str(", count(*) FROM ");
            text.push_str(table);
            text.push_str(" WHERE ");
            text.push_str(self.one_of(&COLUMNS));
            text.push_str(self.one_of(&[" >= ", " = ", " <> ", " = "]));
            text.push_str(&self.below(1_000_000).to_string());
            text.push_str(" AND ");
            text.push_str(self.one_of(&COLUMNS));
            text.push_str(" = '");
            text.push_str(self.one_of(&WORDS));
            text.push_str("' GROUP BY ");
            text.push_str(column);
            text.push_str(self.one_of(&[";\n", "; "]));
        }
        text
    }

    /// An identifier of 8 to 19 bytes.
    pub fn word(&mut self) -> String {
        const STEMS: [&str; 8] = ["region", "team", "env", "role", "db", "node", "app", "tier"];
        format!("{}-{:08x}", self.one_of(&STEMS), self.below(1 << 31))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_text() {
        let text = |seed| Random::new(seed).statement(500);
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        assert!((500..700).contains(&text(7).len()));
    }

    #[test]
    fn a_statement_escapes_little() {
        let text = Random::new(1).statement(100_000);
        let escaped =
            text.bytes().filter(|b| matches!(b, b'<' | b'>' | b'&' | b'"' | b'\n')).count();
        let share = text.len() / escaped;
        assert!((40..90).contains(&share), "one in {share}");
    }
}
