//! What is said about a receiver.

pub(super) const PLAIN: &str = "no TLS: whoever is on the way reads and changes events, and the \
                                receiver does not know who sends them";
pub(super) const NO_IDENTITY: &str =
    "no client certificate is set, so the receiver takes events from anybody";
pub(super) const NO_GET: &str =
    "receivers other than Fluentd often refuse a GET; it says nothing about events";
pub(super) const NAMED: &str = "not Fluentd, or a proxy before it, so its version cannot be told";
pub(super) const SINGLE: &str = "not asked: `batch-mode` is `single`, and some receivers other \
                                 than Fluentd store an empty array as a record";
pub(super) const FORMED: &str = "not asked: `body` is not `json`, so there is no array to be taken, \
                                 and every body that is would leave something behind";
pub(super) const ARRAY_TAKEN: &str = "an empty array is taken; Fluentd stores each object of an \
                                      array as a record, on every version";
pub(super) const ARRAY_REFUSED: &str =
    "an empty array is not taken: set `batch-mode = \"single\"`, or correct the address";
pub(super) const PARSE: &str = "the source has a `<parse>` section";
pub(super) const NO_PARSE: &str = "the source has no `<parse>` section: Fluentd then answers 400 to every event of Teleport, \
     because their `time` is text; add `<parse>` with `@type json`, `time_type string` and a \
     `time_format`";
pub(super) const GZIP_TAKEN: &str = "a compressed body is not refused";
pub(super) const GZIP_REFUSED: &str = "a compressed body is refused: turn gzip off";
pub(super) const BUSY: &str = "it is busy now, so this cannot be told";
pub(super) const LIES: &str = "a body that cannot be stored was answered with success, so success \
                               is no proof that something was stored";
pub(super) const HONEST: &str = "a body that cannot be stored is refused";
pub(super) const MARK: &str = "probe of ev-handler: carries no data and can be ignored";
pub(super) const EVENT_BUSY: &str = "it cannot take the marked event now";
pub(super) const EVENT_REFUSED: &str = "the marked event was not taken, so others will not be";
pub(super) const UNKNOWN: &str = "its answers show no version of Fluentd";
pub(super) const V112: &str = "answers as Fluentd 1.12: what it cannot parse gets 400; but it does \
                               not name the record that is too large for its buffer";
pub(super) const V113_TO_116: &str =
    "answers as Fluentd 1.13 to 1.16: what it cannot parse gets 400";
pub(super) const FROM_117: &str = "answers as Fluentd 1.17 or later, or one without `<parse>`: what it cannot parse gets 200 and is dropped, so its \
     success alone is no proof that something was stored";

/// What the answers of Fluentd do not show. All of it has been observed on real versions.
pub(super) const CANNOT_BE_TOLD: [&str; 6] = [
    "whether a `<match>` takes the tags: without one events are answered 200 and dropped, with a \
     warning in Fluentd's own log",
    "whether the buffer drops its oldest events when it is full (`overflow_action \
     drop_oldest_chunk`): that is answered 200 too",
    "whether the buffer is in memory: then what it holds is lost when Fluentd is killed; and that a \
     `<buffer>` inside `<source>` does nothing, it belongs into `<match>`",
    "whether the output gives up: after `retry_timeout`, 72 h unless set, it drops what it accepted",
    "whether times are read as meant: a `time_format` without zone shifts every event on a host \
     that is not in UTC and drops fractions of seconds; `%iso8601` does neither",
    "whether records keep their `time`: it is taken out unless `keep_time_key true`",
];

/// The odd content type got an answer that tells nothing.
pub(super) fn odd_status(status: u16) -> String {
    format!("to an unknown content type it answered {status}, which tells nothing")
}

/// The marked event got success.
pub(super) fn event_taken(answer: &str, uid: &str) -> String {
    format!(
        "{answer}; whether it was stored shows only at the receiver's output: look there for the \
         uid `{uid}`"
    )
}
