//! What the receiver can be told to do wrong.

use serde::{Deserialize, Serialize};

/// How the receiver behaves. The default is a healthy Fluentd.
///
/// As the body of the admin call `POST /switches`, members that are absent stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switches {
    /// Wait so long before each answer, in milliseconds.
    pub latency_ms: u64,
    /// Status of the answer when everything was stored.
    pub ok_status: u16,
    /// Requests that are to fail; the first rule that fits is taken.
    pub fail: Vec<FailRule>,
    /// The next so many requests get no answer until [`Switches::release`] grows, and are not
    /// stored.
    pub hang: u64,
    /// Store what comes, but answer nothing any more once so many events are stored.
    pub hold_at: Option<u64>,
    /// Lets go all requests that hang, are held, or are not read: they are answered as if nothing
    /// had been.
    pub release: u64,
    /// The next so many connections are closed as soon as they are accepted.
    pub close_accepted: u64,
    /// The next so many requests are stored, then the connection is closed without an answer.
    pub close_after_store: u64,
    /// Request bodies are not read any more until [`Switches::release`] grows.
    pub stop_reading: bool,
    /// Every answer closes its connection.
    pub close_after_answer: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            ok_status: 200,
            fail: Vec::new(),
            hang: 0,
            hold_at: None,
            release: 0,
            close_accepted: 0,
            close_after_store: 0,
            stop_reading: false,
            close_after_answer: false,
        }
    }
}

/// Requests that are answered with an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailRule {
    /// Status of the answer.
    pub status: u16,
    /// So many requests; for ever when absent.
    #[serde(default)]
    pub count: Option<u64>,
    /// Only tags that contain this.
    #[serde(default)]
    pub tag: String,
    /// Only requests with an event whose bytes contain this.
    #[serde(default)]
    pub containing: String,
    /// The header `Retry-After`, when not empty.
    #[serde(default)]
    pub retry_after: String,
    /// Whether the events are stored although the answer is an error.
    #[serde(default)]
    pub store: bool,
}

impl Switches {
    /// The status and rule for a request, counting it down.
    pub(crate) fn failure(&mut self, tag: &str, events: &[bytes::Bytes]) -> Option<FailRule> {
        let rule = self.fail.iter_mut().find(|rule| {
            rule.count != Some(0)
                && tag.contains(&rule.tag)
                && (rule.containing.is_empty()
                    || events.iter().any(|event| contains(event, rule.containing.as_bytes())))
        })?;
        if let Some(count) = &mut rule.count {
            *count -= 1;
        }
        Some(rule.clone())
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
