//! A client for security audit records: a service hands over a record and goes on; the record
//! reaches the local Geneva agent in its msgpack format, or is accounted for.

#![forbid(unsafe_code)]

mod model;
#[allow(dead_code, unused_imports, reason = "the sender that uses it comes next")]
mod spill;
pub mod wire;

pub use model::{
    Caller, CallerIdentityType, CallerIp, ConnectionType, Given, Identity, InvalidAddress,
    InvalidServiceId, List, Map, Missing, Operation, OperationCategory, OperationResult,
    OperationType, Problem, Record, RecordBuilder, Rules, ServiceId, Target, Time, UnknownName,
    Value,
};
pub use spill::{SpillError, SpillSettings};
pub use wire::{Heartbeat, Message, Plane};
