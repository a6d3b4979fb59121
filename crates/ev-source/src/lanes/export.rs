//! The lanes of the bulk export: dates that are looked at for chunks, and the chunks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::{Date, Form, LaneId, Lanes, Mark, Resume, SourceError, SourceEvent, Token};
use tonic::{Code, Status, Streaming};
use tracing::{debug, info, warn};

use super::{Lane, Reader, State, Work, page};
use crate::connection::Connection;
use crate::export::{Ending, ExportPlace, Filter, Left, Limits, Plan, Reading, Taken, Turn};
use crate::failing::Failing;
use crate::generated::teleport::auditlog::v1::{EventExportChunk, ExportEventUnstructured};
use crate::rpc::{self, Trouble};
use crate::stream::{self, Bounds, Part, Then};
use crate::tasks::{Tasks, Ticket};

/// Names of chunks that are taken from a list at once.
const LIST_NAMES: usize = 4096;
/// Bytes of names after which no more are.
const LIST_BYTES: usize = 1 << 20;
/// Attempts that got no further after which a chunk keeps no other one and no date waiting.
const ATTEMPTS: u32 = 4;
/// Attempts after which a cursor that Auth refuses is taken for one that it will never take.
const CURSOR_ATTEMPTS: u32 = 3;

/// What a source keeps of the export as a whole.
pub(super) struct Export {
    plan: Plan,
    filter: Filter,
    /// First second that is wanted.
    from: i64,
    /// Chunks that an earlier run had begun, until they are taken up.
    left: BTreeMap<LaneId, Place>,
}

/// Where a chunk stands.
#[derive(Clone, Debug)]
struct Place {
    from: i64,
    cursor: String,
}

/// A date that is looked at for chunks.
pub(super) struct Listing {
    day: Date,
    stream: Option<Box<Streaming<EventExportChunk>>>,
    /// Version of Auth when the stream was opened.
    generation: u64,
    /// Names that came in this list.
    names: usize,
}

/// A chunk that is being read.
pub(super) struct Chunk {
    reading: Reading,
    /// First second that is wanted.
    from: i64,
    repeats: bool,
    /// It fails again and again.
    troubled: bool,
    /// Events that were not wanted.
    left_out: u64,
}

impl Listing {
    /// Whether there is a list to read on in.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// What was read under another version of Auth counts for nothing.
    pub(super) fn forget_stream(&mut self) {
        self.stream = None;
    }

    /// A part of the list is going to be read; the first one, if none is open.
    pub(super) fn begin(&mut self, export: &mut Export) {
        if self.stream.is_none() {
            self.names = 0;
            export.plan.list_begins(self.day);
        }
    }

    /// Reads on in the list, or from its beginning.
    pub(super) fn fetch(
        &mut self,
        ticket: &Ticket,
        connection: Arc<Connection>,
        patience: Duration,
        env: Arc<dyn ev_core::Env>,
    ) -> impl Future<Output = Part<EventExportChunk>> + Send + 'static {
        let stream = self.stream.take().filter(|_| self.generation == ticket.generation);
        let date = self.day.start();
        let bounds = Bounds { items: LIST_NAMES, bytes: LIST_BYTES, patience };
        async move {
            let call = rpc::export_chunks(&connection, date);
            stream::read(stream, call, |item| item.chunk.len(), bounds, env).await
        }
    }
}

impl Chunk {
    /// Whether there is an answer to read on in.
    pub(super) fn is_open(&self) -> bool {
        self.reading.is_open()
    }

    /// What was read under another version of Auth counts for nothing.
    pub(super) fn forget_stream(&mut self) {
        self.reading.forget_stream();
        self.repeats = true;
    }

    /// Reads on in the chunk, or from its place.
    pub(super) fn fetch(
        &mut self,
        ticket: &Ticket,
        connection: Arc<Connection>,
        items: usize,
        patience: Duration,
        env: Arc<dyn ev_core::Env>,
    ) -> impl Future<Output = Part<ExportEventUnstructured>> + Send + 'static {
        self.reading.part(connection, &ticket.version, items, patience, env)
    }
}

