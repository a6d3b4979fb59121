//! What must survive a restart.

mod ledger;
mod trouble;

use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;

use crate::{
    AuthVersion, BoxError, Epoch, EventDigest, Flavour, Form, LaneId, ParkedId, Road, SessionId,
    SignedArtifact, SinkId, Timestamp, Token, UserLock,
};

pub use ledger::{LedgerHour, SessionLedger};
pub use trouble::SessionTrouble;

/// Keeps resume points, parked events, totals and artifacts durably.
///
/// Synchronous: the engine decides whether calls run in place or on a thread. When a call returns
/// `Ok`, what it wrote survives a power cut.
pub trait StateStore: Send + Sync {
    /// Takes the lease on a sink's rows and returns what is there. Every earlier epoch's commits
    /// are refused from now on.
    ///
    /// # Errors
    ///
    /// [`StateError::Mismatch`] when the state belongs to another cluster or flavour.
    fn open_sink(&self, claim: &Claim) -> Result<Snapshot, StateError>;

    /// One atomic, durable change.
    ///
    /// # Errors
    ///
    /// [`StateError::Fenced`] when a newer epoch has taken the sink over, and
    /// [`StateError::Refused`] when the change names a sink or lane that is not in the state; then
    /// nothing was written.
    fn commit(&self, sink: &SinkId, epoch: Epoch, change: &Change) -> Result<(), StateError>;

    /// Which of these events the lanes of some windows have settled, as far as that is committed.
    ///
    /// An id that is known here is known for certain; lanes that were forgotten know nothing any
    /// more.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn known(&self, sink: &SinkId, query: &KnownQuery) -> Result<Known, StateError>;

    /// Parked events in the order in which they were parked.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn parked(&self, sink: &SinkId, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, StateError>;

    /// How many events are parked in each group, in order. Reads no raw bytes and costs little,
    /// however many are parked.
    ///
    /// A round over parked events asks this first and then reads with [`StateStore::parked_in`]
    /// only the groups about which there is something new: another decoder than the group's has
    /// come for its version, or its reason may pass by itself. An event whose decoder is empty has
    /// been tried by none, or is to be tried again because somebody asked for it: it is always
    /// worth a try.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn parked_groups(&self, sink: &SinkId) -> Result<Vec<(ParkedGroup, u64)>, StateError>;

    /// As [`StateStore::parked`], of one group alone.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn parked_in(
        &self,
        sink: &SinkId,
        group: &ParkedGroup,
        query: &ParkedQuery,
    ) -> Result<Vec<ParkedEvent>, StateError>;

    /// The ledger of these hours, in their order; hours without a row are left out.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn ledger(&self, sink: &SinkId, hours: Range<i64>) -> Result<Vec<LedgerHour>, StateError>;

    /// The ledger of one recording; `None` if there is no row.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn session_ledger(
        &self,
        sink: &SinkId,
        session: &SessionId,
    ) -> Result<Option<SessionLedger>, StateError>;

    /// The last good artifact for a version.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn artifact(&self, version: &AuthVersion) -> Result<Option<SignedArtifact>, StateError>;

    /// Keeps an artifact that has passed all checks, instead of any earlier one for the version.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn put_artifact(
        &self,
        version: &AuthVersion,
        artifact: &SignedArtifact,
    ) -> Result<(), StateError>;

    /// What [`StateStore::put_highest_version`] kept; `None` in a state that never kept one.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn highest_version(&self) -> Result<Option<AuthVersion>, StateError>;

    /// Keeps the highest Auth version seen, instead of any earlier one. How versions compare is
    /// known to whoever calls, not here.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn put_highest_version(&self, version: &AuthVersion) -> Result<(), StateError>;
}

/// Who wants to use a sink's state.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The sink.
    pub sink: SinkId,
    /// The cluster; a state of another one is refused.
    pub cluster: String,
    /// The JSON flavour asked for; `None` takes the one the state has, or `Go` in a new state.
    pub flavour: Option<Flavour>,
    /// Where to start when the state is new; cut to whole seconds.
    pub start_time: Timestamp,
}

/// What the state holds for a sink.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// To be given with every commit.
    pub epoch: Epoch,
    /// The flavour in force.
    pub flavour: Flavour,
    /// The start time fixed when the state was made.
    pub start_time: Timestamp,
    /// Auth version seen last.
    pub seen_version: Option<AuthVersion>,
    /// All lanes, finished ones included as long as their neighbours may overlap them.
    pub lanes: Vec<LaneRow>,
    /// Sums over the life of the state.
    pub totals: Totals,
    /// Raw bytes of all events parked now; how many those are is `totals.parked`.
    ///
    /// What bounds the parked events starts from these two: it adds the length of
    /// [`NewParked::bytes`] for each event that it parks and takes it off for each that it
    /// resolves. The store counts what is there, so whatever was added twice (an event parked
    /// again under the same lane and digest) is gone at the next opening.
    pub parked_bytes: u64,
    /// The secret by which the ledger hashes events; made with the state, and never changed.
    pub ledger_key: [u8; 16],
    /// Recordings that cannot be read, those given up included, in the order of their ids.
    pub session_trouble: Vec<SessionTrouble>,
    /// By which road the log is read; `None` if nobody has said so yet.
    pub reading: Option<Reading>,
    /// Locks that were decided on and are not set yet, in the order of their names.
    pub due_locks: Vec<UserLock>,
}

