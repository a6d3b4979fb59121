//! What receivers say in the body of an answer, beside its status.
//!
//! Sources: Splunk's HTTP event collector, "Troubleshoot HTTP Event Collector" (its codes, and
//! `invalid-event-number`, counted from 0); Loki 3, `pkg/validation/validate.go` and
//! `pkg/chunkenc` (why a line is not taken); Fluentd 1.16, `buffer.rb`.

use serde_json::Value;

use crate::Form;

/// What Loki says of a line that it never takes.
const LOKI_NEVER: [&str; 4] =
    ["timestamp too old", "timestamp too new", "too far behind", "max entry size"];

/// Whether a receiver of that form says that it took nothing, though the status says it did.
pub(crate) fn denies(form: Form, body: &[u8]) -> bool {
    form == Form::SplunkHec && member(body, "code").is_some_and(|code| code != 0)
}

/// The event of a refused request that the receiver names, of so many.
pub(crate) fn named(form: Form, body: &[u8], events: usize) -> Option<usize> {
    let index = match form {
        Form::SplunkHec => usize::try_from(member(body, "invalid-event-number")?).ok()?,
        // It names lines by their stream alone.
        Form::Loki | Form::Json | Form::Ndjson => return None,
    };
    (index < events).then_some(index)
}

/// Whether a refusal says what about an event keeps it from ever being taken.
pub(crate) fn is_never(form: Form, body: &[u8]) -> bool {
    form == Form::Loki && never(body).is_some()
}

/// What receivers of that form are known for, so that it may be told, whatever else they say.
pub(crate) fn known(form: Form, body: &[u8]) -> Option<String> {
    match form {
        Form::SplunkHec => {
            let code = member(body, "code").filter(|code| (0..1000).contains(code))?;
            Some(format!("code {code}"))
        }
        Form::Loki => never(body).map(|words| format!("{words}…")),
        Form::Json | Form::Ndjson => None,
    }
}

fn never(body: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    LOKI_NEVER.into_iter().find(|words| text.contains(words))
}

/// The record that Fluentd (1.16 and later) names when it is larger than a chunk of its buffer.
///
/// Such a record gets this answer for ever, while the others of its request are stored each
/// time. The text is `… record (nth: N) is larger than buffer chunk limit size …`.
pub(crate) fn oversized_record(body: &[u8], events: usize) -> Option<usize> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("(nth: ")?;
    let (index, rest) = rest.split_once(')')?;
    let index = rest.contains("larger than").then(|| index.parse().ok()).flatten();
    index.filter(|index| *index < events)
}

/// A number in the object that a body is.
fn member(body: &[u8], name: &str) -> Option<i64> {
    serde_json::from_slice::<Value>(body).ok()?.get(name)?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_says_in_the_body_whether_it_took_anything() {
        let denied = |body: &str| denies(Form::SplunkHec, body.as_bytes());
        assert!(denied(r#"{"text":"Server is busy","code":9}"#));
        for body in [r#"{"text":"Success","code":0}"#, r#"{"ackId":3}"#, "", "ok", "[9]"] {
            assert!(!denied(body), "{body}");
        }
        assert!(!denies(Form::Json, br#"{"code":9}"#));
    }

    #[test]
    fn a_collector_names_the_event() {
        let body = br#"{"text":"Invalid data format","code":6,"invalid-event-number":2}"#;
        assert_eq!(named(Form::SplunkHec, body, 3), Some(2));
        assert_eq!(named(Form::SplunkHec, body, 2), None, "there is no such event");
        assert_eq!(named(Form::SplunkHec, br#"{"code":6}"#, 3), None);
        assert_eq!(named(Form::Json, body, 3), None);
    }

    #[test]
    fn loki_says_what_it_never_takes() {
        for body in [
            "entry for stream '{job=\"teleport\"}' has timestamp too old: 2026-01-01T00:00:00Z, \
             oldest acceptable timestamp is: 2026-11-16T00:00:00Z",
            "entry for stream '{}' has timestamp too new: 2030-01-01T00:00:00Z",
            "entry too far behind, entry timestamp is: 2026-01-01T00:00:00Z",
            "Max entry size '262144' bytes exceeded for stream '{}' while adding an entry",
        ] {
            assert!(is_never(Form::Loki, body.as_bytes()), "{body}");
            assert!(!is_never(Form::Json, body.as_bytes()), "{body}");
        }
        // That is about whoever sends, not about the line.
        for body in ["error at least one label pair is required per stream", "parse error", ""] {
            assert!(!is_never(Form::Loki, body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn fluentd_names_a_record_too_large_for_a_chunk() {
        let text =
            b"500 Internal Server Error\na 9000 bytes record (nth: 1) is larger than buffer \
                     chunk limit size (8000)\n";
        assert_eq!(oversized_record(text, 3), Some(1));
        assert_eq!(oversized_record(text, 1), None);
        assert_eq!(oversized_record(b"buffer space has too many data", 3), None);
    }
}
