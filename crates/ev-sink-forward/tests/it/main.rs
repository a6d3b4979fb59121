//! Tests of the sink against receivers on loopback.

mod acks;
mod contract;
mod handshake;
mod peer;
mod rig;
mod wire;
