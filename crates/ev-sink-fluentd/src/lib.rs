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
//! | Answer | Verdict |
//! | --- | --- |
//! | any 2xx after the whole request went out | `Delivered` |
//! | 400, 413, 415, 422 | `Guilty` |
//! | 500 that names a record as too large for a buffer chunk | `Guilty` with its index |
//! | 408, 425, 429, other 5xx | `Busy`, with `Retry-After` in either form |
//! | 3xx (not followed), 401, 403, 404, 405, 407, other 4xx | `Refused` |
//! | no connection, no TLS, our certificate refused | `Unreachable` |
//! | time-out or broken connection after the first byte went out | `Unknown` |

#![forbid(unsafe_code)]

mod answer;
mod body;
mod config;
mod connect;
mod connection;
mod error;
mod io;
mod sink;
mod target;

pub use config::{Config, Timeouts};
pub use error::Error;
pub use sink::FluentdSink;
