//! What a source waits for. Everything is a future that the source itself owns and polls, so that
//! nothing runs behind its back, and dropping a pending `next` loses nothing.

use std::future::Future;

use bytes::Bytes;
use ev_core::{AuthVersion, BoxFuture, LaneId, Survey};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tonic::Status;

use crate::budget::Permit;
use crate::dial::{DialError, Dialled};
use crate::generated::teleport::auditlog::v1::{EventExportChunk, ExportEventUnstructured};
use crate::road::SearchRoad;
use crate::rpc::Searched;
use crate::stream::Part;
use crate::window::Query;

/// Something happened.
pub(crate) enum Done {
    /// Dialling ended.
    Dialled(Box<Attempt>),
    /// It is time to dial again, unless another number has been given out since.
    Redial(u64),
    /// It is time to look at the credentials' files; whether somebody asked for it.
    LookDue(bool),
    /// They were looked at.
    Looked(Look),
    /// The connection of that id is dead.
    Closed(u64),
    /// It is time to ping over the connection of that id.
    PingDue(u64),
    /// The connection of that id answered a Ping, or did not (`None`: in time).
    Pinged(u64, Option<Result<Survey, Box<Status>>>),
    /// A lane was fetched for; `None` when it was closed meanwhile.
    Fetched(LaneId, Ticket, Option<Fetched>),
    /// A lane has waited long enough.
    Woken(LaneId, u64),
    /// A window may have to be read again.
    RescanDue,
}

/// An attempt to connect.
pub(crate) struct Attempt {
    /// What reading the credentials' files again brought, if that was done.
    pub(crate) read: Option<Result<bool, ev_tls::Error>>,
    /// The number of the credentials that were shown.
    pub(crate) shown: u64,
    pub(crate) outcome: Result<Dialled, DialError>,
}

/// A look at the credentials' files.
pub(crate) struct Look {
    /// Whether somebody asked for it.
    pub(crate) asked: bool,
    /// Whether it is the second look, after trouble at the first.
    pub(crate) second: bool,
    /// Whether they hold something new.
    pub(crate) read: Result<bool, ev_tls::Error>,
}

/// What a fetch was made for.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Step of the lane; another one since means that the lane was closed meanwhile.
    pub(crate) step: u64,
    /// Counts the changes of Auth's version.
    pub(crate) generation: u64,
    /// Auth's version at the time of asking.
    pub(crate) version: AuthVersion,
    /// By whose calls it was asked for.
    pub(crate) road: SearchRoad,
    /// Leave for a search.
    pub(crate) permit: Option<Permit>,
}

/// What leave is given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A page of the live window, or the list of a date's chunks.
    Live,
    /// A page of a window with an end, or a chunk.
    Closed,
    /// A search beside the lanes.
    Beside,
}

/// What a fetch brought.
pub(crate) enum Fetched {
    Search(Query, Box<Searched>),
    Session(Part<Bytes>),
    Listed(Part<EventExportChunk>),
    Exported(Part<ExportEventUnstructured>),
}

impl Fetched {
    /// Whether Auth answered with something.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Search(_, searched) => searched.answer.is_ok(),
            Self::Session(part) => part.is_answer(),
            Self::Listed(part) => part.is_answer(),
            Self::Exported(part) => part.is_answer(),
        }
    }
}

/// Everything that is waited for.
#[derive(Default)]
pub(crate) struct Tasks(FuturesUnordered<BoxFuture<'static, Done>>);

impl Tasks {
    pub(crate) fn push(&mut self, task: impl Future<Output = Done> + Send + 'static) {
        self.0.push(Box::pin(task));
    }

    /// The next thing that happens. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Done {
        match self.0.next().await {
            Some(done) => done,
            // A connected source waits for its next Ping, any other for its next attempt.
            None => std::future::pending().await,
        }
    }
}
