//! All lanes of a source: which of them may ask now, and what becomes of the answers.
//!
//! A lane is in one of three states: ready (it stands in the queue), fetching, or waiting for its
//! time. Each change of state has a number, the step; whatever comes back with another number
//! belongs to a lane that was closed meanwhile. Windows and recordings beyond the limits stand in
//! a queue of their own, without any cost but their token.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::{
    AuthVersion, Credit, Env, Form, Gap, LaneGap, LaneId, Lanes, Mark, Page, RawEvent, SessionId,
    SourceEvent, Stopped, Token,
};
use futures_util::future::{AbortHandle, Abortable};
use tonic::{Status, Streaming};
use tracing::debug;

use crate::Config;
use crate::budget::Budget;
use crate::connection::Connection;
use crate::failing::{Asker, Failed, Failing};
use crate::link::Link;
use crate::living::Own;
use crate::rescan::{Due, Rescans};
use crate::road::{CurrentRoad, SearchRoad};
use crate::rpc::{self, Searched, Trouble};
use crate::session::Position;
use crate::stream::{self, Bounds, Part};
use crate::tasks::{Done, Fetched, Kind, Tasks, Ticket};
use crate::token::{Search, SessionToken, WindowToken};
use crate::window::{Narrowed, Query, Then, Window};

mod export;

use self::export::{Chunk, Export, Listing};

/// Events of one page of a recording.
const SESSION_EVENTS: usize = 128;
/// Bytes after which such a page is closed.
const SESSION_BYTES: usize = 256 * 1024;
/// Attempts without a single event after which a recording is given back to the engine.
const SESSION_ATTEMPTS: u32 = 5;

/// Longest time until the wall clock is looked at again for windows to re-scan.
const RESCAN_LOOK: Duration = Duration::from_secs(60);

/// All lanes.
pub(crate) struct Reader {
    /// Start of the very first window, in front of which nothing is wanted.
    first: Option<i64>,
    /// How everything is asked for.
    road: CurrentRoad,
    config: Arc<Config>,
    env: Arc<dyn Env>,
    active: BTreeMap<LaneId, Lane>,
    /// Closed windows that have not begun, oldest first, and whether the engine has that token.
    windows: BTreeMap<LaneId, (WindowToken, bool)>,
    sessions: VecDeque<(SessionId, Position)>,
    ready: VecDeque<LaneId>,
    /// What the engine has not taken yet, in order.
    out: VecDeque<SourceEvent>,
    budget: Budget,
    rescans: Rescans,
    /// Somebody wakes up to look for windows to read again.
    rescan_awaited: bool,
    /// Another one may be due, or due sooner.
    rescans_changed: bool,
    steps: u64,
    /// The tip was told of, and no page has come since.
    told_of_tip: bool,
    /// On the road of the bulk export.
    export: Option<Box<Export>>,
    /// Where others see that searches fail.
    own: Option<Arc<Own>>,
}

struct Lane {
    work: Work,
    state: State,
    step: u64,
    failing: Failing,
}

enum Work {
    Window(Box<Window>),
    Session(Box<Session>),
    Date(Box<Listing>),
    Chunk(Box<Chunk>),
}

impl Work {
    /// What leave it takes to ask for more; reading on in what is open takes none.
    fn needs(&self) -> Option<Kind> {
        match self {
            Self::Window(window) if window.is_live() => Some(Kind::Live),
            Self::Window(_) => Some(Kind::Closed),
            Self::Session(_) => None,
            // So that lists and chunks do not wait for each other.
            Self::Date(listing) => (!listing.is_open()).then_some(Kind::Live),
            Self::Chunk(chunk) => (!chunk.is_open()).then_some(Kind::Closed),
        }
    }
}

struct Session {
    id: SessionId,
    position: Position,
    stream: Option<Box<Streaming<Bytes>>>,
    /// Events of the stream that have been yielded before.
    skip: u64,
    /// Version of Auth when the stream was opened.
    generation: u64,
    repeats: bool,
}

