//! What a record is: its parts, its texts, its rules.

mod builder;
mod containers;
mod ip;
mod kinds;
mod problem;
mod record;
mod rules;
#[cfg(feature = "serde")]
mod serialize;
mod service;
#[cfg(feature = "serde")]
mod text;
mod validate;
mod value;

pub use builder::{Caller, Given, Missing, Operation, RecordBuilder};
pub use containers::{List, Map};
pub use ip::{CallerIp, InvalidAddress};
pub(crate) use kinds::Kind;
pub use kinds::{
    CallerIdentityType, ConnectionType, OperationCategory, OperationResult, OperationType,
    UnknownName,
};
pub use problem::Problem;
pub use record::{Identity, Record, Target};
pub use rules::Rules;
pub use service::{InvalidServiceId, ServiceId};
pub use value::{Time, Value};
