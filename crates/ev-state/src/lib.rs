//! What must survive a restart, in SQLite behind [`ev_core::StateStore`]: resume points, known
//! ids, parked events, totals, the ledger and the last good decoder artifacts.
//!
//! [`SqliteStore`] is what a handler runs on. [`StateReader`] looks at what is stored beside it.
//!
//! Decides nothing about any of it: that is `ev-pipeline`. The only crate with SQL.
//!
//! # On disk
//!
//! ```text
//! <storage>/                  made with mode 0700 if it is not there, else left as it is
//!   ev-state/            0700
//!     lock               0600 locked while a process has the state open; empty
//!     state.db           0600 the database
//!     state.db-wal       0600 commits not yet copied into it: part of the database
//!     state.db-shm       0600 index of the former, rebuilt at will
//! ```
//!
//! The reference handler keeps its files under `<storage>/<host>_<port>/`, and neither a host name
//! followed by `_<port>` nor any of its other names can be `ev-state`: both may use one storage
//! directory, which is how one takes over from the other.
//!
//! One state belongs to one cluster and one JSON flavour and refuses others. A backup is a copy of
//! the whole directory while no process has it open.
//!
//! # Failures
//!
//! A commit that fails has written nothing and may be tried again: a full disk, a file system gone
//! read-only. A commit that returned survives a power cut, as far as the disk keeps what it said it
//! had written. Nothing here asks for the time, so a clock that jumps changes nothing.
//!
//! A damaged database is reported and left byte for byte as it was found; nothing is rebuilt behind
//! the operator's back, because a rebuilt state would forget events. The check at opening finds
//! broken structure: pages that were overwritten or cut off, rows that break the rules of their
//! tables, rows that belong to nobody. SQLite keeps no checksums of its pages, so it cannot find a
//! bit that flipped inside a token or an event.
//!
//! ```
//! use ev_core::{Change, Claim, SinkId, StateStore, Timestamp};
//! use ev_state::SqliteStore;
//!
//! # let directory = tempfile::tempdir()?;
//! let store = SqliteStore::open(directory.path())?;
//! let claim = Claim {
//!     sink: SinkId("fluentd".into()),
//!     cluster: "teleport.example.com".into(),
//!     flavour: None,
//!     start_time: Timestamp::EPOCH,
//! };
//! let snapshot = store.open_sink(&claim)?;
//! store.commit(&claim.sink, snapshot.epoch, &Change::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod begin;
mod by_hand;
mod copy;
mod database;
mod directory;
mod error;
mod facts;
mod known;
mod ledger;
mod locks;
mod migrations;
mod parked;
mod read;
mod reader;
mod store;
mod trouble;
mod words;
mod write;

pub use begin::TakenOver;
pub use by_hand::Dropped;
pub use copy::copy_state;
pub use facts::{LaneFacts, SinkFacts};
pub use ledger::LedgerFacts;
pub use parked::ParkedFacts;
pub use reader::StateReader;
pub use store::SqliteStore;
