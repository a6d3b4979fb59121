//! One attempt of delivery to Fluentd's `in_http` over HTTPS, and what its answer means; the only
//! crate that knows a tag.
//!
//! Retrying, splitting, parking and the order of batches are the engine's (`ev-pipeline`);
//! certificates are read by `ev-tls`.
//!
//! ```text
//! FluentdSink ── Batch ─▶ pool ─▶ idle connection ──────────────┐
//!                           └───▶ connect: TCP ─▶ TLS ─▶ new ───┤ one exchange at a time,
//!     Verdict ◀── answer ◀── status, first bytes of the body ◀──┘ driven in place: no tasks
//! ```
//!
//! [`FluentdSink::examine`] finds out before anything is sent whether a receiver will store it, as
//! far as that can be told from outside; [`CertificateWatch`] takes certificates from changed
//! files; [`FluentdSink::stats`] counts.
//!
//! A connection is driven by the call that uses it and by nobody else, so dropping that call
//! closes the connection and leaves nothing behind; a large body that is being compressed at that
//! moment is compressed to its end, for nothing.
//!
//! What a receiver needs to drop repeats goes with each request: `Ev-Batch-Id`, which is the same
//! for all attempts of a batch and for nothing else, and each event's id: the member `uid` of its
//! object, in single mode also as `Ev-Event-Id` (an array of 500 would need a header larger than
//! many receivers take). Bodies are what the engine made, byte for byte, with or without gzip.
//!
//! Other receivers are fed through the same road: [`Form`] says what a body looks like (an array, a
//! line for each event, what Splunk's collector or Loki takes), [`Config::headers`] and
//! [`TokenFile`] what is shown to them.
//!
//! What each answer means stands in one table, printed by [`answer_table`].

#![forbid(unsafe_code)]

mod answer;
mod attempt;
mod body;
mod config;
mod connect;
mod connection;
mod dress;
mod error;
mod examine;
mod form;
mod gzip;
mod heard;
mod ids;
mod io;
mod reasons;
mod request;
mod sink;
mod stats;
mod table;
mod target;
mod token;
mod watch;

pub use config::{Config, Timeouts};
pub use error::Error;
pub use ev_dial::{Gzip, RoundTrips};
pub use examine::{Examination, Family, Finding, TlsFacts, Topic, Trouble, Weight};
pub use form::Form;
pub use sink::FluentdSink;
pub use stats::{Responses, Stats};
pub use table::answer_table;
pub use token::TokenFile;
pub use watch::CertificateWatch;
