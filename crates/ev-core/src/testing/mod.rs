//! Contract suites that every implementation must pass, and stand-ins for tests.

mod manual_env;
mod memory_store;
pub mod sink;
pub mod source;
pub mod state;

pub use manual_env::ManualEnv;
pub use memory_store::MemoryStore;
