//! The address as those who ask it see it.

mod metrics;
mod rig;
mod server;
