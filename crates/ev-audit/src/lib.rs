//! A client for security audit records: a service hands over a record and goes on; the record
//! reaches the local Geneva agent in its msgpack format, or is accounted for.

#![forbid(unsafe_code)]

#[allow(dead_code, unused_imports, reason = "the sender that uses it comes next")]
mod spill;

pub use spill::{SpillError, SpillSettings};
