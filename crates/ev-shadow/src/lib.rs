//! Compares what two handlers make of one audit log: the events of ours, and those that the other
//! one posts.
//!
//! ```text
//!  engine ──▶ ShadowSink ──ours──▶ Comparison ◀──theirs── Receiver ◀──HTTPS── the other handler
//!             (takes all,          one Matcher:               │
//!              sends nothing)      pairs, findings            ▼ with `Forward`: the very request
//!                                                          Fluentd
//! ```
//!
//! [`Matcher`] is pure: what came when goes in, verdicts come out. Events are told apart by route
//! and `uid`; their bodies are compared as JSON values, and what is merely spelt otherwise (blanks,
//! order of keys, spelling of numbers, escapes) is counted apart and is no finding. [`Receiver`]
//! takes what the other handler posts, answers by itself or passes the request on to Fluentd and
//! gives its answer back. Everything is bounded: bodies, connections, time, and what is remembered.
//!
//! Left to others: reading the log and decoding it (the engine that the sink is given to), settings,
//! and how findings are shown. This crate sends nothing of its own to anybody.

#![forbid(unsafe_code)]

mod comparison;
mod error;
mod event;
mod finding;
mod forward;
mod json;
mod matcher;
mod receiver;
mod sink;
mod tally;

pub use comparison::{Comparison, News};
pub use error::Error;
pub use event::{Event, Unreadable};
pub use finding::{Finding, FindingKind};
pub use forward::{Forward, ForwardTimeouts};
pub use json::{Difference, DifferenceKind};
pub use matcher::{Bounds, Matcher, Moment, Rules, Side};
pub use receiver::{
    Limits, Paths, Receiver, ReceiverConfig, ReceiverCounts, ReceiverStats, ServerFiles, server_tls,
};
pub use sink::ShadowSink;
pub use tally::{Sides, Spellings, Tally};
