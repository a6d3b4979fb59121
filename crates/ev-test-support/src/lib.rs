//! Fakes that speak the real protocols over real sockets: an Auth server, a Fluentd receiver, certificates; knows no other ev crate.

#![forbid(unsafe_code)]