/// By which road the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The road.
    pub road: Road,
    /// Since when, in whole seconds since 1970-01-01T00:00:00Z.
    pub since_seconds: i64,
}

/// A lane as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRow {
    /// The lane.
    pub lane: LaneId,
    /// Where it is to be resumed.
    pub token: Token,
    /// Number of the page at `token`, counted from 0 in the order of reading.
    pub page: u64,
    /// Whether it has ended and all its events are settled.
    pub done: bool,
    /// Digests of settled events of page `page` and later: what resuming will bring again. Empty
    /// when it is done. What its neighbours or a re-scan may bring again is found by
    /// [`StateStore::known`].
    pub recent: Vec<EventDigest>,
}

/// One atomic change of a sink's state. Parts that stay empty change nothing.
///
/// The parts take effect in this order: `open`, `settle`, `advance`, `done`, `park`, `attempt`,
/// `resolve`, `forget`, `ledger`, `session_ledger`, `session_trouble`, `session_cleared`,
/// `lock`, `locked`, then `totals`, `seen_version` and `reading`. Opening a lane that is there leaves it as it is; settling,
/// advancing or ending one that is not there refuses the whole change, because a resume point would
/// be lost without a word. Parking an event that is parked already (same lane and digest), and
/// naming a parked event or a lane to forget that is gone, changes nothing. A row of a ledger takes
/// the place of the one that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// New lanes.
    pub open: Vec<(LaneId, Token)>,
    /// Moved resume points.
    pub advance: Vec<Advance>,
    /// Events that are settled: delivered, filtered or parked.
    pub settle: Vec<Settle>,
    /// Lanes that have ended and are settled to the last event.
    pub done: Vec<LaneId>,
    /// Lanes to delete with everything known of them.
    pub forget: Vec<LaneId>,
    /// Events to park.
    pub park: Vec<NewParked>,
    /// Parked events that have been delivered.
    pub resolve: Vec<ParkedId>,
    /// Parked events that were tried in vain.
    pub attempt: Vec<Attempt>,
    /// Hours of the ledger as they are after this change.
    pub ledger: Vec<LedgerHour>,
    /// Recordings of the ledger as they are after this change.
    pub session_ledger: Vec<SessionLedger>,
    /// Recordings that cannot be read, as they are after this change.
    pub session_trouble: Vec<SessionTrouble>,
    /// Recordings that can be read again: nothing is kept of their trouble.
    pub session_cleared: Vec<SessionId>,
    /// Locks that are to be set, each instead of another one of its name.
    pub lock: Vec<UserLock>,
    /// Names of locks that need not be set any more.
    pub locked: Vec<String>,
    /// The sums as they are after this change.
    pub totals: Option<Totals>,
    /// Auth version seen.
    pub seen_version: Option<AuthVersion>,
    /// Another road is read by.
    pub reading: Option<Reading>,
}

/// A moved resume point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The lane.
    pub lane: LaneId,
    /// Its new resume point.
    pub token: Token,
    /// Number of the page at `token`.
    pub page: u64,
}

/// Settled events of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The lane.
    pub lane: LaneId,
    /// Number of the page they came in.
    pub page: u64,
    /// Digests of those in the lane's interior.
    pub inner: Vec<EventDigest>,
    /// Digests of those near its borders or outside them.
    pub border: Vec<EventDigest>,
}

/// Which events to look for among those that windows have settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownQuery {
    /// First second of the window, all of whose settled events count, in every pass; `None` for
    /// none.
    pub window: Option<i64>,
    /// First seconds of its neighbours, of which only the events near their borders count, in
    /// every pass.
    pub neighbours: Vec<i64>,
    /// Lanes all of whose settled events count too: those of another road by which the same stretch
    /// of the log was read.
    pub others: Vec<LaneId>,
    /// What to look for.
    pub digests: Vec<EventDigest>,
    /// Where to look first: [`Known::page`] of the last answer about that window, or 0. Costs
    /// less when it is near, and never changes what is found.
    pub page: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// For each digest of the query, whether it was settled.
    pub known: Vec<bool>,
    /// The first page of the window's first reading in which something was found; that of the
    /// query if nothing was.
    pub page: u64,
}

/// Why an event is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParkReason {
    /// The decoder for its version is not there yet.
    Waiting,
    /// The schema lacks a field or case.
    Unknown,
    /// The bytes are no valid event.
    Malformed,
    /// Go refuses to print it too.
    Unprintable,
    /// The decoder failed on it.
    DecoderFailed,
    /// The sink refuses it.
    Refused,
    /// Auth does not send it, because it is too large: the record stands for all that may be
    /// missing of its second, and has no bytes. Nothing can be tried with it.
    Gap,
}

