//! Reading a chunk, for whoever wants it.
//!
//! - It is read on behind the last cursor that came. An event without one leaves it where it is:
//!   there is no place behind that event to go on from.
//! - Nobody can go on behind an event without having read it, as its cursor comes with it. So an
//!   event that is larger than others may be is asked for a second time with a larger limit.
//! - What was begun under one version of Auth is not read on under another.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{AuthVersion, Date, Env};
use tonic::{Status, Streaming};

use crate::connection::Connection;
use crate::generated::teleport::auditlog::v1::ExportEventUnstructured;
use crate::rpc::{self, Trouble};
use crate::stream::{self, Bounds, Part, Then};

/// Bytes after which a part is closed.
const PART_BYTES: usize = 1 << 20;
/// How much larger than others an event may be on the second attempt.
const LARGE: usize = 8;

/// A chunk that is being read.
pub(crate) struct Reading {
    pub(crate) date: Date,
    pub(crate) name: String,
    cursor: String,
    stream: Option<(AuthVersion, Box<Streaming<ExportEventUnstructured>>)>,
    /// An event of it is larger than others may be.
    large: bool,
}

/// What a part brought.
pub(crate) struct Taken {
    /// Its events, each with the cursor behind it.
    pub(crate) items: Vec<ExportEventUnstructured>,
    /// Whether the chunk stands elsewhere now. Where it does not, the same events come again, so
    /// that their coming is no sign that anything is well.
    pub(crate) moved: bool,
    /// What comes behind them.
    pub(crate) ending: Ending,
}

/// How a chunk goes on.
pub(crate) enum Ending {
    /// There may be more.
    More,
    /// That was all.
    End,
    /// It broke off. What is to be asked for next may be larger than before: then there is no
    /// reason to wait.
    Failed {
        /// What Auth said, or what happened on the way.
        status: Box<Status>,
        /// Whose trouble it is.
        kind: Trouble,
        /// Whether the next attempt may be made at once.
        at_once: bool,
    },
}

impl Reading {
    /// From behind `cursor`; from the beginning if that is empty.
    pub(crate) fn new(date: Date, name: String, cursor: String) -> Self {
        Self { date, name, cursor, stream: None, large: false }
    }

    /// Where it stands.
    pub(crate) fn cursor(&self) -> &str {
        &self.cursor
    }

    /// From its beginning next time.
    pub(crate) fn begin_anew(&mut self) {
        self.cursor.clear();
        self.stream = None;
    }

    /// Whether there is an answer to read on in.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// What was read under another version of Auth counts for nothing.
    pub(crate) fn forget_stream(&mut self) {
        self.stream = None;
    }

    /// The next part, of at most so many events, over a connection to an Auth of that version.
    /// [`Reading::take`] has to be given what comes.
    pub(crate) fn part(
        &mut self,
        connection: Arc<Connection>,
        version: &AuthVersion,
        items: usize,
        patience: Duration,
        env: Arc<dyn Env>,
    ) -> impl Future<Output = Part<ExportEventUnstructured>> + Send + 'static {
        let stream = self.stream.take().filter(|(of, _)| of == version).map(|(_, stream)| stream);
        let (date, name, cursor) = (self.date.start(), self.name.clone(), self.cursor.clone());
        let bounds = Bounds { items, bytes: PART_BYTES, patience };
        let most = connection.max_message_bytes;
        let most = if self.large { most.saturating_mul(LARGE) } else { most };
        async move {
            let call = rpc::export_events(&connection, date, name, cursor, most);
            stream::read(stream, call, |item| item.event.len(), bounds, env).await
        }
    }

    /// Takes a part that was read under that version.
    pub(crate) fn take(
        &mut self,
        part: Part<ExportEventUnstructured>,
        version: &AuthVersion,
    ) -> Taken {
        let last = part.items.iter().rev().find(|item| !item.cursor.is_empty());
        let moved = last.is_some_and(|last| last.cursor != self.cursor);
        if let Some(last) = last {
            self.cursor.clone_from(&last.cursor);
        }
        // What comes again and again from the same place is not behind the large event.
        self.large &= !moved;
        let ending = match part.then {
            Then::More(stream) => {
                self.stream = Some((version.clone(), stream));
                Ending::More
            }
            Then::End => Ending::End,
            Then::Failed(status) => {
                let kind = Trouble::of(&status);
                let is_large = kind == Trouble::TooLarge;
                let at_once = is_large && !std::mem::replace(&mut self.large, true);
                Ending::Failed { status, kind, at_once }
            }
        };
        Taken { items: part.items, moved, ending }
    }
}
