//! Reads the scripted Auth as a source does: lanes, marks, the tip again and again.
//!
//! All that is under way is data with the time at which it is done, so that a dropped future loses
//! nothing and every wait is one sleep.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    AuthVersion, BoxFuture, Credit, Form, LaneId, Lanes, Mark, Page, RawEvent, Resume, SessionId,
    Source, SourceError, SourceEvent, SpanPage, SpanQuery, SpanReader, Stopped, Survey, Token,
};

use crate::auth::{Key, Query, Reading};
use crate::decoders::{NEW, OLD};
use crate::event::{self, EventNo};
use crate::rng::Rng;
use crate::token::{self, WindowToken};
use crate::window::{SETTLING, Then, Window};
use crate::world::{World, lock};

/// Recordings read at one time.
const SESSIONS_AT_ONCE: usize = 3;

/// How long a source waits for the next event of a recording.
const PATIENCE: Duration = Duration::from_secs(30);

/// What by our clock is taken to be complete.
const MARGIN: i64 = 120;

pub(crate) struct SimSource {
    world: Arc<World>,
    rng: Rng,
    windows: BTreeMap<i64, Lane<Window>>,
    sessions: BTreeMap<u32, Lane<u32>>,
    /// What the engine has not taken yet, each with the events in it.
    out: VecDeque<(SourceEvent, Vec<EventNo>)>,
    version: Option<bool>,
    told_of_tip: bool,
}

struct Lane<T> {
    at: T,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Fetching { since: Duration, done: Duration },
    Waiting { until: Duration },
}

impl<T> Lane<T> {
    fn new(at: T) -> Self {
        Self { at, state: State::Ready }
    }

    fn due(&self) -> Option<Duration> {
        match self.state {
            State::Ready => None,
            State::Fetching { done, .. } => Some(done),
            State::Waiting { until } => Some(until),
        }
    }

    fn is_fetched(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Fetching { since, done } if done <= now => Some(since),
            _ => None,
        }
    }

    fn wake(&mut self, now: Duration) {
        if matches!(self.state, State::Waiting { until } if until <= now) {
            self.state = State::Ready;
        }
    }
}

