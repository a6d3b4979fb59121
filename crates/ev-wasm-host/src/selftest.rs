//! Compares a decoder with one that is trusted, before the former is put to use.

use std::collections::HashSet;

use bytes::Bytes;
use ev_core::{Decoder, Facts, Form, Mode, Outcome, Output, RawEvent};

use crate::error::HostError;
use crate::json;

/// Levels of JSON that are compared; the events of the self-test have less than ten.
const MAX_DEPTH: usize = 64;

/// The built-in set: real encodings that every recorded version of the schema fully knows.
///
/// Stored as `u32` length (little-endian) and bytes, event after event.
pub fn self_test_events() -> Vec<RawEvent> {
    static EVENTS: &[u8] = include_bytes!("../selftest/events.bin");
    let mut events = Vec::new();
    let mut rest = EVENTS;
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let len = u32::from_le_bytes(*len) as usize;
        let Some((event, tail)) = tail.split_at_checked(len) else { break };
        events.push(RawEvent { form: Form::OneOf, bytes: Bytes::from_static(event) });
        rest = tail;
    }
    events
}

/// Decodes `events`, which both decoders must fully know, with both and compares.
///
/// The facts must be equal. At every depth each key that both JSON texts have must carry the same
/// value, and the common keys must stand in the same order; keys may be missing on either side,
/// since versions differ in what they always write. With `same_schema` the bytes must be equal.
///
/// # Errors
///
/// [`HostError::SelfTest`] with the first difference; [`HostError::SelfTestFailed`] when a decoder
/// fails altogether.
pub fn self_test(
    decoder: &dyn Decoder,
    reference: &dyn Decoder,
    events: &[RawEvent],
    same_schema: bool,
) -> Result<(), HostError> {
    let differs = |event, what: String| Err(HostError::SelfTest { event, what });
    if decoder.identity().flavour != reference.identity().flavour {
        return differs(0, "the decoders write different flavours".into());
    }
    if events.is_empty() {
        // Nothing shown is not the same as nothing wrong.
        return differs(0, "there is no event to test with".into());
    }
    let (found, expected) = (run(decoder, events)?, run(reference, events)?);
    for (index, pair) in found.outcomes().iter().zip(expected.outcomes()).enumerate() {
        let result = match pair {
            (
                Outcome::Decoded { json: ours, facts: our_facts },
                Outcome::Decoded { json: theirs, facts: their_facts },
            ) => {
                let (ours, theirs) = (ours.of(found.json()), theirs.of(expected.json()));
                compare(ours, theirs, our_facts, their_facts, same_schema)
            }
            (ours, theirs) => {
                Err(format!("the answers are {} and {}", name_of(ours), name_of(theirs)))
            }
        };
        if let Err(what) = result {
            return differs(index, what);
        }
    }
    Ok(())
}

fn run(decoder: &dyn Decoder, events: &[RawEvent]) -> Result<Output, HostError> {
    let mut out = Output::default();
    decoder
        .decode(events, Mode::Strict, &mut out)
        .map_err(|error| HostError::SelfTestFailed(error.into()))?;
    if out.outcomes().len() == events.len() {
        return Ok(out);
    }
    let what = "the number of answers is not that of the events".into();
    Err(HostError::SelfTest { event: out.outcomes().len(), what })
}

fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Decoded { .. } => "decoded",
        Outcome::Unknown { .. } => "unknown",
        Outcome::Malformed { .. } => "malformed",
        Outcome::Unprintable { .. } => "unprintable",
    }
}

fn compare(
    ours: &[u8],
    theirs: &[u8],
    our_facts: &Facts,
    their_facts: &Facts,
    same_schema: bool,
) -> Result<(), String> {
    if same_schema {
        if our_facts != their_facts {
            return Err("the facts differ".into());
        }
        return if ours == theirs { Ok(()) } else { Err("the JSON differs".into()) };
    }
    // The digest is of all the bytes, and those may differ by a key. Login facts are compared only
    // where both were asked for them.
    let shared = |facts: &Facts, other: &Facts| Facts {
        digest: None,
        login: facts.login.filter(|_| other.login.is_some()),
        ..*facts
    };
    if shared(our_facts, their_facts) != shared(their_facts, our_facts) {
        return Err("the facts differ".into());
    }
    common(ours, theirs, &mut String::new(), MAX_DEPTH)
}

