//! Holds a guest's JSON against the event: one object, and the keys by which everybody downstream
//! tells events apart are those that the event's bytes say.
//!
//! Only top-level keys count: `event`, `uid`, `time`, `ei` of an object further in may be anything.
//! In every recorded version `event`, `time` and `ei` are always written and `uid` is left out when
//! empty; so a key that is missing means its zero value, here as in Go.

use std::borrow::Cow;

use ev_core::peek::Peeked;
use ev_core::{Flavour, Timestamp};

use crate::error::Lie;
use crate::json::{self, Bytes};

/// Checks that `text` is one JSON object in UTF-8 whose identity is that of `event`.
pub(crate) fn check(
    text: &[u8],
    event: &[u8],
    peeked: &Peeked,
    flavour: Flavour,
) -> Result<(), Lie> {
    if text.first() != Some(&b'{') {
        return Err(Lie::NotAnObject { at: 0 });
    }
    let mut found = Found::default();
    let scanned = json::members(text, |key, value| {
        // Whether it is one of ours is nearly always told by its length.
        if key.may_have(2..=5) {
            found.member(&key.text(), value);
        }
    });
    // Most texts are ASCII, which the scan has seen.
    if !matches!(scanned, Ok(Bytes::Ascii)) && simdutf8::basic::from_utf8(text).is_err() {
        return Err(Lie::NotUtf8);
    }
    scanned.map_err(|at| Lie::NotAnObject { at })?;
    if let Some(key) = found.repeated {
        return Err(Lie::Identity { key });
    }
    let zero_time = peeked.time == Timestamp::ZERO_YEAR_ONE;
    let truths = [
        (
            "event",
            found.event.map_or(peeked.kind.is_empty(), |v| is_text(v, peeked.kind.of(event))),
        ),
        ("uid", found.uid.map_or(peeked.uid.is_empty(), |v| is_text(v, peeked.uid.of(event)))),
        ("time", found.time.map_or(zero_time, |v| is_time(v, peeked.time))),
        ("ei", found.index.map_or(peeked.index == 0, |v| is_index(v, peeked.index, flavour))),
    ];
    match truths.iter().find(|(_, holds)| !holds) {
        None => Ok(()),
        Some((key, _)) => Err(Lie::Identity { key }),
    }
}

/// The identity keys' values as they stand in the JSON.
#[derive(Default)]
struct Found<'a> {
    event: Option<&'a [u8]>,
    uid: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    index: Option<&'a [u8]>,
    /// A key that stands twice: parsers differ in which one they take.
    repeated: Option<&'static str>,
}

impl<'a> Found<'a> {
    fn member(&mut self, key: &[u8], value: &'a [u8]) {
        let (slot, key) = match key {
            b"event" => (&mut self.event, "event"),
            b"uid" => (&mut self.uid, "uid"),
            b"time" => (&mut self.time, "time"),
            b"ei" => (&mut self.index, "ei"),
            _ => return,
        };
        if slot.replace(value).is_some() {
            self.repeated = Some(key);
        }
    }
}

/// Whether `value` is the JSON string of `bytes`, each byte that is not UTF-8 replaced.
fn is_text(value: &[u8], bytes: &[u8]) -> bool {
    let Some(raw) = unquote(value) else { return false };
    // Nearly always: plain text on both sides. What was accepted as JSON is UTF-8.
    if raw == bytes && !raw.contains(&b'\\') {
        return true;
    }
    json::unescape(raw) == *go_text(bytes)
}

fn is_time(value: &[u8], time: Timestamp) -> bool {
    // Other times have no text, so nothing is equal to them.
    let Some(text) = time.rfc3339() else { return false };
    unquote(value).is_some_and(|raw| raw == text.as_bytes())
}

fn is_index(value: &[u8], index: i64, flavour: Flavour) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    if text.parse() == Ok(index) {
        return true;
    }
    // The `struct` flavour has doubles only: beyond 2^53 the index is the nearest one.
    #[expect(clippy::cast_precision_loss, reason = "the loss is what is compared")]
    let nearest = index as f64;
    // Only what starts like a JSON number; Rust also parses `inf`.
    let number = matches!(value.first(), Some(b'-' | b'0'..=b'9'));
    flavour == Flavour::Struct && number && text.parse() == Ok(nearest)
}

