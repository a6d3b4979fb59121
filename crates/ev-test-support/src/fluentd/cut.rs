//! A request's body cut into events.

use std::ops::Range;

use serde_json::value::RawValue;

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is no JSON: Fluentd up to 1.16 answers 400.
    NotJson(String),
    /// It is neither an object nor an array: 400.
    NotAnObject,
    /// An element of the array is not an object: 500.
    ElementNotAnObject(usize),
}

/// The places of the events in `body`: the object, or the elements of the array, each exactly as
/// it came, without the white space around it.
///
/// # Errors
///
/// When the body is no JSON, or something in it is not an object.
pub fn cut(body: &[u8]) -> Result<Vec<Range<usize>>, BodyError> {
    let not_json = |error: serde_json::Error| BodyError::NotJson(error.to_string());
    let whole: &RawValue = serde_json::from_slice(body).map_err(not_json)?;
    match whole.get().as_bytes().first() {
        Some(b'{') => Ok(vec![place(body, whole)]),
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_slice(body).map_err(not_json)?;
            if let Some(at) = elements.iter().position(|element| !element.get().starts_with('{')) {
                return Err(BodyError::ElementNotAnObject(at));
            }
            Ok(elements.into_iter().map(|element| place(body, element)).collect())
        }
        _ => Err(BodyError::NotAnObject),
    }
}

/// The places of those elements of an array that are objects.
pub(super) fn cut_objects(body: &[u8]) -> Vec<Range<usize>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
    let objects = elements.into_iter().filter(|element| element.get().starts_with('{'));
    objects.map(|object| place(body, object)).collect()
}

/// Where `part`, which was borrowed from `body`, lies in it.
fn place(body: &[u8], part: &RawValue) -> Range<usize> {
    let start = part.get().as_ptr() as usize - body.as_ptr() as usize;
    start..start + part.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[&str]) {
        let parts = cut(body.as_bytes()).expect("a good body");
        let parts: Vec<&str> = parts.into_iter().map(|range| &body[range]).collect();
        assert_eq!(parts, expected);
    }

    #[test]
    fn cuts_exactly() {
        check(r#"{"a":1}"#, &[r#"{"a":1}"#]);
        check("[]", &[]);
        check(r#"[{"a":1},{"b":2}]"#, &[r#"{"a":1}"#, r#"{"b":2}"#]);
        check(" [\n{ \"a\" : 1 } ,\t{}\r\n] ", &[r#"{ "a" : 1 }"#, "{}"]);
    }

    #[test]
    fn brackets_and_quotes_in_strings_do_not_cut() {
        let nested = r#"{"a":[[],[{"b":"]},{"}]],"c":{"d":"\"]"}}"#;
        let escaped = r#"{"back\\":"\\","quote":"\"},{\"","\u005d":"\ud83d\ude00"}"#;
        check(&format!("[{nested},{escaped},{nested}]"), &[nested, escaped, nested]);
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
        check(&format!("[{deep},{deep}]"), &[&deep, &deep]);
    }

    #[test]
    fn numbers_and_spelling_stay_as_they_came() {
        let exact = r#"{"n":18446744073709551615,"m":1.50e+1,"s":"\u003c<","s":"\u003c"}"#;
        check(&format!("[{exact}]"), &[exact]);
    }

    #[test]
    fn refuses_what_is_no_event() {
        assert!(matches!(cut(b""), Err(BodyError::NotJson(_))));
        assert!(matches!(cut(b"{\"a\":1}{\"b\":2}"), Err(BodyError::NotJson(_))));
        assert!(matches!(cut(b"[{\"a\":1}"), Err(BodyError::NotJson(_))));
        assert!(matches!(cut(b"{\"a\":\"\xff\"}"), Err(BodyError::NotJson(_))));
        assert_eq!(cut(b"12"), Err(BodyError::NotAnObject));
        assert_eq!(cut(b"[{},1]"), Err(BodyError::ElementNotAnObject(1)));
    }
}
