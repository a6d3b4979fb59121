//! A client for security audit records: a service hands over a record and goes on; the record
//! reaches the local Geneva agent in its msgpack format, or is accounted for.
//!
//! ```
//! # use std::time::Duration;
//! # use ev_audit::transport::MemoryTransport;
//! # use ev_audit::{Caller, CallerIdentityType, Client, Operation, OperationCategory, Plane, Record, Target};
//! # let (transport, audited) = MemoryTransport::new();
//! # let address = std::net::Ipv4Addr::new(192, 0, 2, 7);
//! let client = Client::builder("e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?, transport).build()?;
//! let caller = Caller::new(address, "portal/2.1", "Admin").identity(CallerIdentityType::UPN, "alice@example.com", "who signed in");
//! let operation = Operation::new("DeleteUser", OperationCategory::USER_MANAGEMENT, "Admin").succeeded();
//! client.send(Plane::Data, Record::builder().caller(caller).operation(operation).target("Tenant", Target::new("contoso")).build())?;
//! let left = client.close(Duration::from_secs(5));
//! # assert!(left.is_empty() && audited.records().len() == 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The transport is [`transport::UnixTransport::new()`] in a service, and
//! [`transport::MemoryTransport`] in its tests.
//!
//! # What it promises
//!
//! - A send validates, stamps and encodes the record and puts it into a queue that is bounded by
//!   bytes and by count. It waits neither for the network nor for a disk. Only functions with
//!   `wait` or `timeout` in their name wait, and a client that was built with
//!   [`Overflow::Block`].
//! - A record is *queued* when a send succeeds, and *written* when the operating system took it
//!   for the agent. Nobody can say more, since the protocol has no acknowledgement; the words of
//!   this crate say no more either.
//! - Each accepted record is written, spilled, dropped for a reason, or pending, and
//!   [`Client::ledger`] has the four numbers at any moment.
//! - What is queued goes out in its order. A connection that breaks is replaced, with pauses that
//!   grow, and a frame that was cut goes first and whole on the next one.
//! - [`Client::close`] ends at its deadline and gives back what was not written.
//!
//! # What it leaves to others
//!
//! It decides nothing about what has to be audited, does not read what agents write (they write
//! nothing), and knows no backend: what the agent does with a record is not seen from here. It
//! installs no signal handler and no global logger, and does not survive the end of the process,
//! unless it was built with [`Overflow::Spill`].
//!
//! # Features
//!
//! None is on by default, and each only adds.
//!
//! - `tls`: TLS and mutual TLS for TCP (`transport::TlsTransport`).
//! - `tracing`: a layer that turns what is logged under a chosen target into records
//!   (`AuditLayer`).
//! - `log`: the same for the `log` crate (`AuditLogger`).
//! - `metrics`: the ledger through the `metrics` facade.
//! - `serde`: records as serde sees them, under the names of the wire.
//! - `proto`: records as protobuf messages, for programs in other languages (`proto::Record`).
//! - `receiver`: a receiver with faults on demand, for tests (`receiver::Receiver`).

#![forbid(unsafe_code)]

mod chain;
mod client;
mod clock;
mod direct;
#[cfg(any(feature = "log", feature = "tracing"))]
mod logging;
mod model;
#[cfg(feature = "proto")]
pub mod proto;
mod queue;
#[cfg(all(unix, feature = "receiver"))]
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
pub use direct::{DirectError, DirectSender};
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