enum State {
    Ready,
    Fetching(AbortHandle),
    /// `for_connection`: a new connection ends the wait.
    Waiting {
        for_connection: bool,
    },
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let State::Fetching(abort) = &self.state {
            abort.abort();
        }
    }
}

impl Reader {
    pub(crate) fn new(config: Arc<Config>, env: Arc<dyn Env>, road: CurrentRoad) -> Self {
        // All catch-up windows and the live one.
        let budget = Budget::new(config.catch_up_lanes.saturating_add(1));
        let seconds = |delay: &Duration| i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
        let rescans = Rescans::new(config.rescan.iter().map(seconds).collect());
        Self {
            first: None,
            road,
            config,
            env,
            rescans,
            rescan_awaited: false,
            rescans_changed: false,
            active: BTreeMap::new(),
            windows: BTreeMap::new(),
            sessions: VecDeque::new(),
            ready: VecDeque::new(),
            out: VecDeque::new(),
            budget,
            steps: 0,
            told_of_tip: false,
            export: None,
            own: None,
        }
    }

    /// Also tells there when searches fail.
    pub(crate) fn telling(self, own: Arc<Own>) -> Self {
        Self { own: Some(own), ..self }
    }

    /// Adds a window; closed ones wait for their turn. `known`: the engine has this very token.
    pub(crate) fn add_window(&mut self, lane: LaneId, token: WindowToken, known: bool) {
        if let LaneId::Window { start, pass } = lane {
            self.rescans.began(start, pass);
        }
        if token.search.end.is_none() {
            self.begin_window(lane, token, known);
        } else {
            self.windows.insert(lane, (token, known));
        }
    }

    /// A window that an earlier run read to its end, once more or for the first time.
    pub(crate) fn add_ended(&mut self, lane: &LaneId, end: i64, opened: Option<i64>) {
        if let LaneId::Window { start, pass } = *lane {
            self.rescans.ended(start, pass, end, opened);
            self.rescans_changed = true;
        }
    }

    /// Windows that need not be read again, each named by its last lane.
    pub(crate) fn retire(&mut self) -> Vec<LaneId> {
        let retired = self.rescans.retire().into_iter();
        retired.map(|(start, pass)| LaneId::Window { start, pass }).collect()
    }

    /// Nothing in front of that second is wanted.
    pub(crate) fn begin_at(&mut self, first: i64) {
        self.first = Some(first);
    }

    /// The request budget, for whoever searches beside the lanes.
    pub(crate) fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// Begins to read the oldest window again that is due, unless one is being read again already,
    /// and sees to it that this is asked for again in time.
    pub(crate) fn begin_rescan(&mut self, tasks: &mut Tasks) {
        // This is asked with every step, and there may be thousands of windows.
        let is_asked = std::mem::take(&mut self.rescans_changed) || !self.rescan_awaited;
        if self.rescans.is_running() || !is_asked {
            return;
        }
        let now = self.env.now().seconds();
        if let Some(Due { start, end, pass }) = self.rescans.due(now) {
            let lane = LaneId::Window { start, pass };
            let bare_start = self.first == Some(start);
            let types = self.config.types.clone();
            let search = Search { start, end: Some(end), bare_start, types };
            let token = WindowToken { search, key: String::new(), opened: Some(now) };
            debug!(%lane, "reading a window again for late events");
            let opened = vec![(lane.clone(), token.encode(self.road.get().road()))];
            self.out.push_back(SourceEvent::Lanes(Lanes { opened, ..Lanes::default() }));
            self.rescans.began(start, pass);
            self.begin_window(lane, token, true);
        } else if let Some(at) = self.rescans.next_at()
            && !std::mem::replace(&mut self.rescan_awaited, true)
        {
            // The wall clock may jump: it is looked at now and then.
            let left = u64::try_from(at.saturating_sub(now)).unwrap_or_default();
            let pause = self.env.sleep(Duration::from_secs(left).min(RESCAN_LOOK));
            tasks.push(async move {
                pause.await;
                Done::RescanDue
            });
        }
    }

