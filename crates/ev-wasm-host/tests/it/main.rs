//! Modules that are refused, guests that misbehave, and the good guest on every golden vector.

mod admission;
mod engine;
mod go;
mod golden;
mod guest;
mod hostile;
mod instances;
mod lies;
mod limits;
mod selftest;
mod swap;
mod wasi;
