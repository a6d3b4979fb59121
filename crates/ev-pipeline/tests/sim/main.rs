//! A deterministic simulation: the real engine, decoder and SQLite store, on a simulated clock,
//! between an Auth server and a receiver that do everything wrong that they may.
//!
//! A seed chooses what Auth has and all that happens: answers that are lost, repeated or cut, keys
//! that are refused, late events that only a second reading finds, events too large to be sent,
//! recordings that come later or break off, other versions of Auth, a source that cannot go on,
//! decoders that are not there or fail, receivers of every mood, disks that are full, clocks that
//! jump, and kills at any point (`fault.rs` has the list). The oracle is the plain list of what Auth has. A seed replays exactly: one thread, a
//! paused clock, chance from the seed alone, blocking work done in place.
//!
//! ```text
//! cargo test -p ev-pipeline --test sim                                       the fixed seeds
//! EV_SIM_SEED=7 cargo test -p ev-pipeline --test sim one_seed -- --nocapture one, with a summary
//! EV_SIM_TRACE=1 …                                                           and all that happened
//! EV_SIM_POISON=1 …                              the receiver never takes the events it refuses
//! EV_SIM_SEEDS=5000 cargo test -p ev-pipeline --test sim -- --ignored        many, and a tenth of
//!                                                                            that poisoned
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a failing seed has to be told")]
#![allow(clippy::disallowed_methods, reason = "the simulation drives tokio's paused clock")]

mod auth;
mod decoders;
mod event;
mod fault;
mod oracle;
mod rescan;
mod rng;
mod run;
mod scenario;
mod seeds;
mod sink;
mod source;
mod store;
mod token;
mod window;
mod world;