    /// It is time to look for windows to read again.
    pub(crate) fn rescan_due(&mut self) {
        self.rescan_awaited = false;
    }

    pub(crate) fn add_session(&mut self, id: SessionId, token: SessionToken) {
        self.sessions.push_back((id, Position(token)));
    }

    /// The token of a lane that is open, begun or not.
    pub(crate) fn is_open(&self, lane: &LaneId) -> bool {
        self.active.contains_key(lane)
            || self.is_left(lane)
            || self.windows.contains_key(lane)
            || matches!(lane, LaneId::Session(id) if self.sessions.iter().any(|(s, _)| s == id))
    }

    pub(crate) fn close(&mut self, lane: &LaneId) {
        if let LaneId::Window { start, .. } = *lane {
            self.rescans.forget(start);
            self.rescans_changed = true;
        }
        self.close_export(lane);
        self.active.remove(lane);
        self.windows.remove(lane);
        self.sessions.retain(|(id, _)| !matches!(lane, LaneId::Session(closed) if closed == id));
        self.ready.retain(|ready| ready != lane);
        self.out.retain_mut(|event| match event {
            SourceEvent::Page(page) => page.lane != *lane,
            SourceEvent::Stopped(stopped) => stopped.lane != *lane,
            SourceEvent::Lanes(lanes) => {
                lanes.ended.retain(|ended| ended != lane);
                !(lanes.ended.is_empty() && lanes.opened.is_empty() && lanes.retired.is_empty())
            }
            SourceEvent::Gap(gap) => gap.lane != *lane,
            SourceEvent::Upstream(_) | SourceEvent::CaughtUp => true,
        });
    }

    /// How everything is asked for now.
    pub(crate) fn road(&self) -> &CurrentRoad {
        &self.road
    }

    /// Asks for everything by the calls of another road from now on. Answers that are under way
    /// are not waited for. Windows begin a new search where the last page began that they have
    /// read, or at their start if this run has read none; recordings go on where they stand.
    pub(crate) fn take_road(&mut self, road: SearchRoad) {
        if road == self.road.get() {
            return;
        }
        self.road.set(road);
        for (token, known) in self.windows.values_mut() {
            token.key.clear();
            *known = false;
        }
        let mut idle = Vec::new();
        for (id, lane) in &mut self.active {
            match &mut lane.work {
                Work::Window(window) => window.take_road(road),
                Work::Session(session) => {
                    session.stream = None;
                    session.repeats = true;
                }
                // Of the export, which is no search.
                Work::Date(_) | Work::Chunk(_) => continue,
            }
            lane.failing = Failing::default();
            match &lane.state {
                State::Ready => continue,
                State::Fetching(abort) => abort.abort(),
                State::Waiting { .. } => {}
            }
            idle.push(id.clone());
        }
        idle.into_iter().for_each(|id| self.make_ready(id));
    }

    pub(crate) fn report(&mut self, event: SourceEvent) {
        self.out.push_back(event);
    }

    /// What the engine can take now. Pages are held back without credit, and whatever stands
    /// behind one: that a lane has ended must not come before its last events.
    pub(crate) fn take(&mut self, credit: Credit) -> Option<SourceEvent> {
        match self.out.front() {
            Some(SourceEvent::Page(_)) if credit.pages == 0 => None,
            None if !self.told_of_tip && self.export_is_idle() => {
                self.told_of_tip = true;
                Some(SourceEvent::CaughtUp)
            }
            _ => self.out.pop_front(),
        }
    }

    /// Starts what may be started, if there is credit for more than is held here already: for each
    /// window a search, within the request budget, and for each recording a look into its stream.
    ///
    /// What is under way is not charged for the pages that it may bring: that would let windows and
    /// recordings that hang keep all others from being read, the live window among them. Pages that
    /// nobody can take yet are held back, at most one for each lane that is being read.
    pub(crate) fn schedule(&mut self, credit: Credit, link: &Link, tasks: &mut Tasks) {
        self.promote();
        let is_refused = self.ask(credit, link, tasks);
        self.budget.lanes_asked(is_refused);
    }

