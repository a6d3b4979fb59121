//! Sources: who reads the log of Auth.

use std::time::Duration;

use crate::{AuthVersion, BoxError, BoxFuture, LaneId, Page, Road, Timestamp, Token};

/// Reads Auth's log in lanes.
///
/// A source reconnects by itself, for ever, with jittered backoff; it asks Auth for its version
/// at every connection and each minute. It never drops an event by its time: windows overlap, and
/// whoever receives the pages recognises events by their id.
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
}

/// A change of the set of lanes.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    /// New lanes with their first resume points.
    pub opened: Vec<(LaneId, Token)>,
    /// Lanes that have no more events than those already yielded.
    pub ended: Vec<LaneId>,
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
