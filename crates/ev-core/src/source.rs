//! Sources: who reads the log of Auth.

use std::time::Duration;

use crate::{AuthVersion, BoxError, BoxFuture, LaneId, Page, RawEvent, Road, Timestamp, Token};

/// Reads Auth's log in lanes.
///
/// A source reconnects by itself, for ever, with jittered backoff; it asks Auth for its version
/// at every connection and each minute. It never drops an event by its time: windows overlap, and
/// whoever receives the pages recognises events by their id. The bulk export alone is asked for
/// whole dates: there a source leaves out what lies in front of the first second that is wanted,
/// and what is of other types than those asked for.
///
/// # Dates and chunks
///
/// On the road [`Road::Export`] a lane without a chunk's name stands for a date that is looked at
/// for chunks. It never yields anything, is open as long as the date is looked at, and ends in the
/// step that retires the date. A chunk is a lane from when it is begun; it is opened once, and when
/// it has ended, the source has to be told of it at every start until its date is retired. Chunks
/// do not overlap, and one that is read again from its resume point brings the same events in the
/// same order.
///
/// # Late events
///
/// Auth may store an event long after its time, behind what reading has passed. So a source reads
/// a window again after it has ended, once or several times, in lanes of their own: the same
/// `start`, the next `pass`. It schedules that itself. Such a lane is opened, yields pages (all with
/// [`Page::repeats`]) and ends like any other, and is resumed like any other. Whoever receives it
/// has to keep the ids of a window until the window and both of its neighbours are
/// [retired](Lanes::retired): a lane reaches a little over the borders of its window, and one whose
/// end was open until then further. No window is narrower than 10 s, nor than its predecessor was
/// read beyond its end: ids are looked for in the neighbours only, so what is read by a third
/// window comes twice.
pub trait Source: Send {
    /// Who is there. Connects if need be, and waits until somebody answers.
    ///
    /// # Errors
    ///
    /// Only what waiting cannot mend: unusable settings or credentials.
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>>;

    /// Takes up the lanes of an earlier run, or starts from `resume.start_time` when there are
    /// none. Called once, before the first [`Source::next`].
    ///
    /// # Errors
    ///
    /// [`SourceError::Token`] when a token is damaged or of another road. One of a format this source
    /// does not know is no error: its lane is read anew.
    fn resume(&mut self, resume: Resume) -> Result<(), SourceError>;

    /// What happens next. Cancel-safe: a dropped future loses nothing.
    ///
    /// New pages are only asked for while `credit` allows; all else (lanes, versions) comes all
    /// the same.
    ///
    /// # Errors
    ///
    /// Only what waiting cannot mend; peers that fail are waited for inside.
    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>>;

    /// Opens a lane that only the engine can ask for: a session recording that was uploaded.
    /// Without a token it starts at its beginning. Returns the token to store for it. Opening a
    /// lane that is open is harmless.
    fn open(&mut self, lane: &LaneId, from: Option<Token>) -> Token;

    /// Stops reading a lane and forgets it. Closing a lane that is not open is harmless.
    fn close(&mut self, lane: &LaneId);

    /// Reads a past stretch of the log outside lanes, for whoever compares or sends it again.
    ///
    /// Works beside a source that is in use elsewhere, over its connection and within its request
    /// budget, and waits while there is no connection. Only [`Source::next`] and
    /// [`Source::survey`] connect, so somebody has to be in one of them.
    fn span(&self, query: SpanQuery) -> Box<dyn SpanReader>;
}

/// A stretch of the log that is being read.
///
/// Dropping it ends the reading.
pub trait SpanReader: Send {
    /// The next events, `None` behind the last. Events may come twice, and also from a little
    /// outside the stretch: whoever asked tells them by their id and time.
    ///
    /// Cancel-safe: a dropped future loses nothing.
    ///
    /// # Errors
    ///
    /// Only what waiting cannot mend. A second that cannot be read (an event in it is too large)
    /// is no error: it is told in [`SpanPage::gaps`].
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SpanPage>, SourceError>>;
}

/// Which stretch of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanQuery {
    /// First second, since 1970-01-01T00:00:00Z.
    pub from: i64,
    /// First second behind it.
    pub to: i64,
    /// Event types, exact names; empty means what the source's own settings ask for.
    pub types: Vec<String>,
}