    /// The same. Returns whether there was no room in the budget for some of it.
    fn ask(&mut self, credit: Credit, link: &Link, tasks: &mut Tasks) -> bool {
        let Some((connection, survey)) = link.up() else { return false };
        let held = self.out.iter().filter(|event| matches!(event, SourceEvent::Page(_))).count();
        if held >= credit.pages {
            return false;
        }
        self.promote_chunks();
        let mut is_refused = false;
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            let Some(lane) = self.active.get_mut(&id) else { continue };
            let permit = match lane.work.needs() {
                Some(kind) => {
                    let Some(permit) = self.budget.begin(kind) else {
                        is_refused = true;
                        self.ready.push_back(id);
                        continue;
                    };
                    Some(permit)
                }
                None => None,
            };
            if let (Work::Date(listing), Some(export)) = (&mut lane.work, &mut self.export) {
                listing.begin(export);
            }
            self.steps += 1;
            let ticket = Ticket {
                step: self.steps,
                generation: link.generation(),
                version: survey.version.clone(),
                road: self.road.get(),
                permit,
            };
            let (config, env) = (&self.config, &self.env);
            lane.fetch(id, ticket, &connection, config, env, tasks);
        }
        is_refused
    }

    /// A new connection: nobody has to wait for it any longer.
    pub(crate) fn connected(&mut self) {
        let waiting: Vec<LaneId> = self
            .active
            .iter()
            .filter(|(_, lane)| matches!(lane.state, State::Waiting { for_connection: true }))
            .map(|(id, _)| id.clone())
            .collect();
        for id in waiting {
            self.make_ready(id);
        }
    }

    pub(crate) fn woken(&mut self, lane: LaneId, step: u64) {
        if self.active.get(&lane).is_some_and(|found| found.step == step) {
            self.make_ready(lane);
        }
    }

    /// Takes what a fetch brought.
    pub(crate) fn fetched(
        &mut self,
        id: LaneId,
        mut ticket: Ticket,
        fetched: Option<Fetched>,
        generation: u64,
        tasks: &mut Tasks,
    ) {
        drop(ticket.permit.take());
        let Some(lane) = self.active.get_mut(&id).filter(|lane| lane.step == ticket.step) else {
            return;
        };
        lane.state = State::Waiting { for_connection: false };
        let stale = ticket.generation != generation;
        match (&mut lane.work, fetched) {
            (_, None) => self.make_ready(id),
            // Auth changed its version while this was under way, so nobody knows which schema it
            // was written with: it is asked for again.
            (Work::Window(window), Some(_)) if stale => {
                window.lost();
                self.make_ready(id);
            }
            (Work::Session(session), Some(_)) if stale => {
                session.stream = None;
                session.repeats = true;
                self.make_ready(id);
            }
            (Work::Date(listing), Some(_)) if stale => {
                listing.forget_stream();
                self.make_ready(id);
            }
            (Work::Chunk(chunk), Some(_)) if stale => {
                chunk.forget_stream();
                self.make_ready(id);
            }
            (Work::Window(_), Some(Fetched::Search(query, searched))) => {
                let Searched { answer, proven } = *searched;
                match answer {
                    Ok(found) => {
                        self.budget.answered();
                        self.found(id, &query, found.items, found.last_key, &ticket.version, tasks);
                    }
                    Err(status) => {
                        self.search_failed(id, &status, proven, &ticket.version, tasks);
                    }
                }
            }
            (Work::Session(_), Some(Fetched::Session(part))) => {
                self.looked(id, part, &ticket, tasks);
            }
            (Work::Date(_), Some(Fetched::Listed(part))) => self.listed(id, part, &ticket, tasks),
            (Work::Chunk(_), Some(Fetched::Exported(part))) => {
                self.exported(id, part, &ticket, tasks);
            }
            // A lane fetches only what it is made of.
            (_, Some(_)) => self.make_ready(id),
        }
    }

    fn found(
        &mut self,
        id: LaneId,
        query: &Query,
        items: Vec<Bytes>,
        last_key: String,
        version: &AuthVersion,
        tasks: &mut Tasks,
    ) {
        let Some(Lane { work: Work::Window(window), failing, .. }) = self.active.get_mut(&id)
        else {
            return;
        };
        failing.answered();
        if let Some(own) = &self.own {
            own.set_unread(None);
        }
        let width = i64::try_from(self.config.live_width.as_secs()).unwrap_or(i64::MAX);
        let answer = window.take(query, items, last_key, width);
        if !answer.events.is_empty() || !answer.marks.is_empty() {
            let (events, marks) = (answer.events, answer.marks);
            self.told_of_tip = false;
            let repeats = answer.repeats || is_rescan(&id);
            let form = self.road.get().form();
            self.out.push_back(page(id.clone(), version, form, events, marks, repeats));
        }
        // Told again at the first look that finds nothing behind pages of whatever lane.
        if answer.caught_up && !std::mem::replace(&mut self.told_of_tip, true) {
            self.out.push_back(SourceEvent::CaughtUp);
        }
        self.go_on(id, answer.then, tasks);
    }

    /// What comes next in a window.
    fn go_on(&mut self, id: LaneId, then: Then, tasks: &mut Tasks) {
        let (end, next) = match then {
            Then::Again => return self.make_ready(id),
            Then::Pause => return self.wait(id, self.config.poll_interval, false, tasks),
            Then::End => (None, false),
            Then::Roll(end) => (Some(end), true),
        };
        let Some(Lane { work: Work::Window(window), .. }) = self.active.get(&id) else { return };
        let end = end.or(window.end()).unwrap_or(i64::MAX);
        let (ended, opened) = (vec![id.clone()], window.opened(end));
        let mut lanes = Lanes { ended, ..Lanes::default() };
        let successor = next.then(|| {
            let lane = LaneId::Window { start: end, pass: 0 };
            (lane, window.successor(end, self.env.now().seconds()))
        });
        self.active.remove(&id);
        self.add_ended(&id, end, opened);
        lanes.retired = self.retire();
        debug!(lane = %id, next, "window read to its end");
        let road = self.road.get().road();
        let token = |(lane, token): &(LaneId, WindowToken)| (lane.clone(), token.encode(road));
        lanes.opened = successor.iter().map(token).collect();
        self.out.push_back(SourceEvent::Lanes(lanes));
        if let Some((lane, token)) = successor {
            self.add_window(lane, token, true);
        }
    }

    fn search_failed(
        &mut self,
        id: LaneId,
        status: &Status,
        proven: bool,
        version: &AuthVersion,
        tasks: &mut Tasks,
    ) {
        let Some(Lane { work: Work::Window(window), failing, .. }) = self.active.get_mut(&id)
        else {
            return;
        };
        let asker = Asker { name: &id, budget: &self.budget, env: &*self.env };
        let Failed { kind, reason, pause, narrowed } =
            failing.of_window(window, status, proven, &asker);
        if kind != Trouble::Connection
            && !pause.is_zero()
            && let Some(own) = &self.own
        {
            own.set_unread(Some((self.env.monotonic(), reason.clone())));
        }
        if let Narrowed::Gap { second, then } = narrowed {
            let gap = Gap { from: second, to: second.saturating_add(1), reason };
            let gap = LaneGap { lane: id.clone(), version: version.clone(), gap };
            self.out.push_back(SourceEvent::Gap(gap));
            // Should nothing at all be to be had, it is no race through the log: there is a pause.
            if then != Then::Again {
                return self.go_on(id, then, tasks);
            }
        }
        if pause.is_zero() {
            self.make_ready(id);
        } else {
            self.wait(id, pause, kind == Trouble::Connection, tasks);
        }
    }

    fn looked(&mut self, id: LaneId, part: Part<Bytes>, ticket: &Ticket, tasks: &mut Tasks) {
        let Some(Lane { work: Work::Session(session), failing, .. }) = self.active.get_mut(&id)
        else {
            return;
        };
        let backoff = &mut failing.backoff;
        let mut events = part.items;
        let passed = usize::try_from(session.skip).unwrap_or(usize::MAX).min(events.len());
        session.skip -= passed as u64;
        events.drain(..passed);
        if !events.is_empty() {
            backoff.reset();
            let mut marks = Vec::with_capacity(events.len());
            let road = ticket.road;
            for (index, event) in events.iter().enumerate() {
                session.position.pass(road.form(), event);
                let token = session.position.0.encode(road.road());
                marks.push(Mark { after: index + 1, token });
            }
            let repeats = std::mem::take(&mut session.repeats);
            self.told_of_tip = false;
            let form = road.form();
            self.out.push_back(page(id.clone(), &ticket.version, form, events, marks, repeats));
        }
        match part.then {
            stream::Then::More(stream) => {
                session.stream = Some(stream);
                session.generation = ticket.generation;
                self.make_ready(id);
            }
            stream::Then::End => {
                debug!(lane = %id, events = session.position.0.total, "recording read to its end");
                self.active.remove(&id);
                let ended = Lanes { ended: vec![id], ..Lanes::default() };
                self.out.push_back(SourceEvent::Lanes(ended));
            }
            stream::Then::Failed(status) => self.session_failed(id, &status, tasks),
        }
    }

    fn session_failed(&mut self, id: LaneId, status: &Status, tasks: &mut Tasks) {
        let Some(Lane { work: Work::Session(session), failing, .. }) = self.active.get_mut(&id)
        else {
            return;
        };
        let backoff = &mut failing.backoff;
        session.stream = None;
        session.repeats = true;
        let kind = Trouble::of(status);
        let reason = rpc::describe(status);
        if kind == Trouble::Connection {
            let pause = backoff.next(&*self.env);
            return self.wait(id, pause, true, tasks);
        }
        let missing = kind == Trouble::Missing;
        if missing || backoff.failures() + 1 >= SESSION_ATTEMPTS {
            // Whoever decides when to ask again tells it.
            debug!(lane = %id, missing, reason, "recording cannot be read now");
            self.active.remove(&id);
            return self.out.push_back(SourceEvent::Stopped(Stopped { lane: id, missing, reason }));
        }
        debug!(lane = %id, reason, "recording broke off, trying again");
        let pause = backoff.next(&*self.env);
        self.wait(id, pause, false, tasks);
    }

    /// Begins windows and recordings while there is room.
    fn promote(&mut self) {
        let (mut closed, mut sessions) = (0, 0);
        for (_, lane) in self.active.iter().filter(|(id, _)| !is_rescan(id)) {
            match &lane.work {
                Work::Window(window) => closed += usize::from(!window.is_live()),
                Work::Session(_) => sessions += 1,
                Work::Date(_) | Work::Chunk(_) => {}
            }
        }
        for _ in closed..self.config.catch_up_lanes {
            let Some((lane, (token, known))) = self.windows.pop_first() else { break };
            self.begin_window(lane, token, known);
        }
        for _ in sessions..self.config.concurrency {
            let Some((id, position)) = self.sessions.pop_front() else { break };
            let lane = LaneId::Session(id.clone());
            let session = Session {
                id,
                position,
                stream: None,
                skip: 0,
                generation: 0,
                repeats: position.0.total > 0,
            };
            self.begin(lane, Work::Session(Box::new(session)));
        }
    }

    fn begin_window(&mut self, lane: LaneId, token: WindowToken, known: bool) {
        let Config { types, batch, .. } = &*self.config;
        let window = Window::resume(self.road.get(), token, known, types, *batch);
        self.begin(lane, Work::Window(Box::new(window)));
    }

    fn begin(&mut self, id: LaneId, work: Work) {
        let lane = Lane { work, state: State::Ready, step: 0, failing: Failing::default() };
        self.active.insert(id.clone(), lane);
        self.make_ready(id);
    }

    fn make_ready(&mut self, id: LaneId) {
        if let Some(lane) = self.active.get_mut(&id) {
            self.steps += 1;
            lane.step = self.steps;
            lane.state = State::Ready;
            self.ready.push_back(id);
        }
    }

    fn wait(&mut self, id: LaneId, pause: Duration, for_connection: bool, tasks: &mut Tasks) {
        let Some(lane) = self.active.get_mut(&id) else { return };
        self.steps += 1;
        let step = self.steps;
        lane.step = step;
        lane.state = State::Waiting { for_connection };
        let pause = self.env.sleep(pause);
        tasks.push(async move {
            pause.await;
            Done::Woken(id, step)
        });
    }
}