impl ParkReason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Unknown,
        Self::Malformed,
        Self::Unprintable,
        Self::DecoderFailed,
        Self::Refused,
        Self::Gap,
    ];

    /// The name used in the state, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
            Self::Unprintable => "unprintable",
            Self::DecoderFailed => "decoder-failed",
            Self::Refused => "refused",
            Self::Gap => "gap",
        }
    }
}

/// An event to park.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewParked {
    /// The lane it came from.
    pub lane: LaneId,
    /// Its id's digest.
    pub digest: EventDigest,
    /// How to read `bytes`.
    pub form: Form,
    /// The event, copied out of its page.
    pub bytes: Bytes,
    /// The version of Auth that served it.
    pub version: AuthVersion,
    /// Why.
    pub reason: ParkReason,
    /// What was wrong, for people; holds no event content.
    pub detail: String,
    /// The decoder that could not, if there was one.
    pub decoder: String,
    /// When.
    pub at: Timestamp,
}

/// A parked event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Its row.
    pub id: ParkedId,
    /// As parked, with the reason of the last attempt.
    pub event: NewParked,
    /// Number of attempts since it was parked.
    pub attempts: u32,
    /// When it was last tried.
    pub last_attempt: Option<Timestamp>,
}

/// A parked event was tried in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its row.
    pub id: ParkedId,
    /// Why it is parked now.
    pub reason: ParkReason,
    /// What was wrong this time.
    pub detail: String,
    /// The decoder that could not, if there was one.
    pub decoder: String,
    /// When.
    pub at: Timestamp,
}

/// What parked events of one form have in common that were tried in vain by the same decoder for
/// the same reason. Whether another try is worth it, and by what, is the same for all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParkedGroup {
    /// The version of Auth that served them.
    pub version: AuthVersion,
    /// Why they are parked now.
    pub reason: ParkReason,
    /// The decoder that could not; empty if none has tried, or if another try was asked for.
    pub decoder: String,
    /// How to read their bytes.
    pub form: Form,
}

impl ParkedGroup {
    /// The group that an event belongs to as it is stored now.
    pub fn of(event: &NewParked) -> Self {
        Self {
            version: event.version.clone(),
            reason: event.reason,
            decoder: event.decoder.clone(),
            form: event.form,
        }
    }
}

/// Which parked events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedQuery {
    /// Only rows behind this one.
    pub after: Option<ParkedId>,
    /// At most so many rows.
    pub limit: usize,
    /// Stop before the raw bytes add up to more than this; the first event always comes.
    pub max_bytes: usize,
}

/// Sums over the life of a state. Each event that a lane passed is in exactly one of `delivered`,
/// `filtered`, `parked`, `resolved`, `dropped` and `given_up`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events that the resume points have passed.
    pub passed: u64,
    /// Delivered without having been parked.
    pub delivered: u64,
    /// Left out because a setting says so.
    pub filtered: u64,
    /// Parked now.
    pub parked: u64,
    /// Parked once, delivered since.
    pub resolved: u64,
    /// Parked once, dropped by hand since.
    pub dropped: u64,
    /// Given up.
    pub given_up: u64,
    /// Of the delivered and resolved: decoded with a table compiled into the program.
    pub by_native: u64,
    /// Of the delivered and resolved: decoded with a signed table.
    pub by_table: u64,
    /// Of the delivered and resolved: decoded by a module.
    pub by_module: u64,
    /// Of the delivered and resolved: decoded with a schema other than that of their version.
    pub inexact: u64,
    /// Session recordings read to their end.
    pub sessions: u64,
}

impl Totals {
    /// Whether every passed event is accounted for.
    pub fn balances(&self) -> bool {
        self.passed
            == self.delivered
                + self.filtered
                + self.parked
                + self.resolved
                + self.dropped
                + self.given_up
    }
}

/// The state cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another process has it.
    #[error("storage `{}` is in use by another process", path.display())]
    InUse {
        /// The storage directory.
        path: PathBuf,
    },
    /// It belongs to another cluster, flavour or newer release.
    #[error("storage `{}` {message}", path.display())]
    Mismatch {
        /// The storage directory.
        path: PathBuf,
        /// What differs and what to do.
        message: String,
    },
    /// A newer run has taken the sink over.
    #[error("state was taken over by a newer run (epoch {newest}, ours {ours})")]
    Fenced {
        /// Epoch of this run.
        ours: i64,
        /// Epoch in the state.
        newest: i64,
    },
    /// The file system or the database refuses.
    #[error("{message}")]
    Storage {
        /// What was tried, with the path.
        message: String,
        /// The cause, if there is one.
        #[source]
        source: Option<BoxError>,
    },
    /// The change does not fit what is stored (a lane that is not there, a sink that nobody
    /// opened), and nothing of it was written. A program error: trying again cannot help.
    #[error("{message}")]
    Refused {
        /// What does not fit.
        message: String,
    },
    /// The database is damaged; it is kept as it is.
    #[error("state database `{}` is damaged: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found and what to do.
        message: String,
    },
}
