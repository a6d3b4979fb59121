//! The words and traits that all parts of `ev` share; no I/O and no async runtime.
//!
//! An audit event travels as [`RawEvent`] from a [`Source`] to a [`Decoder`], as JSON bytes inside
//! a [`Batch`] to a [`Sink`], and what was reached is kept in a [`StateStore`]. Time, sleep and
//! chance come from [`Env`] and from nowhere else, so that a simulation replays exactly. Which
//! decoder fits which Auth version is answered by a [`DecoderSet`]; where signed artifacts come
//! from is an [`ArtifactSource`].
//!
//! This crate decides nothing: policy (batching, retry, parking, checkpoints) is `ev-pipeline`,
//! and each trait is implemented by one sibling crate that does not know the others.
//!
//! Features: `test-util` adds the contract suites every implementation must pass, and scripted
//! stand-ins for tests.

#![forbid(unsafe_code)]

pub mod abi;
mod artifact;
mod chain;
mod date;
mod decoder;
mod double;
mod env;
mod event;
mod id;
mod lane;
mod lock;
mod outcome;
mod parse_time;
pub mod peek;
mod sink;
mod source;
mod state;
#[cfg(feature = "test-util")]
pub mod testing;
mod time;
pub mod unstructured;
pub mod wire;

use std::future::Future;
use std::pin::Pin;

pub use artifact::{
    ArtifactError, ArtifactKind, ArtifactRequest, ArtifactSource, FetchedArtifact, SignedArtifact,
};
pub use chain::chain;
pub use date::Date;
pub use decoder::{Choice, Cost, Decoder, DecoderError, DecoderIdentity, DecoderKind, DecoderSet};
pub use double::JsonDouble;
pub use env::{Env, within};
pub use event::{Facts, Form, LoginFacts, Mark, Page, RawEvent};
pub use id::{
    AuthVersion, BatchId, Epoch, EventDigest, InvalidSessionId, ParkedId, SessionId, SinkId,
};
pub use lane::{InvalidLaneId, LaneId, Road, Token};
pub use lock::{LockError, Locks, UserLock};
pub use outcome::{Flavour, Mode, Outcome, Output, UnknownPolicy};
pub use sink::{Batch, Entry, Framing, Ordering, Route, Shape, Sink, SinkError, Verdict};
pub use source::{
    Credit, Gap, LaneGap, Lanes, Resume, Source, SourceError, SourceEvent, SpanPage, SpanQuery,
    SpanReader, Stopped, Survey,
};
pub use state::{
    Advance, Attempt, Change, Claim, Known, KnownQuery, LaneRow, LedgerHour, NewParked, ParkReason,
    ParkedEvent, ParkedGroup, ParkedQuery, Reading, SessionLedger, SessionTrouble, Settle,
    Snapshot, StateError, StateStore, Totals,
};
pub use time::{Rfc3339, Timestamp};

/// A boxed future that may be sent to another thread.
///
/// Boxed once a page or a batch, never once an event.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The error that caused another one, of whatever type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A range of bytes inside a buffer that the context names.
///
/// Offsets are 32 bits: no event, page or batch comes near 4 GiB (a gRPC message is at most
/// 16 MiB here).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte; never less than `start`.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to but not including `end`.
    ///
    /// # Panics
    ///
    /// If an offset does not fit 32 bits, which the size limits of pages and batches exclude.
    pub fn new(start: usize, end: usize) -> Self {
        let narrow = |n| u32::try_from(n).expect("buffers are limited to less than 4 GiB");
        Self { start: narrow(start), end: narrow(end.max(start)) }
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The bytes of `buffer` that this names; empty if the span lies outside.
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}