impl SimSource {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            rng: lock(&world.source).fork(),
            world: Arc::clone(world),
            windows: BTreeMap::new(),
            sessions: BTreeMap::new(),
            out: VecDeque::new(),
            version: None,
            told_of_tip: false,
        }
    }

    fn survey_at(&self, now: Duration) -> Survey {
        Survey { cluster: "sim".into(), version: version(self.world.scenario.is_new(now)) }
    }

    async fn next(&mut self, credit: Credit) -> SourceEvent {
        loop {
            let now = self.world.now();
            let up = self.world.scenario.auth_up(now);
            if up == now {
                self.notice_version(now);
            }
            if let Some(event) = self.take(credit) {
                return event;
            }
            if up > now {
                self.world.sleep_until(up).await;
                continue;
            }
            if self.finish_one(now) {
                continue;
            }
            self.begin(now, credit);
            let windows = self.windows.values().filter_map(Lane::due);
            let due = windows.chain(self.sessions.values().filter_map(Lane::due)).min();
            let changes = self.world.scenario.version_changes.iter().copied();
            let downs = self.world.scenario.auth_down.iter().map(|(from, _)| *from);
            let next = changes.chain(downs).filter(|at| *at > now).min();
            match due.into_iter().chain(next).min() {
                Some(at) => self.world.sleep_until(at.max(now + Duration::from_millis(1))).await,
                None => std::future::pending().await,
            }
        }
    }

    fn notice_version(&mut self, now: Duration) {
        let is_new = self.world.scenario.is_new(now);
        if self.version.replace(is_new) != Some(is_new) {
            let survey = self.survey_at(now);
            self.out.push_back((SourceEvent::Upstream(survey), Vec::new()));
        }
    }

    fn take(&mut self, credit: Credit) -> Option<SourceEvent> {
        let is_page = matches!(self.out.front()?.0, SourceEvent::Page(_));
        if is_page && credit.pages == 0 {
            return None;
        }
        let (event, events) = self.out.pop_front()?;
        if let SourceEvent::Page(page) = &event {
            self.world.oracle().offered(&self.world, page, &events);
        }
        Some(event)
    }

    /// Deals with what is done or due; says whether there was something.
    fn finish_one(&mut self, now: Duration) -> bool {
        for lane in self.windows.values_mut() {
            lane.wake(now);
        }
        for lane in self.sessions.values_mut() {
            lane.wake(now);
        }
        let fetched = self.windows.iter().find_map(|(at, lane)| Some((*at, lane.is_fetched(now)?)));
        if let Some((at, since)) = fetched {
            self.answered(at, since, now);
            return true;
        }
        let fetched =
            self.sessions.iter().find_map(|(at, lane)| Some((*at, lane.is_fetched(now)?)));
        if let Some((session, since)) = fetched {
            self.looked(session, since, now);
            return true;
        }
        false
    }

    /// Whether what was asked for at `since` has been lost with its connection, or was asked of
    /// another version.
    fn is_lost(&mut self, since: Duration, now: Duration) -> bool {
        let scenario = &self.world.scenario;
        let down = scenario.auth_down.iter().any(|(from, to)| *from <= now && *to > since);
        let faults = if scenario.is_calm(now) { 0 } else { scenario.page_faults.lost };
        down || scenario.is_new(since) != scenario.is_new(now) || self.rng.chance(faults)
    }

    fn answered(&mut self, start: i64, since: Duration, now: Duration) {
        let lost = self.is_lost(since, now);
        let world = Arc::clone(&self.world);
        let scenario = &world.scenario;
        let Some(lane) = self.windows.get_mut(&start) else { return };
        lane.state = State::Ready;
        let window = &mut lane.at;
        if lost {
            window.lost(self.rng.size(1, u64::try_from(scenario.page_limit).unwrap()));
            return;
        }
        let query = window.query(world.auth_clock());
        let (mut items, mut next) = world.shelf.search(&scenario.log, &query, now, &mut self.rng);
        if !scenario.is_calm(now) {
            let faults = scenario.page_faults;
            let rng = &mut self.rng;
            let again = |key: Option<Key>| key.map(|key| Key { nonce: key.nonce + 1, ..key });
            if rng.chance(faults.short) && items.len() > 1 {
                items.truncate(rng.size(1, items.len() as u64));
                next = items.last().map(|item| Key { behind: item.place, nonce: 0 });
            }
            if rng.chance(faults.empty) && query.key.is_some() {
                (items, next) = (Vec::new(), again(query.key));
            } else if rng.chance(faults.repeated)
                && next.is_some()
                && let Some(key) = window.before()
            {
                items = world.shelf.search(&scenario.log, &Query { key, ..query }, now, rng).0;
                next = again(query.key);
            } else if rng.chance(faults.stuck) && query.key.is_some() && !window.was_stuck() {
                next = query.key;
            }
        }
        window.restore_limit(scenario.page_limit);
        let bytes: Vec<_> = items.iter().map(|item| (item.second, item.bytes.clone())).collect();
        let answer = window.take(&query, bytes, next, scenario.live_width);
        if !answer.events.is_empty() || !answer.marks.is_empty() {
            let lane = LaneId::Window { start, pass: 0 };
            let events = answer.events;
            self.told_of_tip = false;
            self.yield_page(lane, events, answer.marks, answer.repeats, now);
        }
        if answer.caught_up && !std::mem::replace(&mut self.told_of_tip, true) {
            self.out.push_back((SourceEvent::CaughtUp, Vec::new()));
        }
        let id = LaneId::Window { start, pass: 0 };
        match answer.then {
            Then::Again => {}
            Then::Pause => {
                if let Some(lane) = self.windows.get_mut(&start) {
                    lane.state = State::Waiting { until: now + scenario.poll };
                }
            }
            Then::End => {
                self.windows.remove(&start);
                self.lanes(Lanes {
                    retired: vec![id.clone()],
                    ended: vec![id],
                    ..Lanes::default()
                });
            }
            Then::Roll(end) => {
                self.windows.remove(&start);
                let token = WindowToken::new(end, None, false);
                let opened = vec![(LaneId::Window { start: end, pass: 0 }, token.encode())];
                self.lanes(Lanes { opened, retired: vec![id.clone()], ended: vec![id] });
                self.add_window(end, token, true);
            }
        }
    }

    fn looked(&mut self, session: u32, since: Duration, now: Duration) {
        let lost = self.is_lost(since, now);
        let world = Arc::clone(&self.world);
        let Some(lane) = self.sessions.get_mut(&session) else { return };
        lane.state = State::Ready;
        let read = lane.at;
        if lost {
            return;
        }
        let id = LaneId::Session(session_id(session));
        let most = u32::try_from(self.rng.between(1, 20)).unwrap();
        match world.read_recording(session, read, most) {
            Reading::Events { count, ended } => {
                lane.at += count;
                let events: Vec<_> =
                    (read..read + count).map(|place| world.recorded(session, place)).collect();
                let marks = (1..=count)
                    .map(|n| Mark { after: n as usize, token: token::session(read + n) });
                let marks: Vec<_> = marks.collect();
                if count > 0 {
                    self.told_of_tip = false;
                    self.yield_page(id.clone(), events, marks, false, now);
                }
                if ended {
                    self.sessions.remove(&session);
                    self.lanes(Lanes { ended: vec![id], ..Lanes::default() });
                }
            }
            Reading::Missing => self.stop(session, true, "there is no such recording"),
            Reading::Broken => self.stop(session, false, "the recording cannot be read"),
            Reading::Nothing if now.saturating_sub(since) >= PATIENCE => {
                self.stop(session, false, "nothing comes any more");
            }
            Reading::Nothing => lane.state = State::Fetching { since, done: since + PATIENCE },
        }
    }

    fn stop(&mut self, session: u32, missing: bool, reason: &str) {
        self.sessions.remove(&session);
        let lane = LaneId::Session(session_id(session));
        let stopped = Stopped { lane, missing, reason: reason.to_owned() };
        self.out.push_back((SourceEvent::Stopped(stopped), Vec::new()));
    }

    fn lanes(&mut self, lanes: Lanes) {
        self.out.push_back((SourceEvent::Lanes(lanes), Vec::new()));
    }

    fn yield_page(
        &mut self,
        lane: LaneId,
        events: Vec<bytes::Bytes>,
        marks: Vec<Mark>,
        repeats: bool,
        now: Duration,
    ) {
        let numbers = events.iter().filter_map(|bytes| EventNo::find(bytes)).collect();
        let raw = |bytes| RawEvent { form: Form::OneOf, bytes };
        let page = Page {
            lane,
            version: version(self.world.scenario.is_new(now)),
            events: events.into_iter().map(raw).collect(),
            marks,
            repeats,
        };
        self.out.push_back((SourceEvent::Page(page), numbers));
    }

    /// Asks for whatever may be asked for: the live window, the oldest others, some recordings.
    fn begin(&mut self, now: Duration, credit: Credit) {
        let held = self.out.iter().filter(|(event, _)| matches!(event, SourceEvent::Page(_)));
        if held.count() >= credit.pages {
            return;
        }
        let (least, most) = self.world.scenario.page_millis;
        let rng = &mut self.rng;
        let mut fetch = || State::Fetching { since: now, done: now + rng.millis(least, most) };
        let mut closed = 0;
        for lane in self.windows.values_mut() {
            if !lane.at.is_live() {
                closed += 1;
                if closed > self.world.scenario.catch_up_lanes {
                    continue;
                }
            }
            if lane.state == State::Ready {
                lane.state = fetch();
            }
        }
        for lane in self.sessions.values_mut().take(SESSIONS_AT_ONCE) {
            if lane.state == State::Ready {
                lane.state = fetch();
            }
        }
    }

    fn add_window(&mut self, start: i64, token: WindowToken, known: bool) {
        let window = Window::new(token, known, self.world.scenario.page_limit);
        self.windows.insert(start, Lane::new(window));
    }

    /// Windows from `from` to now: closed ones, and the live one behind them.
    fn cut(&self, from: i64, bare: bool) -> Vec<(i64, WindowToken)> {
        let tip = self.world.auth_clock() - MARGIN;
        let mut windows = Vec::new();
        let mut at = from;
        while tip - at >= 10 {
            let end = (at + self.world.scenario.window_size).min(tip);
            windows.push((at, WindowToken::new(at, Some(end), bare && at == from)));
            at = end;
        }
        windows.push((at, WindowToken::new(at, None, bare && at == from)));
        windows
    }

    /// Where the windows of an earlier run end, and what has to be opened beside them. `read`:
    /// starts of windows that were read to their end.
    fn adapt(
        &self,
        windows: &mut BTreeMap<i64, WindowToken>,
        read: &[i64],
    ) -> Vec<(i64, WindowToken)> {
        let starts: BTreeSet<i64> = windows.keys().chain(read).copied().collect();
        for (start, token) in windows.iter_mut().filter(|(_, token)| token.end.is_none()) {
            token.end = starts.iter().copied().find(|next| next > start);
        }
        let Some(live) = windows.values_mut().find(|token| token.end.is_none()) else {
            let end = windows.values().filter_map(|token| token.end).max();
            return end.map_or_else(Vec::new, |end| self.cut(end, false));
        };
        let scenario = &self.world.scenario;
        let end = live.start + scenario.live_width + 2 * SETTLING;
        if self.world.auth_clock() - MARGIN - end < scenario.window_size {
            return Vec::new();
        }
        live.end = Some(end);
        self.cut(end, false)
    }
}

