//! Tests of the crate from outside.

mod files;
mod handshake;
mod pki;