/// Events of a stretch, in the order in which Auth gave them.
#[derive(Clone, Debug)]
pub struct SpanPage {
    /// The version that Auth reported on the connection over which they came.
    pub version: AuthVersion,
    /// The events.
    pub events: Vec<RawEvent>,
    /// Seconds in front of which reading stopped and behind which it goes on.
    pub gaps: Vec<Gap>,
}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Name of the Teleport cluster.
    pub cluster: String,
    /// Version of Auth.
    pub version: AuthVersion,
}

/// Where to go on.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The road to use.
    pub road: Road,
    /// Lanes of an earlier run that are not finished.
    pub lanes: Vec<(LaneId, Token)>,
    /// Lanes that have ended, but whose window is not known to be retired: what the schedule of
    /// re-scans is made from. All passes of a window, each with its last token. And chunks that
    /// have ended, but whose date is not known to be retired.
    pub closed: Vec<(LaneId, Token)>,
    /// First instant to read when there are no window lanes; cut to whole seconds.
    pub start_time: Timestamp,
}

/// How much more the engine can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Pages that may be asked for; 0 stops reading.
    pub pages: usize,
}

/// What a source reports.
#[derive(Debug)]
pub enum SourceEvent {
    /// Auth's version as of now: at every connection, and when it changed on a living one.
    /// Comes before any page that was read under it.
    Upstream(Survey),
    /// Events.
    Page(Page),
    /// The set of lanes changes, as one step: to be stored in one transaction.
    Lanes(Lanes),
    /// The live lane has reached the tip: nothing newer is there now.
    CaughtUp,
    /// A lane cannot be read at the moment. It is closed; open it again later.
    Stopped(Stopped),
    /// A second of a lane cannot be read, whatever is tried; the lane goes on behind it. To be kept
    /// as a record, like an event of the lane that stands at this place: the next mark of the lane
    /// lies behind it.
    Gap(LaneGap),
}

/// A gap, with what a record of it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneGap {
    /// The lane.
    pub lane: LaneId,
    /// The version that Auth reported on the connection.
    pub version: AuthVersion,
    /// What is missing.
    pub gap: Gap,
}

/// A part of the log that cannot be read: an event in it is larger than Auth sends or we take.
///
/// Always one whole second, so that it is the same gap whoever meets it, in whichever window or
/// pass. Events of that second in front of the large one have been yielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First second, since 1970-01-01T00:00:00Z.
    pub from: i64,
    /// First second behind it.
    pub to: i64,
    /// What Auth said, lower case.
    pub reason: String,
}

/// A change of the set of lanes.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    /// New lanes with their first resume points.
    pub opened: Vec<(LaneId, Token)>,
    /// Lanes that have no more events than those already yielded.
    pub ended: Vec<LaneId>,
    /// Windows, named by the last lane of each, that will not be re-scanned any more. All their
    /// lanes have ended, at the latest in this step. A source that never re-scans retires each
    /// window when it ends; one that is never retired keeps its ids for ever. And dates that will
    /// not be looked at any more, named by the lane that stands for each; all their chunks have
    /// ended too.
    pub retired: Vec<LaneId>,
}

/// A lane that was stopped by its own trouble, not by the connection's.
#[derive(Debug)]
pub struct Stopped {
    /// The lane.
    pub lane: LaneId,
    /// Whether the lane's data is missing (it may appear later), as opposed to unreadable.
    pub missing: bool,
    /// What Auth said, lower case.
    pub reason: String,
}

/// A source cannot go on, or a token is of no use to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Credentials or settings that only an operator can mend.
    #[error("{message}")]
    Operator {
        /// What is wrong and what to do.
        message: String,
        /// The cause, if there is one.
        #[source]
        source: Option<BoxError>,
    },
    /// The token was made by another road or a newer version.
    #[error("resume point of `{lane}` is not readable: {message}")]
    Token {
        /// The lane.
        lane: LaneId,
        /// What is wrong with it.
        message: String,
    },
    /// A peer did not answer as it should.
    #[error("{message}")]
    Peer {
        /// What happened.
        message: String,
        /// When the peer wants to be asked again.
        retry_after: Option<Duration>,
        /// The cause, if there is one.
        #[source]
        source: Option<BoxError>,
    },
}

impl SourceError {
    /// Whether trying again later may help without an operator.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Peer { .. })
    }
}
