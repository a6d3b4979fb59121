//! Records out of what a program logs.

mod bridge;
mod fields;
#[cfg(feature = "tracing")]
mod layer;
#[cfg(feature = "log")]
mod logger;

pub use bridge::{LogBridge, LogCounters, LogProblem};
pub use fields::WrongField;
#[cfg(feature = "tracing")]
pub use layer::AuditLayer;
#[cfg(feature = "log")]
pub use logger::AuditLogger;