fn date_lane(day: Date, from: i64) -> (LaneId, Token) {
    ExportPlace::Date { date: day.to_string(), from }.to_lane()
}

fn chunk_lane(day: Date, name: &str, place: &Place) -> (LaneId, Token) {
    let Place { from, cursor } = place.clone();
    let (date, chunk) = (day.to_string(), name.to_owned());
    ExportPlace::Chunk { date, chunk, from, cursor }.to_lane()
}

impl Reader {
    /// Takes up the dates and chunks of an earlier run, or begins at the date of the start time.
    ///
    /// # Errors
    ///
    /// When a token is damaged or of another road.
    pub(crate) fn resume_export(&mut self, resume: Resume) -> Result<(), SourceError> {
        let start = resume.start_time.seconds();
        let mut left = Left { days: Vec::new(), open: Vec::new(), done: Vec::new() };
        let (mut places, mut from) = (BTreeMap::new(), None);
        for (lane, token) in resume.lanes {
            let place = match ExportPlace::of(&lane, &token) {
                Err(_)
                    if token.road == ev_core::Road::Export
                        && token.format != ExportPlace::FORMAT =>
                {
                    warn!(%lane, "resume point is of another release, reading anew");
                    anew(&lane, start)
                }
                place => place?,
            };
            match place {
                ExportPlace::Date { date, from: first } => {
                    left.days.extend(Date::parse(&date));
                    from = Some(from.map_or(first, |from: i64| from.min(first)));
                }
                ExportPlace::Chunk { date, chunk, from, cursor } => {
                    let Some(day) = Date::parse(&date) else { continue };
                    left.open.push((day, chunk));
                    places.insert(lane, Place { from, cursor });
                }
            }
        }
        for (lane, _) in resume.closed {
            if let LaneId::Chunk { date, chunk } = lane {
                left.done.extend(Date::parse(&date).map(|day| (day, chunk)));
            }
        }
        let from = from.unwrap_or(start);
        let limits = Limits {
            per_date: self.config.export_chunks,
            total: self.config.chunks_at_once(),
            backlog: i64::try_from(self.config.export_backlog).unwrap_or(i64::MAX),
        };
        let open = left.open.clone();
        let (mut plan, turn) = Plan::new(limits, from, left);
        // Chunks of a date that nobody looks at any more are read to their end all the same.
        let (known, strays): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(day, _)| plan.has(*day));
        strays.iter().for_each(|_| plan.begin_other());
        let days: Vec<Date> = plan.days().filter(|day| !turn.opened.contains(day)).collect();
        info!(dates = days.len() + turn.opened.len(), chunks = known.len(), "reading the export");
        let filter = Filter::new(&self.config.types);
        self.export = Some(Box::new(Export { plan, filter, from, left: places }));
        for (day, name) in strays {
            self.take_up_chunk(day, name);
        }
        for day in days {
            self.begin_date(day);
        }
        self.apply(turn);
        Ok(())
    }

    /// Begins chunks while there is room.
    pub(super) fn promote_chunks(&mut self) {
        while let Some((day, name)) = self.export.as_mut().and_then(|export| export.plan.begin()) {
            self.take_up_chunk(day, name);
        }
    }

    /// Whether all that is there has been read, as far as is known.
    pub(super) fn export_is_idle(&self) -> bool {
        let today = Date::of(self.env.now().seconds());
        self.export.as_ref().is_some_and(|export| export.plan.is_idle(today))
    }

    /// Chunks that an earlier run had begun and that are not taken up yet count as open.
    pub(super) fn is_left(&self, lane: &LaneId) -> bool {
        self.export.as_ref().is_some_and(|export| export.left.contains_key(lane))
    }

    /// A lane of the export was closed from outside.
    pub(super) fn close_export(&mut self, lane: &LaneId) {
        let Some(export) = &mut self.export else { return };
        export.left.remove(lane);
        if let Some(Lane { work: Work::Chunk(chunk), .. }) = self.active.get(lane) {
            export.plan.end(chunk.reading.date, chunk.troubled);
        }
    }

    /// Takes a part of a date's list.
    pub(super) fn listed(
        &mut self,
        id: LaneId,
        part: Part<EventExportChunk>,
        ticket: &Ticket,
        tasks: &mut Tasks,
    ) {
        let Some(Lane { work: Work::Date(listing), failing, .. }) = self.active.get_mut(&id) else {
            return;
        };
        let Some(export) = &mut self.export else { return };
        let day = listing.day;
        listing.names += part.items.len();
        let mut news = false;
        // Nobody could ask for a chunk without a name.
        for EventExportChunk { chunk } in part.items.into_iter().filter(|c| !c.chunk.is_empty()) {
            news |= export.plan.find(day, chunk);
        }
        // A list that breaks off behind the same names each time gets nowhere.
        if news {
            failing.answered();
        }
        match part.then {
            Then::More(stream) => {
                listing.stream = Some(stream);
                listing.generation = ticket.generation;
                self.make_ready(id);
            }
            Then::End => {
                failing.answered();
                if let Some(own) = &self.own {
                    own.set_unread(None);
                }
                export.plan.list_ends(day);
                let again = export.plan.is_undecided(day);
                debug!(lane = %id, chunks = listing.names, again, "date looked at for chunks");
                self.budget.answered();
                if again {
                    self.make_ready(id);
                } else {
                    let poll = self.config.export_poll;
                    let pause = poll.saturating_sub(self.env.jitter(poll / 7));
                    self.wait(id, pause, false, tasks);
                }
                self.turn();
            }
            Then::Failed(status) => self.list_failed(id, &status, tasks),
        }
    }

    fn list_failed(&mut self, id: LaneId, status: &Status, tasks: &mut Tasks) {
        let Some(Lane { work: Work::Date(listing), failing, .. }) = self.active.get_mut(&id) else {
            return;
        };
        let Failing { backoff, trouble, .. } = failing;
        let reason = rpc::describe(status);
        let news = trouble.is_news(&reason);
        let kind = Trouble::of(status);
        let env = &*self.env;
        // What is wrong with the list of one date may be of that date alone.
        let of_all = kind == Trouble::Denied || status.code() == Code::Unimplemented;
        if let Some(own) = self.own.as_ref().filter(|_| of_all) {
            own.set_unread(Some((env.monotonic(), reason.clone())));
        }
        let pause = match kind {
            Trouble::Connection => backoff.next(env),
            Trouble::Busy => {
                self.budget.refused();
                backoff.export(env)
            }
            Trouble::Denied => {
                if news {
                    warn!(
                        lane = %id, reason,
                        "auth does not let us export events: give the user a role that allows \
                         `list` and `read` on `event` and `session`"
                    );
                }
                backoff.slow(env)
            }
            _ if status.code() == Code::Unimplemented => {
                if news {
                    warn!(lane = %id, reason, "auth offers no bulk export, trying until it does");
                }
                backoff.slow(env)
            }
            _ => {
                if news {
                    warn!(lane = %id, reason, "list of chunks failed, trying again");
                }
                let pause = backoff.export(env);
                if backoff.failures() >= ATTEMPTS
                    && let Some(export) = &mut self.export
                    && export.plan.list_fails(listing.day)
                {
                    warn!(lane = %id, reason, "chunks of a date are unknown, going on meanwhile");
                    if let Some(own) = self.own.as_ref().filter(|_| export.plan.all_lists_fail()) {
                        own.set_unread(Some((env.monotonic(), reason)));
                    }
                    self.turn();
                }
                pause
            }
        };
        self.wait(id, pause, kind == Trouble::Connection, tasks);
    }

    /// Takes a part of a chunk.
    pub(super) fn exported(
        &mut self,
        id: LaneId,
        part: Part<ExportEventUnstructured>,
        ticket: &Ticket,
        tasks: &mut Tasks,
    ) {
        let Some(Lane { work: Work::Chunk(chunk), failing, .. }) = self.active.get_mut(&id) else {
            return;
        };
        let Some(export) = &mut self.export else { return };
        let Taken { items, moved, ending } = chunk.reading.take(part, &ticket.version);
        if moved {
            failing.answered();
            if let Some(own) = &self.own {
                own.set_unread(None);
            }
            if std::mem::take(&mut chunk.troubled) {
                export.plan.trouble(chunk.reading.date, false);
            }
        }
        if !items.is_empty() {
            let (events, marks) = chunk.take(items, &export.filter);
            let repeats = std::mem::take(&mut chunk.repeats);
            self.told_of_tip = false;
            let (form, version) = (Form::Unstructured, &ticket.version);
            self.out.push_back(page(id.clone(), version, form, events, marks, repeats));
        }
        match ending {
            Ending::More => self.make_ready(id),
            Ending::End => {
                let (date, troubled, left_out) =
                    (chunk.reading.date, chunk.troubled, chunk.left_out);
                debug!(lane = %id, left_out, "chunk read to its end");
                let again = export.plan.end(date, troubled);
                self.budget.answered();
                self.active.remove(&id);
                let ended = Lanes { ended: vec![id], ..Lanes::default() };
                self.out.push_back(SourceEvent::Lanes(ended));
                if again {
                    self.look_again(date);
                }
                self.turn();
            }
            Ending::Failed { at_once: true, .. } => {
                chunk.repeats = true;
                self.make_ready(id);
            }
            Ending::Failed { status, kind, .. } => self.chunk_failed(id, &status, kind, tasks),
        }
    }

    fn chunk_failed(&mut self, id: LaneId, status: &Status, kind: Trouble, tasks: &mut Tasks) {
        let Some(Lane { work: Work::Chunk(chunk), failing, .. }) = self.active.get_mut(&id) else {
            return;
        };
        let Failing { backoff, trouble, .. } = failing;
        let Some(export) = &mut self.export else { return };
        chunk.repeats = true;
        let reason = rpc::describe(status);
        let news = trouble.is_news(&reason);
        let env = &*self.env;
        if kind == Trouble::Denied
            && let Some(own) = &self.own
        {
            own.set_unread(Some((env.monotonic(), reason.clone())));
        }
        let pause = match kind {
            Trouble::Connection => backoff.next(env),
            Trouble::Busy => {
                self.budget.refused();
                if news {
                    warn!(lane = %id, reason, "auth exports fewer chunks at once, slowing down");
                }
                backoff.export(env)
            }
            Trouble::Invalid
                if !chunk.reading.cursor().is_empty() && backoff.failures() >= CURSOR_ATTEMPTS =>
            {
                warn!(lane = %id, reason, "auth refuses the cursor, reading the chunk anew");
                chunk.reading.begin_anew();
                backoff.export(env)
            }
            Trouble::Denied => {
                if news {
                    warn!(lane = %id, reason, "auth does not let us export events");
                }
                backoff.slow(env)
            }
            Trouble::TooLarge
            | Trouble::Invalid
            | Trouble::Missing
            | Trouble::Failed
            | Trouble::Other => {
                if news {
                    warn!(lane = %id, reason, "export of a chunk broke off, trying again");
                }
                backoff.export(env)
            }
        };
        // What concerns all chunks is no trouble of this one, beside which others could be begun.
        let concerns_all = matches!(kind, Trouble::Connection | Trouble::Busy | Trouble::Denied);
        let fails = backoff.failures() >= ATTEMPTS && !concerns_all;
        if fails && !std::mem::replace(&mut chunk.troubled, true) {
            export.plan.trouble(chunk.reading.date, true);
            warn!(lane = %id, reason, "a chunk cannot be exported, going on without it meanwhile");
            self.turn();
        }
        self.wait(id, pause, kind == Trouble::Connection, tasks);
    }

    /// Goes on to other dates if it is time.
    fn turn(&mut self) {
        let today = Date::of(self.env.now().seconds());
        if let Some(export) = &mut self.export {
            let turn = export.plan.turn(today);
            self.apply(turn);
        }
    }

    fn apply(&mut self, turn: Turn) {
        let Some(from) = self.export.as_ref().map(|export| export.from) else { return };
        let Turn { opened, retired, again } = turn;
        let mut lanes = Lanes::default();
        for day in &retired {
            let (lane, _) = date_lane(*day, from);
            if self.active.remove(&lane).is_some() {
                debug!(%lane, "date is looked at no more");
                lanes.ended.push(lane.clone());
            }
            lanes.retired.push(lane);
        }
        lanes.opened = opened.iter().map(|day| date_lane(*day, from)).collect();
        if !lanes.opened.is_empty() || !lanes.retired.is_empty() {
            self.out.push_back(SourceEvent::Lanes(lanes));
        }
        for day in opened {
            self.begin_date(day);
        }
        for day in again {
            self.look_again(day);
        }
    }

    /// Reads the list of a date from its beginning, whatever is under way there.
    fn look_again(&mut self, day: Date) {
        let Some(from) = self.export.as_ref().map(|export| export.from) else { return };
        let (id, _) = date_lane(day, from);
        let Some(lane) = self.active.get_mut(&id) else { return };
        if let Work::Date(listing) = &mut lane.work {
            listing.forget_stream();
        }
        match &lane.state {
            // It stands in the queue.
            State::Ready => return,
            State::Fetching(abort) => abort.abort(),
            State::Waiting { .. } => {}
        }
        self.make_ready(id);
    }

    fn begin_date(&mut self, day: Date) {
        let Some(from) = self.export.as_ref().map(|export| export.from) else { return };
        let (lane, _) = date_lane(day, from);
        let listing = Listing { day, stream: None, generation: 0, names: 0 };
        self.begin(lane, Work::Date(Box::new(listing)));
    }

    /// Begins a chunk, or goes on where an earlier run was.
    fn take_up_chunk(&mut self, day: Date, name: String) {
        let Some(export) = &mut self.export else { return };
        let lane = LaneId::Chunk { date: day.to_string(), chunk: name.clone() };
        let left = export.left.remove(&lane);
        let repeats = left.is_some();
        let place = left.unwrap_or_else(|| Place { from: export.from, cursor: String::new() });
        if !repeats {
            let opened = vec![chunk_lane(day, &name, &place)];
            self.out.push_back(SourceEvent::Lanes(Lanes { opened, ..Lanes::default() }));
        }
        let Place { from, cursor } = place;
        let reading = Reading::new(day, name, cursor);
        let chunk = Chunk { reading, from, repeats, troubled: false, left_out: 0 };
        self.begin(lane, Work::Chunk(Box::new(chunk)));
    }
}

