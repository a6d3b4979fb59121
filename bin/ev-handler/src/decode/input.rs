//! One line of input: bare base64, or an object as `ev-handler parked export` writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ev_core::{Form, RawEvent};
use serde::Deserialize;

/// What is needed of an object; everything else in it is for people.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    oneof: Option<&'a str>,
    #[serde(borrow)]
    unstructured: Option<&'a str>,
}

/// The event of a line, or what is wrong with it.
pub(super) fn event(line: &[u8]) -> Result<RawEvent, String> {
    let line = line.trim_ascii();
    if line.first() != Some(&b'{') {
        return raw(Form::OneOf, line);
    }
    let object: Object<'_> =
        serde_json::from_slice(line).map_err(|error| format!("not an object: {error}"))?;
    match (object.oneof, object.unstructured) {
        (Some(text), None) => raw(Form::OneOf, text.as_bytes()),
        (None, Some(text)) => raw(Form::Unstructured, text.as_bytes()),
        (None, None) => Err("the object has no `oneof`".to_owned()),
        (Some(_), Some(_)) => Err("the object has both `oneof` and `unstructured`".to_owned()),
    }
}

fn raw(form: Form, text: &[u8]) -> Result<RawEvent, String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))?;
    Ok(RawEvent { form, bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_base64_or_an_object() {
        let check = |line: &str, expected: Result<(Form, &[u8]), &str>| {
            let found = event(line.as_bytes());
            let found = found.as_ref().map(|event| (event.form, &event.bytes[..]));
            assert_eq!(found.map_err(String::as_str), expected, "{line}");
        };
        check(" AQI=\r", Ok((Form::OneOf, &[1, 2])));
        check("", Ok((Form::OneOf, &[])));
        check(r#"{"id":1,"oneof":"AQI=","reason":"unknown"}"#, Ok((Form::OneOf, &[1, 2])));
        check(r#" {"unstructured":"AQ=="} "#, Ok((Form::Unstructured, &[1])));
        check(r#"{"id":1}"#, Err("the object has no `oneof`"));
        let both = r#"{"oneof":"AQ==","unstructured":"AQ=="}"#;
        check(both, Err("the object has both `oneof` and `unstructured`"));
        assert!(event(b"{").expect_err("cut off").starts_with("not an object: "));
        assert!(event(br#"{"oneof":"!"}"#).expect_err("no base64").starts_with("not base64: "));
        assert!(event(br#"{"oneof":7}"#).expect_err("no text").starts_with("not an object: "));
    }
}
