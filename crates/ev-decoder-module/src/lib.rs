//! The guest: `ev-decode` behind the module ABI ([`ev_core::abi`]), compiled to WebAssembly.
//!
//! Built once per release and checked in as `template/decoder-template.wasm`; `cargo xtask
//! template` builds it again and compares. The template has no schema: whoever builds a module adds
//! the table behind the guest's memory and points `EV_TABLE` at it, so that all modules of a
//! release share their code bytes.
//!
//! Never linked natively and not a default member of the workspace. It imports nothing, starts
//! nothing by itself, and keeps no event from one call for the next.

mod exports;
mod guest;
