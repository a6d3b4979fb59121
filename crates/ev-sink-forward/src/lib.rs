//! One attempt of delivery by Fluentd's Forward protocol v1, and what the answer means.
//!
//! Retrying, splitting, parking and the order of batches are the engine's (`ev-pipeline`);
//! certificates are read by `ev-tls`.
//!
//! ```text
//! ForwardSink ── Batch ─▶ chunk: JSON ─▶ msgpack ─▶ gzip ─┐
//!                                                         ▼
//!     Verdict ◀── ack of this very chunk ◀── pool ─▶ one connection, one chunk on it
//!                                             └────▶ TCP ─▶ TLS ─▶ HELO, PING, PONG
//! ```
//!
//! A batch becomes one chunk: a message in the form `PackedForward`, or `CompressedPackedForward`,
//! with a chunk id, which the receiver sends back once it has stored the chunk. Of all ways to a
//! Fluentd this is the only one whose answer means *stored*; over HTTP it means *taken*. The facts
//! are from `https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1` and from
//! what released receivers do.
//!
//! - **No answer is the only error there is.** A receiver that cannot store a chunk closes the
//!   connection, or says nothing. So after a chunk without its own acknowledgement nothing more is
//!   sent on that connection: it is closed, and the outcome is unknown.
//! - The same silence comes for an event that the receiver will never take. A chunk that stays
//!   without its acknowledgement more than once is therefore reported as one that may be at fault
//!   itself, so that the engine can find the event.
//! - **Values stay what they are.** Members keep their order, repeated ones included. A number
//!   without fraction becomes an integer if it has 64 bits; else a double if that prints as the same
//!   digits, as those do that were doubles; else a text of its digits. Every other number becomes a
//!   double, or a text if it is beyond all doubles.
//! - **The time of a record** is the event's own `time`, with its nanoseconds; the time of sending
//!   where it has none between 1970 and 2106, which is what the format can hold.

#![forbid(unsafe_code)]

mod attempt;
mod chunk;
mod config;
mod connect;
mod connection;
mod doubts;
mod error;
mod handshake;
mod msgpack;
mod number;
mod record;
mod sink;
mod stats;
mod target;
mod watch;

pub use config::{Config, Login, Secret, Timeouts};
pub use error::Error;
pub use ev_dial::{Gzip, RoundTrips};
pub use sink::ForwardSink;
pub use stats::Stats;
pub use watch::CertificateWatch;
