//! Runs a decoder module confined by limits and deadlines and checks every answer of it; the only crate that names wasmtime.

#![forbid(unsafe_code)]
