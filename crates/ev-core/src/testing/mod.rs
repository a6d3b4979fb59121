//! Contract suites that every implementation must pass, and stand-ins for tests.

mod memory_store;
pub mod sink;
pub mod source;
pub mod state;

pub use memory_store::MemoryStore;
