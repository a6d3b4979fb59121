//! The engine: takes pages from a source, has them decoded, hands batches to a sink, parks what
//! cannot be decoded, and moves the resume points over what is settled.
//!
//! An event is *settled* once it is delivered (acknowledged by the sink), filtered by a setting,
//! or parked in the state together with its raw bytes. A lane's resume point moves only over an
//! unbroken run of settled events, and moves in the same transaction that keeps the parked events
//! and the ids of the settled ones. So a crash at any instruction loses nothing, and sends again at
//! most what was sent and not yet committed.
//!
//! There is one loop and it owns all state ([`Engine::run`]); the only things that happen beside it
//! are the sink's requests under way and the source's reads, and both are polled by it.
//!
//! ```text
//!  Source ──page──▶ intake ──known? filtered? decoded──▶ batches ──▶ Sink
//!                     │ cannot be decoded                             │ acknowledged
//!                     ▼                                               ▼
//!                   parked ◀───────────── one transaction ──────── lane book ──▶ StateStore
//! ```
//!
//! Knows only `ev-core`; which source, decoder, sink and store there are is the binary's business.

#![forbid(unsafe_code)]

mod batches;
mod commit;
mod config;
mod delivery;
mod digest;
mod digests;
mod engine;
mod env;
mod error;
mod exec;
mod headway;
mod hold;
mod identity;
mod intake;
mod judge;
mod known;
mod lanes;
pub mod ledger;
mod pace;
mod parking;
mod plan;
mod pulse;
mod rates;
mod receiver;
mod reopen;
mod room;
mod state;
mod status;
mod summary;
mod tally;
mod unknown;
mod watch;

pub use config::Config;
pub use engine::{Engine, Parts};
pub use env::TokioEnv;
pub use error::Error;
pub use exec::Exec;
pub use headway::{Headway, Mark};
pub use identity::Identity;
pub use intake::SESSION_UPLOAD;
pub use pulse::Pulse;
pub use room::Overflow;
pub use status::{Inspector, LaneStatus, ReceiverStatus, ReceiverTrouble, Status};
pub use summary::Summary;
pub use unknown::Unknown;
pub use watch::{TakenEvent, Watcher};
