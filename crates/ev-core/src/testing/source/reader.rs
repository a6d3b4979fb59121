//! Reads a source as an engine would, checks what holds at every moment, and keeps a trail of what
//! came.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;

use super::{PATIENCE, World, is_chunk, is_window};
use crate::{
    AuthVersion, Credit, LaneId, Lanes, Page, RawEvent, Resume, SessionId, Source, SourceEvent,
    SpanPage, SpanQuery, Stopped, Survey, Timestamp, Token,
};

/// What came of one lane.
pub(super) struct Trail {
    /// Where it was opened or resumed.
    pub(super) opened: Token,
    /// Events in the order in which they came, with the version of their page.
    pub(super) events: Vec<(RawEvent, AuthVersion)>,
    /// Resume points, each with the number of events that must be settled for it.
    pub(super) marks: Vec<(usize, Token)>,
    pub(super) stage: Stage,
    /// Whether its window is not re-scanned any more.
    retired: bool,
}

/// Whether something may come of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// It has no more events.
    Ended,
    /// The source stopped it, or was told to close it.
    Closed,
}

/// What an engine that was killed has in its state.
pub(super) struct Crash {
    /// Lanes that are not finished, and their resume points.
    pub(super) lanes: Vec<(LaneId, Token)>,
    /// Windows that are finished and not retired, and their last resume points.
    pub(super) closed: Vec<(LaneId, Token)>,
    /// Events that need not come again.
    pub(super) settled: BTreeSet<Bytes>,
}

/// A source in use.
pub(super) struct Reader<'w, W: World> {
    world: &'w W,
    pub(super) source: W::Source,
    /// Every version that was told.
    pub(super) told: Vec<Survey>,
    pub(super) trails: BTreeMap<LaneId, Trail>,
    /// Every event that came, of whatever lane.
    seen: HashSet<Bytes>,
    pub(super) pages: usize,
    /// Steps in which windows were opened and none ended.
    pub(super) openings: usize,
    pub(super) caught_up: usize,
    pub(super) stopped: Vec<Stopped>,
    /// Times that time has passed since an event came that had not come before.
    idled: usize,
}