fn unquote(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Text as Go sees it: one U+FFFD for each byte that is not part of valid UTF-8.
fn go_text(bytes: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(bytes).is_ok() {
        return Cow::Borrowed(bytes);
    }
    let mut text = Vec::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.extend(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            text.extend("\u{fffd}".as_bytes());
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use ev_core::Span;

    use super::*;

    const EVENT: &[u8] = b"..user.login..u\xffid\"..";

    fn peeked() -> Peeked {
        Peeked {
            case: 1,
            kind: Span::new(2, 12),
            uid: Span::new(14, 19),
            index: 9_007_199_254_740_993,
            time: Timestamp::new(5, 120_000_000),
        }
    }

    fn verdict(text: &str, flavour: Flavour) -> Result<(), Lie> {
        check(text.as_bytes(), EVENT, &peeked(), flavour)
    }

    const GOOD: &str = r#"{"ei":9007199254740993,"event":"user.login","uid":"u\ufffdid\"","time":"1970-01-01T00:00:05.12Z","x":{"event":"other","uid":1,"time":null,"ei":"a"}}"#;

    #[test]
    fn the_truth_is_accepted_however_it_is_escaped() {
        assert_eq!(verdict(GOOD, Flavour::Go), Ok(()));
        let raw = GOOD.replace(r"\ufffd", "\u{fffd}").replace("user.login", r"\u0075ser.login");
        assert_eq!(verdict(&raw, Flavour::Go), Ok(()));
        let escaped_key = GOOD.replace("\"uid\":\"u", r#""\u0075id":"u"#);
        assert_eq!(verdict(&escaped_key, Flavour::Go), Ok(()));
    }

    #[test]
    fn any_other_identity_is_a_lie() {
        let check = |from: &str, to: &str, key| {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            assert_eq!(verdict(&text, Flavour::Go), Err(Lie::Identity { key }), "{text}");
        };
        check("user.login", "user.logout", "event");
        check("\"user.login\"", "7", "event");
        check("\"event\":\"user.login\",", "", "event");
        check(r"u\ufffdid", r"u\ufffd\ufffdid", "uid");
        check(r"u\ufffdid", "other", "uid");
        check("\"uid\":\"u\\ufffdid\\\"\",", "", "uid");
        check("05.12Z", "05.120Z", "time");
        check("1970", "1971", "time");
        check("\"time\":\"1970-01-01T00:00:05.12Z\",", "", "time");
        check("740993", "740992", "ei");
        check("9007199254740993", "\"9007199254740993\"", "ei");
        check("\"ei\":9007199254740993,", "", "ei");
        check("{\"ei\"", "{\"ei\":9007199254740993,\"ei\"", "ei");
        check("{\"ei\"", r#"{"\u0065vent":"user.logout","ei""#, "event");
    }

    #[test]
    fn an_index_is_a_double_in_the_struct_flavour() {
        let text = GOOD.replace("740993", "740992");
        assert_eq!(verdict(&text, Flavour::Struct), Ok(()));
        let text = GOOD.replace("9007199254740993", "9007199254740990");
        assert_eq!(verdict(&text, Flavour::Struct), Err(Lie::Identity { key: "ei" }));
        assert!(is_index(b"9223372036854776000", i64::MAX, Flavour::Struct));
        assert!(is_index(b"-9223372036854776000", i64::MIN, Flavour::Struct));
        assert!(!is_index(b"9223372036854776000", i64::MAX, Flavour::Go));
        assert!(is_index(b"1e+21", 0, Flavour::Struct) == is_index(b"true", 0, Flavour::Struct));
    }

    #[test]
    fn missing_keys_mean_zero() {
        let empty = Peeked {
            case: 1,
            kind: Span::default(),
            uid: Span::default(),
            index: 0,
            time: Timestamp::ZERO_YEAR_ONE,
        };
        assert_eq!(check(b"{}", EVENT, &empty, Flavour::Go), Ok(()));
        let written = br#"{"event":"","uid":"","time":"0001-01-01T00:00:00Z","ei":0}"#;
        assert_eq!(check(written, EVENT, &empty, Flavour::Struct), Ok(()));
        assert_eq!(check(b"[]", EVENT, &empty, Flavour::Go), Err(Lie::NotAnObject { at: 0 }));
        assert_eq!(check(b"{}{}", EVENT, &empty, Flavour::Go), Err(Lie::NotAnObject { at: 2 }));
    }

    #[test]
    fn each_bad_byte_is_replaced_as_in_go() {
        // A cut three-byte sequence is two bad bytes, a surrogate three.
        assert_eq!(
            *go_text(b"\xe2\x82a\xed\xa0\x80\xff"),
            *"\u{fffd}\u{fffd}a\u{fffd}\u{fffd}\u{fffd}\u{fffd}".as_bytes()
        );
        assert_eq!(*go_text("a\u{fffd}é".as_bytes()), *"a\u{fffd}é".as_bytes());
    }
}
