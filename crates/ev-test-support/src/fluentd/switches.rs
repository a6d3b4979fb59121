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
    /// As whose version it behaves, where versions differ.
    pub version: FluentdVersion,
    /// Whether the source has a `<parse>` section, as it must have for Teleport's events.
    pub parse: bool,
    /// Events of tags that contain this have no `<match>`: answered as stored, and dropped. Every
    /// tag has one when empty.
    pub unmatched: String,
    /// A record larger than so many bytes fails with 500 for ever; from 1.16 on the answer names
    /// it and the others of its request are stored. No limit when 0.
    pub record_limit: usize,
    /// Nothing is answered and no TLS handshake goes on, as with `overflow_action block`; what was
    /// waiting goes on when this ends.
    pub frozen: bool,
    /// Does not know `Content-Encoding` and answers 415 to it, as receivers other than Fluentd do.
    pub no_encodings: bool,
}

/// Versions of Fluentd whose behaviour differs. Each stands for those up to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FluentdVersion {
    /// 1.12.4: answers 400 to a `GET`.
    #[serde(rename = "1.12")]
    V1_12,
    /// 1.16.11: answers 400 to what it cannot parse.
    #[default]
    #[serde(rename = "1.16")]
    V1_16,
    /// 1.19.3, and all from 1.17 on: answers 200 to what it cannot parse, and drops it.
    #[serde(rename = "1.19")]
    V1_19,
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
            version: FluentdVersion::default(),
            parse: true,
            unmatched: String::new(),
            record_limit: 0,
            frozen: false,
            no_encodings: false,
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
