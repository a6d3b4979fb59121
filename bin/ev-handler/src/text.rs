//! How things are written for people.

use ev_core::Timestamp;

/// Longest id that is printed, in characters; Teleport's are UUIDs of 36.
const ID_LEN: usize = 128;

/// Text from elsewhere without what a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    // Bidirectional marks reorder what is read, and a line feed forges a line.
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let escape = |c: char| match c {
        c if is_harmful(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// The same in at most so many bytes of UTF-8, with `…` at the end if that cuts it.
pub(crate) fn short(text: &str, most_bytes: usize) -> String {
    const CUT: &str = "…";
    let text = harmless(text);
    if text.len() <= most_bytes {
        return text;
    }
    let end = text.floor_char_boundary(most_bytes.saturating_sub(CUT.len()));
    format!("{}{CUT}", &text[..end])
}

/// An id, which comes from whoever could write an event.
pub(crate) fn shown_id(id: &str) -> String {
    harmless(&id.chars().take(ID_LEN).collect::<String>())
}

/// A second since 1970-01-01T00:00:00Z.
pub(crate) fn time(second: i64) -> String {
    Timestamp::new(second, 0).to_string()
}

/// Whether the answer to a question that is to be answered with yes is one; all else is a no.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        assert_eq!(harmless("field 7 is not in the schema: ä"), "field 7 is not in the schema: ä");
        assert_eq!(harmless("a\x1b[2Jb\nc\u{9b}"), "a\\u{1b}[2Jb\\u{a}c\\u{9b}");
        assert_eq!(harmless("\u{202e}txt"), "\\u{202e}txt");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(short("a\nb", 8), "a\\u{a}b");
        assert_eq!(short(&"ä".repeat(10), 20), "ä".repeat(10));
        assert_eq!(short(&"ä".repeat(11), 20), format!("{}…", "ä".repeat(8)));
    }

    #[test]
    fn ids_are_cut() {
        assert_eq!(shown_id("a\nb"), "a\\u{a}b");
        assert_eq!(shown_id(&"ä".repeat(500)), "ä".repeat(ID_LEN));
    }

    #[test]
    fn all_but_a_yes_is_a_no() {
        assert!(["y\n", " yes ", "Y", "Yes"].into_iter().all(is_yes));
        assert!(!["", "n", "yess", "no\n"].into_iter().any(is_yes));
    }
}
