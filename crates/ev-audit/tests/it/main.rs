//! Tests of the crate from outside.

mod allocations;
mod buffering;
mod checklist;
mod connecting;
mod data;
mod direct;
mod ending;
mod failover;
mod faults;
mod fork;
mod golden;
mod hostile;
mod logging;
mod model;
mod peer;
mod pki;
mod receiver;
mod rig;
mod round_trip;
mod sending;
mod spilling;
mod strategies;
mod telling;
mod tls;
mod validation;
mod values;
