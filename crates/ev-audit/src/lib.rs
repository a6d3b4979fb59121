//! A client for security audit records: a service hands over a record and goes on; the record
//! reaches the local Geneva agent in its msgpack format, or is accounted for.

#![forbid(unsafe_code)]

mod client;
mod clock;
#[cfg(any(feature = "log", feature = "tracing"))]
mod logging;
mod model;
mod queue;
#[cfg(feature = "receiver")]
pub mod receiver;
mod sender;
mod spill;
pub mod transport;
pub mod wire;

pub use client::{
    BuildError, Client, ClientBuilder, Driver, Event, EventKind, Events, HookError, Overflow,
    Refused, Remainder, SendError, State, StateWatch, Unsent,
};
pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "tracing")]
pub use logging::AuditLayer;
#[cfg(feature = "log")]
pub use logging::AuditLogger;
#[cfg(any(feature = "log", feature = "tracing"))]
pub use logging::{LogBridge, LogCounters, LogProblem, WrongField};
pub use model::{
    Caller, CallerIdentityType, CallerIp, ConnectionType, Given, Identity, InvalidAddress,
    InvalidServiceId, List, Map, Missing, Operation, OperationCategory, OperationResult,
    OperationType, Problem, Record, RecordBuilder, Rules, ServiceId, Target, Time, UnknownName,
    Value,
};
pub use queue::{DropReason, Dropped, Ledger, Outcome, Receipt, RefusedCounts};
pub use sender::{Retry, Stamp};
pub use spill::{SpillError, SpillSettings};
pub use wire::{Heartbeat, Message, Plane};