impl Lane {
    fn fetch(
        &mut self,
        id: LaneId,
        ticket: Ticket,
        connection: &Arc<Connection>,
        config: &Config,
        env: &Arc<dyn Env>,
        tasks: &mut Tasks,
    ) {
        let (connection, patience) = (Arc::clone(connection), config.request_timeout);
        let road = ticket.road;
        let (abort, registration) = AbortHandle::new_pair();
        self.step = ticket.step;
        self.state = State::Fetching(abort);
        match &mut self.work {
            Work::Window(window) => {
                let now = env.now().seconds();
                let (query, control) = (window.query(now), window.control(now));
                let env = Arc::clone(env);
                let fetch = async move {
                    let asked = query.clone();
                    let search = rpc::search_with_control(
                        &connection,
                        road,
                        asked,
                        control,
                        patience,
                        &*env,
                    );
                    Fetched::Search(query, Box::new(search.await))
                };
                let fetch = Abortable::new(fetch, registration);
                tasks.push(async move { Done::Fetched(id, ticket, fetch.await.ok()) });
            }
            Work::Session(session) => {
                // A stream of another version's time may go on in the old words.
                let stream =
                    session.stream.take().filter(|_| session.generation == ticket.generation);
                let SessionToken { from, skip, .. } = session.position.0;
                if stream.is_none() {
                    session.skip = skip;
                }
                let id_of = session.id.clone();
                let bounds = Bounds { items: SESSION_EVENTS, bytes: SESSION_BYTES, patience };
                let env = Arc::clone(env);
                let fetch = async move {
                    let call = rpc::stream_session(&connection, road, &id_of, from);
                    let size = |event: &Bytes| event.len();
                    Fetched::Session(stream::read(stream, call, size, bounds, env).await)
                };
                let fetch = Abortable::new(fetch, registration);
                tasks.push(async move { Done::Fetched(id, ticket, fetch.await.ok()) });
            }
            Work::Date(listing) => {
                let fetch = listing.fetch(&ticket, connection, patience, Arc::clone(env));
                let fetch = async move { Fetched::Listed(fetch.await) };
                let fetch = Abortable::new(fetch, registration);
                tasks.push(async move { Done::Fetched(id, ticket, fetch.await.ok()) });
            }
            Work::Chunk(chunk) => {
                let items = usize::from(config.batch);
                let fetch = chunk.fetch(&ticket, connection, items, patience, Arc::clone(env));
                let fetch = async move { Fetched::Exported(fetch.await) };
                let fetch = Abortable::new(fetch, registration);
                tasks.push(async move { Done::Fetched(id, ticket, fetch.await.ok()) });
            }
        }
    }
}

/// Whether a lane reads its window once more.
fn is_rescan(lane: &LaneId) -> bool {
    matches!(lane, LaneId::Window { pass, .. } if *pass > 0)
}

fn page(
    lane: LaneId,
    version: &AuthVersion,
    form: Form,
    events: Vec<Bytes>,
    marks: Vec<Mark>,
    repeats: bool,
) -> SourceEvent {
    let raw = |bytes| RawEvent { form, bytes };
    SourceEvent::Page(Page {
        lane,
        version: version.clone(),
        events: events.into_iter().map(raw).collect(),
        marks,
        repeats,
    })
}

/// The first token of a recording.
pub(crate) fn session_start(road: SearchRoad) -> Token {
    SessionToken::default().encode(road.road())
}