impl Chunk {
    /// The events that are wanted, and the resume point behind them.
    fn take(
        &mut self,
        items: Vec<ExportEventUnstructured>,
        filter: &Filter,
    ) -> (Vec<Bytes>, Vec<Mark>) {
        let count = items.len();
        let mut events = Vec::with_capacity(count);
        let mut mark = None;
        for ExportEventUnstructured { event, cursor } in items {
            if filter.keeps(&event, self.from) {
                events.push(event);
            }
            // The place of the last one that has a cursor.
            if !cursor.is_empty() {
                mark = Some(events.len());
            }
        }
        self.left_out += (count - events.len()) as u64;
        let marks = mark.map(|after| {
            let place = Place { from: self.from, cursor: self.reading.cursor().to_owned() };
            let (_, token) = chunk_lane(self.reading.date, &self.reading.name, &place);
            Mark { after, token }
        });
        (events, marks.into_iter().collect())
    }
}

/// The place at which a lane begins whose resume point nobody can read.
fn anew(lane: &LaneId, from: i64) -> ExportPlace {
    let (date, chunk) = match lane {
        LaneId::Chunk { date, chunk } => (date.clone(), chunk.clone()),
        LaneId::Window { .. } | LaneId::Session(_) => (String::new(), String::new()),
    };
    if chunk.is_empty() {
        ExportPlace::Date { date, from }
    } else {
        ExportPlace::Chunk { date, chunk, from, cursor: String::new() }
    }
}
