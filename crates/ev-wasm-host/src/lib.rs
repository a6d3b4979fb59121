//! Runs a decoder module confined by limits and deadlines, and believes none of its answers.
//!
//! A [`ModuleHost`] holds the engine and the clock of its deadlines. It admits a module's bytes
//! only after a look at their structure (no imports, the exports of [`ev_core::abi`], one small
//! memory, no start function), compiles them, and hands out a [`ModuleDecoder`], which is an
//! [`ev_core::Decoder`] like any other. Every answer of the guest is held against the event's own
//! bytes; a trap, a limit or a lie is an ordinary error, and the instance is thrown away.
//! Modules of other toolchains may import a few functions of WASI that deny everything, if
//! [`ModuleHost::with_wasi`] says so. [`self_test`] compares a decoder with the native one before
//! it is put to use. [`ModuleHost::usage`] counts what all guests take up.
//!
//! This crate verifies no signature (`ev-modules` does, before the bytes come here), knows no
//! schema, and is the only one that names wasmtime.

#![forbid(unsafe_code)]

mod admission;
mod answer;
mod decoder;
mod error;
mod host;
mod identity;
mod instance;
mod json;
mod limits;
mod pool;
mod selftest;
mod ticker;
mod usage;
mod wasi;

pub use decoder::{ModuleDecoder, Options};
pub use error::{Fact, HostError, Lie};
pub use host::{CompiledModule, ModuleHost};
pub use limits::Limits;
pub use selftest::{self_test, self_test_events};
pub use usage::Usage;
