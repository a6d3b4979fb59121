//! Tests of the crate from outside.

mod encrypted;
mod files;
mod handshake;
mod pki;
mod watching;
