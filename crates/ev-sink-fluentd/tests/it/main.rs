//! Tests of the sink against receivers on loopback.

mod contract;
mod env;
mod faults;
mod raw;
mod tls;
mod wire;