impl Source for SimSource {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        Box::pin(async move {
            let up = self.world.scenario.auth_up(self.world.now());
            self.world.sleep_until(up).await;
            Ok(self.survey_at(self.world.now()))
        })
    }

    fn resume(&mut self, resume: Resume) -> Result<(), SourceError> {
        let mut windows = BTreeMap::new();
        for (lane, token) in resume.lanes {
            match lane {
                LaneId::Window { start, .. } => {
                    windows.insert(start, WindowToken::decode(&token));
                }
                LaneId::Session(id) => {
                    let session = session_number(&id);
                    self.sessions.insert(session, Lane::new(token::session_place(&token)));
                }
                LaneId::Chunk { .. } => panic!("nobody opened a chunk"),
            }
        }
        let before = windows.clone();
        let read = resume.closed.iter().filter_map(|(lane, _)| match lane {
            LaneId::Window { start, .. } => Some(*start),
            LaneId::Session(_) | LaneId::Chunk { .. } => None,
        });
        let read: Vec<i64> = read.collect();
        let fresh = if windows.is_empty() {
            self.cut(resume.start_time.seconds(), true)
        } else {
            self.adapt(&mut windows, &read)
        };
        for (start, token) in windows {
            let known = before.get(&start) == Some(&token);
            self.add_window(start, token, known);
        }
        if !fresh.is_empty() {
            let id = |start: i64| LaneId::Window { start, pass: 0 };
            let opened = fresh.iter().map(|(start, token)| (id(*start), token.encode())).collect();
            self.lanes(Lanes { opened, ..Lanes::default() });
        }
        for (start, token) in fresh {
            self.add_window(start, token, true);
        }
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        Box::pin(async move { Ok(self.next(credit).await) })
    }

    fn open(&mut self, lane: &LaneId, from: Option<Token>) -> Token {
        let LaneId::Session(id) = lane else { panic!("only recordings are opened") };
        let session = session_number(id);
        let place = from.as_ref().map_or(0, token::session_place);
        self.sessions.entry(session).or_insert_with(|| Lane::new(place));
        token::session(place)
    }

    fn span(&self, _: SpanQuery) -> Box<dyn SpanReader> {
        Box::new(Nothing)
    }

    fn close(&mut self, lane: &LaneId) {
        match lane {
            LaneId::Window { start, .. } => drop(self.windows.remove(start)),
            LaneId::Session(id) => drop(self.sessions.remove(&session_number(id))),
            LaneId::Chunk { .. } => {}
        }
        self.out
            .retain(|(event, _)| !matches!(event, SourceEvent::Page(page) if page.lane == *lane));
    }
}

/// The engine reads no stretches by itself.
struct Nothing;

impl SpanReader for Nothing {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SpanPage>, SourceError>> {
        Box::pin(async { Ok(None) })
    }
}

fn version(is_new: bool) -> AuthVersion {
    AuthVersion::new(if is_new { NEW } else { OLD })
}

fn session_id(session: u32) -> SessionId {
    SessionId::try_new(event::session_name(session).as_bytes()).unwrap()
}

pub(crate) fn session_number(id: &SessionId) -> u32 {
    id.as_str().trim_start_matches("rec-").parse().unwrap()
}
