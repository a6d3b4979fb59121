//! The program as it runs, and the service beside others in one server.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand, as tests do")]

mod client;
mod program;
mod with_auth;
