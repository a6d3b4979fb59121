//! The address as those who ask it see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod metrics;
mod page;
mod rig;
mod server;
