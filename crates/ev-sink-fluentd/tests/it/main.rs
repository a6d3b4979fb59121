//! Tests of the sink against receivers on loopback.

mod contract;
mod examine;
mod faults;
mod gzip;
mod raw;
mod receivers;
mod stats;
mod tls;
mod watch;
mod wire;
