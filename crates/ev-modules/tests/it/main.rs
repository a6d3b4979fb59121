//! Tests of the crate from outside.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand, as tests do")]

#[cfg(feature = "cli")]
mod cli;
mod crowd;
mod directory;
mod downgrade;
mod failing;
mod known_native;
mod log;
mod refusals;
mod registry;
mod rig;
#[cfg(feature = "serve")]
mod serve;
mod support;
mod trust_file;
mod version_policy;