/// Compares two values; `path` leads to them and holds key names only.
fn common(ours: &[u8], theirs: &[u8], path: &mut String, depth: usize) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let kind = ours.first();
    if kind != theirs.first() || !matches!(kind, Some(b'{' | b'[')) {
        return Err(format!("the values of `{path}` differ"));
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("`{path}` is nested too deeply to be compared"));
    };
    let (ours, theirs) = (members(ours, path)?, members(theirs, path)?);
    let (ours, theirs) = if kind == Some(&b'{') {
        (shared(&ours, &theirs), shared(&theirs, &ours))
    } else {
        (ours.iter().collect(), theirs.iter().collect())
    };
    if ours.len() != theirs.len() {
        return Err(format!("the members of `{path}` differ in number"));
    }
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        if ours.key != theirs.key {
            return Err(format!("the keys of `{path}` differ in order"));
        }
        let len = path.len();
        path.push('.');
        path.push_str(&String::from_utf8_lossy(&ours.key));
        common(ours.value, theirs.value, path, depth)?;
        path.truncate(len);
    }
    Ok(())
}

struct Member<'a> {
    key: Vec<u8>,
    value: &'a [u8],
}

fn members<'a>(text: &'a [u8], path: &str) -> Result<Vec<Member<'a>>, String> {
    let mut found = Vec::new();
    json::members(text, |key, value| found.push(Member { key: key.text().into_owned(), value }))
        .map_err(|at| format!("the value of `{path}` is not valid JSON (offset {at})"))?;
    Ok(found)
}

/// Those of `ours` whose key `theirs` has too.
fn shared<'m, 'a>(ours: &'m [Member<'a>], theirs: &[Member<'_>]) -> Vec<&'m Member<'a>> {
    let keys: HashSet<&[u8]> = theirs.iter().map(|member| member.key.as_slice()).collect();
    ours.iter().filter(|member| keys.contains(member.key.as_slice())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ours: &str, theirs: &str) -> Result<(), String> {
        common(ours.as_bytes(), theirs.as_bytes(), &mut String::new(), MAX_DEPTH)
    }

    #[test]
    fn keys_may_be_missing_on_either_side_at_every_depth() {
        assert_eq!(verdict(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#), Ok(()));
        assert_eq!(verdict(r#"{"a":1,"x":0,"b":2}"#, r#"{"a":1,"b":2,"y":0}"#), Ok(()));
        assert_eq!(verdict(r#"{"a":{"x":1}}"#, r#"{"a":{"y":2}}"#), Ok(()));
        assert_eq!(verdict(r#"{"a":[{"x":1},{}]}"#, r#"{"a":[{},{"y":2}]}"#), Ok(()));
        assert_eq!(verdict(r#"{"\u0061":1,"b":2}"#, r#"{"a":1,"b":2,"c":3}"#), Ok(()));
    }

    #[test]
    fn common_keys_carry_the_same_value_in_the_same_order() {
        let check = |ours, theirs| assert!(verdict(ours, theirs).is_err(), "{ours} {theirs}");
        check(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#);
        check(r#"{"a":1,"b":2}"#, r#"{"b":2,"x":0,"a":1}"#);
        check(r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":1,"c":3}}"#);
        check(r#"{"a":[1,2]}"#, r#"{"a":[1]}"#);
        check(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#);
        check(r#"{"a":null}"#, r#"{"a":{}}"#);
        check(r#"{"a":1,"a":2}"#, r#"{"a":1}"#);
        check(r#"{"a":1}"#, r#"{"a":1.0}"#);
    }

    #[test]
    fn a_difference_is_named_by_its_path() {
        let error = verdict(r#"{"a":{"b":[{"c":1}]}}"#, r#"{"a":{"b":[{"c":2}]}}"#);
        assert_eq!(error, Err("the values of `.a.b..c` differ".into()));
        let deep = |leaf| format!("{}{leaf}{}", "[".repeat(70), "]".repeat(70));
        assert!(verdict(&deep(1), &deep(2)).is_err_and(|text| text.contains("too deeply")));
    }
}
