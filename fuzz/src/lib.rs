//! Differential tests and fuzz targets for everything that reads hostile bytes; shipped nowhere.
//!
//! Each [`Target`] is a function over bytes that panics when something is wrong. [`run`] feeds it
//! its corpus and mutations of that, as many as it is told, the same ones for the same seed: so the
//! targets work with the toolchain of the project and are part of its tests. The same functions
//! stand behind libFuzzer in `fuzz/guided`, which needs instrumented code.
//!
//! [`Pair`] compares the transcoder with the decoders of `ev-oracle` on one schema; [`differential`]
//! does that for made-up events of every type, [`guest_against_native`] runs them through a module
//! as well.

#![forbid(unsafe_code)]

mod corpus;
mod differential;
mod guest;
mod pair;
mod runner;
mod stack;
mod targets;

pub use differential::{Counts, differential};
pub use guest::guest_against_native;
pub use pair::{Class, Pair, pairs};
pub use runner::{Limit, Report, run};
pub use stack::with_stack;
pub use targets::{Target, targets};
