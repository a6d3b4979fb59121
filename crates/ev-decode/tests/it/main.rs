//! The recorded events, hostile bytes, and the promises about stack and memory.

mod allocations;
mod data;
mod decoder;
mod deep;
mod golden;
mod hostile;
mod memory;
mod older;
mod order;
#[cfg(feature = "compile")]
mod tables;
