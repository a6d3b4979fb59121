//! What lets a receiver recognise that it has had something before.

use ev_core::{Batch, Env};

/// Longest id of an event that is put into a header, in bytes. Teleport's are UUIDs of 36.
const MAX_EVENT_ID: usize = 128;

/// Makes the ids of batches.
pub(crate) struct BatchIds {
    /// Numbers of batches begin anew with every process, and a receiver that drops repeats must
    /// not take a new batch for an old one.
    run: [u64; 2],
}

impl BatchIds {
    pub(crate) fn new(env: &dyn Env) -> Self {
        Self { run: [env.random(), env.random()] }
    }

    /// The same for all attempts of a batch, and for nothing else: the run of the process, the
    /// batch, and which of its events are sent, in hexadecimal digits.
    pub(crate) fn of(&self, batch: &Batch) -> String {
        let [high, low] = self.run;
        // A part of a batch is not the batch, even if whoever cut it kept the number.
        // FNV-1a: `http://www.isthe.com/chongo/tech/comp/fnv/`.
        let mut events = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |number: u32| {
            for byte in number.to_le_bytes() {
                events = (events ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for entry in &batch.entries {
            add(entry.json.start);
            add(entry.json.end);
        }
        format!("{high:016x}{low:016x}-{:x}-{events:016x}", batch.id.0)
    }
}

/// The member `uid` of a JSON object if it is a plain text that a header can hold.
///
/// The object was made by a decoder, so it is well formed; of any other, the worst that can come
/// out is another part of it, or nothing.
pub(crate) fn event_id(json: &[u8]) -> Option<&str> {
    let id = text_member(json, b"uid")?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    let good = !id.is_empty() && id.len() <= MAX_EVENT_ID && id.iter().all(plain);
    good.then_some(id).and_then(|id| std::str::from_utf8(id).ok())
}

/// The inside of the text that a JSON object has as its member `name`, escapes as they are. Of
/// what is no well-formed object, as for [`event_id`].
pub(crate) fn text_member<'a>(json: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = json.trim_ascii_start().strip_prefix(b"{")?;
    loop {
        let (key, behind) = string(rest)?;
        let value = behind.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if key == name {
            return string(value).map(|(inside, _)| inside);
        }
        rest = behind_value(value)?.trim_ascii_start().strip_prefix(b",")?;
    }
}

/// The inside of the string that `text` begins with, escapes as they are, and what follows it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start().strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// What follows the value that `text` begins with.
fn behind_value(mut text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    loop {
        match text.first()? {
            b'"' => text = string(text)?.1,
            b'{' | b'[' => {
                depth += 1;
                text = &text[1..];
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                text = &text[1..];
            }
            // Numbers and words, and within a value also commas, colons and white space.
            _ => text = &text[1..],
        }
        if depth == 0 && matches!(text.first()?, b',' | b'}') {
            return Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use ev_core::testing::sink::batch;
    use ev_core::{BoxFuture, Route, Timestamp};
    use std::time::Duration;

    use super::*;

    struct Dice(u64);

    impl Env for Dice {
        fn now(&self) -> Timestamp {
            Timestamp::new(0, 0)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn random(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_batch_has_one_id_and_every_part_another() {
        let ids = BatchIds::new(&Dice(0xab));
        let whole = batch(31, Route::Audit, &["{}", "{}", "{}", "{}"]);
        let id = ids.of(&whole);
        assert!(id.starts_with("00000000000000ab00000000000000ab-1f-"), "{id}");
        assert_eq!(id.len(), 32 + 1 + 2 + 1 + 16);
        assert_eq!(id, ids.of(&whole.clone()));
        let mut seen = vec![id, ids.of(&batch(32, Route::Audit, &["{}", "{}", "{}", "{}"]))];
        for kept in 1_u32..15 {
            let mut part = whole.clone();
            let mut bit = 0;
            part.entries.retain(|_| {
                bit += 1;
                kept >> (bit - 1) & 1 == 1
            });
            seen.push(ids.of(&part));
        }
        seen.push(BatchIds::new(&Dice(0xac)).of(&whole));
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn the_uid_is_found_at_the_top_and_nowhere_else() {
        let check = |json: &str, expected: Option<&str>| {
            assert_eq!(event_id(json.as_bytes()), expected, "{json}");
        };
        check(r#"{"uid":"a-1"}"#, Some("a-1"));
        check(r#" { "ei" : 3 , "uid" : "A_1.2:3" } "#, Some("A_1.2:3"));
        check(
            r#"{"a":{"uid":"no"},"b":["uid","no"],"c":"\",\"uid\":\"no","uid":"yes"}"#,
            Some("yes"),
        );
        check(r#"{"n":-1.5e3,"t":true,"z":null,"e":{},"f":[],"g":[[{}]],"uid":"u"}"#, Some("u"));
        check(r#"{"x":"uid","y":"z"}"#, None);
        check(r#"{"a":{"uid":"no"}}"#, None);
        // Nothing that could end a header, nor what needs unescaping.
        check(r#"{"uid":"a\r\nEvil: 1"}"#, None);
        check("{\"uid\":\"a\r\nEvil: 1\"}", None);
        check(r#"{"uid":"ü"}"#, None);
        check(r#"{"uid":""}"#, None);
        check(r#"{"uid":7}"#, None);
        check(&format!(r#"{{"uid":"{}"}}"#, "a".repeat(128)), Some(&"a".repeat(128)));
        check(&format!(r#"{{"uid":"{}"}}"#, "a".repeat(129)), None);
    }

    #[test]
    fn damaged_objects_are_no_trouble() {
        let whole = br#"{"a":[1,{"b":"\\\""}],"c":2,"uid":"u"}"#;
        for end in 0..whole.len() - 1 {
            // Cut anywhere before the end of the id there is none.
            let id = event_id(&whole[..end]);
            assert!(id.is_none() || end == whole.len() - 1, "{end}: {id:?}");
        }
        for at in 0..whole.len() {
            for byte in [b'"', b'\\', b'{', b'}', b'[', b']', b',', 0, 0xff] {
                let mut damaged = whole.to_vec();
                damaged[at] = byte;
                let _whatever = event_id(&damaged);
            }
        }
    }
}
