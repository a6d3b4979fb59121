//! The event forwarder as a library: arguments, logging, wiring and exit codes.
//!
//! The only crate that sees all others. It decides nothing about events: it turns settings into
//! the parts that the other crates are, puts them together, and runs them until a signal. `main.rs`
//! calls [`run`]; a test calls [`start::start`] to run the whole program inside its own process.

#![forbid(unsafe_code)]

mod audit;
mod chain;
mod cli;
mod config;
mod configure;
mod decode;
mod doctor;
mod exit;
mod fetching;
mod loading;
mod logging;
mod novelty;
mod pages;
mod parked;
mod place;
mod printing;
mod program;
mod progress;
mod replay;
mod schema;
mod shadow;
mod signals;
pub mod start;
mod state;
mod status;
mod storage;
mod takeover;
mod text;
mod upstream;
mod verify;

pub use cli::run;
pub use exit::Exit;
