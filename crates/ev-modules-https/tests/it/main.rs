//! Tests of the crate from outside, against servers on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand, as tests do")]

mod layout;
mod raw;
mod server;
mod tls;
mod versions;
