//! Reads the scripted Auth as a source does: lanes, marks, the tip again and again.
//!
//! All that is under way is data with the time at which it is done, so that a dropped future loses
//! nothing and every wait is one sleep.

mod lane;
mod plan;
mod recordings;
mod windows;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    AuthVersion, BoxFuture, Credit, Form, LaneId, Lanes, Mark, Page, RawEvent, Resume, SessionId,
    Source, SourceError, SourceEvent, SpanPage, SpanQuery, SpanReader, Survey, Token,
};

use self::lane::{Lane, State};
use self::windows::Reading;
use crate::decoders::{NEW, OLD};
use crate::event::{self, EventNo};
use crate::fault::Fault;
use crate::rescan::Rescans;
use crate::rng::Rng;
use crate::token;
use crate::window::Window;
use crate::world::{World, lock};

/// Recordings read at one time.
const SESSIONS_AT_ONCE: usize = 3;

pub(crate) struct SimSource {
    world: Arc<World>,
    rng: Rng,
    windows: BTreeMap<Reading, Lane<Window>>,
    rescans: Rescans,
    sessions: BTreeMap<u32, Lane<u32>>,
    /// What the engine has not taken yet, each with the events in it.
    out: VecDeque<(SourceEvent, Vec<EventNo>)>,
    version: Option<bool>,
    told_of_tip: bool,
}

impl SimSource {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            rng: lock(&world.source).fork(),
            world: Arc::clone(world),
            windows: BTreeMap::new(),
            rescans: Rescans::new(world.scenario.rescans.clone()),
            sessions: BTreeMap::new(),
            out: VecDeque::new(),
            version: None,
            told_of_tip: false,
        }
    }

    fn survey_at(&self, now: Duration) -> Survey {
        Survey { cluster: "sim".into(), version: version(self.world.scenario.is_new(now)) }
    }

    async fn next(&mut self, credit: Credit) -> Result<SourceEvent, SourceError> {
        loop {
            let now = self.world.now();
            let fails_at = self.world.source_fails_at();
            if fails_at.is_some_and(|at| at <= now) {
                self.world.oracle().met(Fault::SourceFailed);
                self.world.oracle().let_commits_wait();
                let message = "the certificate has ended".to_owned();
                return Err(SourceError::Operator { message, source: None });
            }
            let up = self.world.scenario.auth_up(now);
            if up == now {
                self.notice_version(now);
            }
            self.begin_rescan();
            if let Some(event) = self.take(credit) {
                return Ok(event);
            }
            if up > now {
                self.world.oracle().met(Fault::AuthDown);
                self.world.sleep_until(fails_at.map_or(up, |at| at.min(up))).await;
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
            let next = next.into_iter().chain(fails_at).chain(self.rescan_at());
            match due.into_iter().chain(next).min() {
                Some(at) => self.world.sleep_until(at.max(now + Duration::from_millis(1))).await,
                None => std::future::pending().await,
            }
        }
    }

    fn notice_version(&mut self, now: Duration) {
        let is_new = self.world.scenario.is_new(now);
        let before = self.version.replace(is_new);
        if before != Some(is_new) {
            if before.is_some() {
                self.world.oracle().met(Fault::VersionChanged);
            }
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
        match &event {
            SourceEvent::Page(page) => self.world.oracle().offered(&self.world, page, &events),
            SourceEvent::Gap(gap) => self.gap_taken(gap, &events),
            SourceEvent::Lanes(lanes) => self.world.oracle().opened(&lanes.opened),
            _ => {}
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
        if down || scenario.is_new(since) != scenario.is_new(now) {
            return true;
        }
        let lost = self.rng.chance(faults);
        if lost {
            self.world.oracle().met(Fault::AnswerLost);
        }
        lost
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
        for ((_, pass), lane) in &mut self.windows {
            if !lane.at.is_live() && *pass == 0 {
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
        self.take_up(resume);
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        Box::pin(self.next(credit))
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
            LaneId::Window { start, pass } => drop(self.windows.remove(&(*start, *pass))),
            LaneId::Session(id) => drop(self.sessions.remove(&session_number(id))),
            LaneId::Chunk { .. } => {}
        }
        self.out.retain_mut(|(event, _)| match event {
            SourceEvent::Page(page) => page.lane != *lane,
            SourceEvent::Stopped(stopped) => stopped.lane != *lane,
            SourceEvent::Gap(gap) => gap.lane != *lane,
            SourceEvent::Lanes(lanes) => {
                lanes.ended.retain(|ended| ended != lane);
                !(lanes.ended.is_empty() && lanes.opened.is_empty() && lanes.retired.is_empty())
            }
            SourceEvent::Upstream(_) | SourceEvent::CaughtUp => true,
        });
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
