//! Tests of the crate from outside.

mod allocations;
mod connecting;
mod data;
mod ending;
mod golden;
mod rig;
mod sending;
mod validation;
