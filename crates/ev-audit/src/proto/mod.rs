//! Records as protobuf messages, for programs in other languages that hand records to one that
//! sends them.
//!
//! The messages are those of `proto/ev/audit/v1/record.proto`, whose text is [`SCHEMA`]. Each
//! record has one message, with all that the agent's format can tell, and comes back from it as
//! it was. The agent itself is never spoken to in protobuf.
//!
//! ```
//! use ev_audit::{Operation, OperationCategory, Record, proto};
//! use prost::Message as _;
//!
//! let record = Record { operation_name: "DeleteUser".to_owned(), ..Record::default() };
//! let bytes = proto::Record::from(&record).encode_to_vec();
//! assert_eq!(Record::try_from(proto::Record::decode(&*bytes)?)?, record);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Readers of protobuf stop at 100 messages within each other: custom data may have 48 arrays and
//! maps around a value, which is more than [`Rules`](crate::Rules) allow by default.

mod messages;
mod read;
mod write;

pub use messages::{
    AccessLevels, Array, CallerIdentities, CustomData, CustomEntry, Dictionary, IdentitiesOfType,
    Identity, IdentityList, OperationCategories, Record, Target, TargetList, TargetResources,
    TargetsOfType, Time, Value, value,
};
pub use read::InvalidRecord;

/// The text of the schema, to be given to others.
pub const SCHEMA: &str = include_str!("../../proto/ev/audit/v1/record.proto");
