//! The source against an Auth server that speaks the real protocol over real sockets.

mod artifacts;
mod beside;
mod contract;
mod credentials;
mod env;
mod export;
mod link;
mod offers;
mod raw;
mod renewal;
mod rescans;
mod rig;
mod roads;
mod sessions;
mod spans;
mod troubles;
mod windows;
