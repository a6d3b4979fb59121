//! What a forwarder is doing, for machines and people: `/metrics`, `/healthz`, `/readyz`, a status
//! page and the same facts as JSON, on one address.
//!
//! Everything shown is a view of one [`Snapshot`], which the program puts together when it is
//! asked; so the figures of one answer belong to one moment, and agree with each other. The server
//! has a thread of its own ([`Server`]): it answers also when the program's runtime hangs, which is
//! exactly what [`Watchdog`] is there to notice.
//!
//! ```text
//!  the program ──Snapshot──▶ metrics    /metrics      OpenMetrics text
//!      │                     readiness  /readyz       may events flow, and if not, why
//!      │                     page       /  /status.json
//!      └────beats──────────▶ watchdog   /healthz      does everything turn
//! ```
//!
//! Knows nothing of the parts it shows: the binary fills the snapshot.

#![forbid(unsafe_code)]

mod answers;
mod asker;
mod error;
mod history;
pub mod metrics;
mod page;
mod readiness;
mod recent;
mod server;
mod snapshot;
mod time;
mod watchdog;

pub use error::Error;
pub use history::{History, Minute};
pub use readiness::{Light, Part, Readiness};
pub use recent::{Recent, RecentLayer, Told};
pub use server::{Server, Views};
pub use snapshot::{
    Artifacts, Auth, Certificate, Counters, Decoder, Delivery, Engine, Locking, Phase, Receiver,
    ReceiverTrouble, Reconnects, Responses, Sink, Snapshot, Sums, Times, TimesBucket,
};
pub use time::UnixTime;
pub use watchdog::{Pulse, Watchdog};
