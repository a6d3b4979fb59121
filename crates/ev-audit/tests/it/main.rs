//! Tests of the crate from outside.

mod allocations;
mod connecting;
mod data;
mod ending;
mod failover;
mod golden;
mod peer;
mod pki;
mod receiver;
mod rig;
mod sending;
mod spilling;
mod tls;
mod validation;