impl Trail {
    fn new(opened: Token) -> Self {
        Self { opened, events: Vec::new(), marks: Vec::new(), stage: Stage::Open, retired: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl<'w, W: World> Reader<'w, W> {
    /// A new source that reads from `start_time`.
    pub(super) fn start(world: &'w W, start_time: Timestamp) -> Self {
        Self::with(world, world.source(), Vec::new(), start_time)
    }

    /// A new source that takes up lanes.
    pub(super) fn resume(world: &'w W, crash: Crash) -> Self {
        // With lanes the start counts no longer; a source that looks at it misses events.
        Self::taken_up(world, world.source(), crash.lanes, crash.closed, world.now())
    }

    pub(super) fn with(
        world: &'w W,
        source: W::Source,
        lanes: Vec<(LaneId, Token)>,
        start_time: Timestamp,
    ) -> Self {
        Self::taken_up(world, source, lanes, Vec::new(), start_time)
    }

    fn taken_up(
        world: &'w W,
        mut source: W::Source,
        lanes: Vec<(LaneId, Token)>,
        closed: Vec<(LaneId, Token)>,
        start_time: Timestamp,
    ) -> Self {
        let trail = |(lane, token): &(LaneId, Token)| (lane.clone(), Trail::new(token.clone()));
        let mut trails: BTreeMap<LaneId, Trail> = lanes.iter().map(trail).collect();
        for (lane, token) in &closed {
            trails.insert(lane.clone(), Trail { stage: Stage::Ended, ..Trail::new(token.clone()) });
        }
        let resume = Resume { road: world.road(), lanes, closed, start_time };
        if let Err(error) = source.resume(resume) {
            panic!("a source takes its own resume points: {error}");
        }
        Self {
            world,
            source,
            told: Vec::new(),
            trails,
            seen: HashSet::new(),
            pages: 0,
            openings: 0,
            caught_up: 0,
            stopped: Vec::new(),
            idled: 0,
        }
    }

    pub(super) fn open(&mut self, session: &SessionId, from: Option<Token>) -> Token {
        let lane = LaneId::Session(session.clone());
        let token = self.source.open(&lane, from);
        assert_eq!(token.road, self.world.recording_road(), "a token names its road");
        self.trails.insert(lane, Trail::new(token.clone()));
        token
    }

    pub(super) fn close(&mut self, session: &SessionId) {
        let lane = LaneId::Session(session.clone());
        self.source.close(&lane);
        if let Some(trail) = self.trails.get_mut(&lane) {
            trail.stage = Stage::Closed;
        }
    }

    /// Whether all of these came.
    pub(super) fn has<'e>(&self, events: impl IntoIterator<Item = &'e RawEvent>) -> bool {
        events.into_iter().all(|event| self.seen.contains(&event.bytes))
    }

    /// Reads with some credit until `enough`.
    ///
    /// # Panics
    ///
    /// With the promise, when no new event comes any more however much time passes.
    pub(super) async fn until(&mut self, promise: &str, enough: impl FnMut(&Self) -> bool) {
        self.read(&[1, 2, 3], PATIENCE, promise, enough).await;
    }

    /// The same, within a few looks at the tip.
    pub(super) async fn soon(&mut self, promise: &str, enough: impl FnMut(&Self) -> bool) {
        self.read(&[1, 2, 3], 3, promise, enough).await;
    }

    /// The same without credit.
    pub(super) async fn without_credit(
        &mut self,
        promise: &str,
        enough: impl FnMut(&Self) -> bool,
    ) {
        self.read(&[0], PATIENCE, promise, enough).await;
    }

    async fn read(
        &mut self,
        credits: &[usize],
        patience: usize,
        promise: &str,
        mut enough: impl FnMut(&Self) -> bool,
    ) {
        let mut credits = credits.iter().copied().cycle();
        let mut before = self.idled;
        while !enough(self) {
            // Lanes that come and go are no progress, only new events are.
            before = before.min(self.idled);
            let left = patience.saturating_sub(self.idled - before);
            let pages = credits.next().unwrap_or_default();
            let event = self.attempt(pages, usize::MAX, left).await;
            let event = event.unwrap_or_else(|| panic!("{promise}: but the source stands still"));
            self.take(event, pages);
        }
    }

    /// Times that time may still pass without a new event.
    pub(super) fn patience(&self) -> usize {
        PATIENCE.saturating_sub(self.idled)
    }

    /// Reads until nothing comes although time passes several times.
    pub(super) async fn quiet(&mut self) {
        while let Some(event) = self.attempt(3, usize::MAX, 3).await {
            self.take(event, 3);
        }
    }

    /// What comes next. The source's future is polled at most `polls` times, and dropped when time
    /// has passed more than `idles` times.
    pub(super) async fn attempt(
        &mut self,
        pages: usize,
        mut polls: usize,
        mut idles: usize,
    ) -> Option<SourceEvent> {
        let mut next = self.source.next(Credit { pages });
        let mut idle = self.world.idle();
        let idled = &mut self.idled;
        let event = poll_fn(|cx| {
            loop {
                if polls == 0 {
                    return Poll::Ready(None);
                }
                polls -= 1;
                if let Poll::Ready(event) = next.as_mut().poll(cx) {
                    return Poll::Ready(Some(event));
                }
                if idle.as_mut().poll(cx).is_pending() {
                    return if polls == 0 { Poll::Ready(None) } else { Poll::Pending };
                }
                if idles == 0 {
                    return Poll::Ready(None);
                }
                idles -= 1;
                *idled += 1;
                idle = self.world.idle();
            }
        });
        match event.await? {
            Ok(event) => Some(event),
            Err(error) => panic!("peers that fail are waited for inside: {error}"),
        }
    }

    /// Reads a stretch to its end while the source is in use with some credit.
    pub(super) async fn span(&mut self, query: SpanQuery) -> Vec<SpanPage> {
        let mut span = self.source.span(query);
        let mut pages = Vec::new();
        let mut idles = PATIENCE;
        loop {
            let (mut page, mut next) = (span.next(), self.source.next(Credit { pages: 3 }));
            let mut idle = self.world.idle();
            let step = poll_fn(|cx| {
                loop {
                    if let Poll::Ready(page) = page.as_mut().poll(cx) {
                        return Poll::Ready(Ok(page));
                    }
                    if let Poll::Ready(event) = next.as_mut().poll(cx) {
                        return Poll::Ready(Err(event));
                    }
                    if idle.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    assert!(idles > 0, "a stretch of the past has an end");
                    idles -= 1;
                    idle = self.world.idle();
                }
            });
            match step.await {
                Ok(Ok(Some(page))) => pages.push(page),
                Ok(Ok(None)) => return pages,
                Ok(Err(error)) => panic!("peers that fail are waited for inside: {error}"),
                Err(Ok(event)) => {
                    drop((page, next, idle));
                    self.take(event, 3);
                }
                Err(Err(error)) => panic!("peers that fail are waited for inside: {error}"),
            }
        }
    }

    /// Lets the source do what it can while there is credit for `pages`: its future is polled so
    /// many times, whether it asks for that or not.
    pub(super) async fn spin(&mut self, pages: usize, mut polls: usize) -> Option<SourceEvent> {
        let mut next = self.source.next(Credit { pages });
        let event = poll_fn(|cx| {
            if polls == 0 {
                return Poll::Ready(None);
            }
            polls -= 1;
            if let Poll::Ready(event) = next.as_mut().poll(cx) {
                return Poll::Ready(Some(event));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        match event.await? {
            Ok(event) => Some(event),
            Err(error) => panic!("peers that fail are waited for inside: {error}"),
        }
    }

    /// Takes note of what came while there was credit for `pages`.
    pub(super) fn take(&mut self, event: SourceEvent, pages: usize) {
        match event {
            SourceEvent::Upstream(survey) => {
                let cluster = self.world.survey().cluster;
                assert_eq!(survey.cluster, cluster, "the cluster is Auth's");
                self.told.push(survey);
            }
            SourceEvent::Page(page) => {
                assert!(pages > 0, "without credit no page comes");
                self.page(page);
            }
            SourceEvent::Lanes(lanes) => self.lanes(lanes),
            SourceEvent::CaughtUp => self.caught_up += 1,
            SourceEvent::Stopped(stopped) => {
                self.leave(&stopped.lane, Stage::Closed);
                self.stopped.push(stopped);
            }
            SourceEvent::Gap(gap) => panic!("nothing here is too large to be read: {gap:?}"),
        }
    }

    fn page(&mut self, page: Page) {
        let Page { lane, version, events, marks, repeats } = page;
        let told = self.told.iter().any(|survey| survey.version == version);
        assert!(told, "a version is told before any page read under it ({lane})");
        let road = match lane {
            LaneId::Session(_) => self.world.recording_road(),
            _ => self.world.road(),
        };
        let Some(trail) = self.trails.get_mut(&lane).filter(|t| t.stage == Stage::Open) else {
            panic!("pages come only of lanes that are open ({lane})")
        };
        let rising = marks.is_sorted_by_key(|mark| mark.after);
        assert!(rising, "the marks of a page rise ({lane})");
        let before = trail.events.len();
        for mark in marks {
            assert!(mark.after <= events.len(), "a mark lies within its page ({lane})");
            assert_eq!(mark.token.road, road, "a token names its road ({lane})");
            trail.marks.push((before + mark.after, mark.token));
        }
        for event in events {
            if !repeats {
                let old = trail.events[..before].iter().any(|(old, _)| old.bytes == event.bytes);
                assert!(!old, "a page with events that came before says so ({lane})");
            }
            if self.seen.insert(event.bytes.clone()) {
                self.idled = 0;
            }
            trail.events.push((event, version.clone()));
        }
        self.pages += 1;
    }

    fn lanes(&mut self, Lanes { opened, ended, retired }: Lanes) {
        let windows = opened.iter().any(|(lane, _)| is_window(lane));
        self.openings += usize::from(windows && ended.is_empty());
        for (lane, token) in opened {
            assert_eq!(token.road, self.world.road(), "a token names its road ({lane})");
            let again = self.trails.insert(lane.clone(), Trail::new(token)).is_some();
            assert!(!again, "a lane is opened once ({lane})");
        }
        for lane in ended {
            self.leave(&lane, Stage::Ended);
        }
        for lane in retired {
            let start = match &lane {
                LaneId::Window { start, .. } => *start,
                LaneId::Chunk { date, chunk } if chunk.is_empty() => {
                    self.retire_date(date);
                    continue;
                }
                _ => panic!("only windows and dates are retired ({lane})"),
            };
            let passes =
                LaneId::Window { start, pass: 0 }..=LaneId::Window { start, pass: u8::MAX };
            for (lane, trail) in self.trails.range_mut(passes) {
                let over = matches!(trail.stage, Stage::Ended | Stage::Closed);
                assert!(over, "a window is retired when all its lanes have ended ({lane})");
                trail.retired = true;
            }
        }
    }

    fn retire_date(&mut self, date: &str) {
        for (lane, trail) in &mut self.trails {
            if matches!(lane, LaneId::Chunk { date: of, .. } if of == date) {
                assert_eq!(trail.stage, Stage::Ended, "a date is retired with all of it ({lane})");
                trail.retired = true;
            }
        }
    }

    fn leave(&mut self, lane: &LaneId, stage: Stage) {
        let open = self.trails.get_mut(lane).filter(|trail| trail.stage == Stage::Open);
        let Some(trail) = open else { panic!("a lane that is open ends, and once ({lane})") };
        trail.stage = stage;
    }

    /// What an engine has that is killed now. For each lane one choice of so many is made: 0 is
    /// where the lane was opened, then come its marks, and last, if it has ended, its end.
    pub(super) fn crash(&self, mut choose: impl FnMut(usize) -> usize) -> Crash {
        let mut crash = Crash { lanes: Vec::new(), closed: Vec::new(), settled: BTreeSet::new() };
        for (lane, trail) in self.trails.iter().filter(|(_, t)| t.stage != Stage::Closed) {
            if trail.retired && !is_window(lane) {
                // A date is forgotten as a whole, when all of it is settled.
                crash.settled.extend(trail.events.iter().map(|(event, _)| event.bytes.clone()));
                continue;
            }
            let ended = trail.stage == Stage::Ended;
            let choice = choose(1 + trail.marks.len() + usize::from(ended));
            let (settled, token) = match choice.checked_sub(1) {
                None => (0, Some(&trail.opened)),
                Some(mark) => match trail.marks.get(mark) {
                    Some((settled, token)) => (*settled, Some(token)),
                    None => {
                        let last = trail.marks.last().map_or(&trail.opened, |(_, token)| token);
                        let is_kept = is_window(lane) || is_chunk(lane);
                        if is_kept && !trail.retired {
                            crash.closed.push((lane.clone(), last.clone()));
                        }
                        (trail.events.len(), None)
                    }
                },
            };
            crash.lanes.extend(token.map(|token| (lane.clone(), token.clone())));
            let events = trail.events[..settled].iter();
            crash.settled.extend(events.map(|(event, _)| event.bytes.clone()));
        }
        crash
    }
}
