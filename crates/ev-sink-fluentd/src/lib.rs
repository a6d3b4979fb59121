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
//! A connection is driven by the call that uses it and by nobody else, so dropping that call
//! closes the connection and leaves nothing behind.
//!
//! What each answer means stands in one table, printed by [`answer_table`].

#![forbid(unsafe_code)]

mod answer;
mod body;
mod config;
mod connect;
mod connection;
mod error;
mod io;
mod sink;
mod table;
mod target;

pub use config::{Config, Timeouts};
pub use error::Error;
pub use sink::FluentdSink;
pub use table::answer_table;
