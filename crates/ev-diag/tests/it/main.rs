//! The address as those who ask it see it.

mod metrics;
mod page;
mod rig;
mod server;
