//! Looks for a schedule that breaks the rules of windows: a tiny log with events that are stored
//! late, read in windows that overlap, roll and are read again, in an order thrown by a seed, with
//! crashes in between. Nothing may be lost, and without a crash nothing may come twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ev_core::{
    BoxFuture, Credit, LaneId, Lanes, Mark, Page, RawEvent, Resume, Source, SourceError,
    SourceEvent, SpanQuery, SpanReader, Survey, Token,
};

use crate::rig::{Rig, lock, login_at, token, version};

const START: i64 = 200;
const PAGE: usize = 7;
const OVERLAP: i64 = 2;
/// Least width of a window that was live.
const WIDTH: i64 = 130;

/// Numbers that look thrown.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x9e37_79b9_7f4a_7c15);
        (self.0 >> 33) % sides
    }

    fn second(&mut self, range: std::ops::Range<i64>) -> i64 {
        let width = u64::try_from(range.end - range.start).unwrap().max(1);
        range.start + i64::try_from(self.roll(width)).unwrap()
    }
}

type Place = (i64, u64);

/// What Auth has, by place.
struct Log {
    events: BTreeMap<Place, RawEvent>,
    ids: Vec<String>,
    now: i64,
    dice: Dice,
    /// Steps of sources until the next crash, and whether Auth goes on storing.
    steps: u64,
    storing: bool,
    idle: bool,
}

impl Log {
    fn store(&mut self, place: i64, second: i64) {
        let id = format!("u{:04}", self.ids.len());
        self.events.insert((place, self.ids.len() as u64), login_at(&id, second));
        self.ids.push(id);
    }

    /// A moment of Auth's life.
    fn live(&mut self) {
        if !self.storing {
            return;
        }
        self.now += self.dice.second(0..9);
        for _ in 0..self.dice.roll(4) {
            let now = self.now;
            let newest = self.events.last_key_value().map_or(now, |((place, _), _)| *place);
            match self.dice.roll(10) {
                // Late, where its time puts it, or behind what is there.
                0 => {
                    let second = self.dice.second(START..now);
                    self.store(second, second);
                }
                1 => {
                    let second = self.dice.second(START..now);
                    self.store(newest.max(second), second);
                }
                _ => self.store(now.max(newest), now),
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    start: i64,
    end: Option<i64>,
    key: Option<Place>,
    /// The end of a live window, once that is decided.
    closing: Option<i64>,
}

impl Reading {
    fn token(&self) -> Token {
        let Self { start, end, key, .. } = self;
        let end = end.unwrap_or(-1);
        let (place, number) = key.map_or((-1, 0), |(place, number)| (place, number));
        token(&format!("{start} {end} {place} {number}"))
    }

    fn of(token: &Token) -> Self {
        let text = std::str::from_utf8(&token.bytes).unwrap();
        let numbers: Vec<i64> = text.split(' ').map(|n| n.parse().unwrap()).collect();
        let [start, end, place, number] = numbers[..] else { panic!("{text}") };
        Self {
            start,
            end: (end >= 0).then_some(end),
            key: (place >= 0).then(|| (place, u64::try_from(number).unwrap())),
            closing: None,
        }
    }
}

struct LogSource {
    log: Arc<Mutex<Log>>,
    lanes: BTreeMap<LaneId, Reading>,
    /// Windows that were read to their end, with the number of readings.
    ended: BTreeMap<i64, (i64, u8)>,
    out: Vec<SourceEvent>,
    /// Newest place when the tip was looked at last.
    tip: Option<i64>,
}

impl LogSource {
    fn new(log: &Arc<Mutex<Log>>) -> Self {
        let told = Survey { cluster: "c".into(), version: version("1.0.0") };
        let out = vec![SourceEvent::Upstream(told)];
        Self { log: log.clone(), lanes: BTreeMap::new(), ended: BTreeMap::new(), out, tip: None }
    }

    fn open(&mut self, lane: LaneId, reading: Reading, lanes: &mut Lanes) {
        lanes.opened.push((lane.clone(), reading.token()));
        self.lanes.insert(lane, reading);
    }

    /// One thing that happens; `None` when nothing is left to do.
    fn step(&mut self) -> Option<SourceEvent> {
        let log = self.log.clone();
        let mut log = lock(&log);
        log.live();
        let resting = !log.storing;
        // Two readings more of each window, at any time, one by one.
        let again = self.lanes.keys().all(|id| matches!(id, LaneId::Window { pass: 0, .. }));
        if again && (resting || log.dice.roll(6) == 0) {
            // The last one when nothing is stored late any more.
            let most = if resting { 2 } else { 1 };
            let due = self.ended.iter().find(|(_, (_, passes))| *passes < most);
            if let Some((&start, &(end, passes))) = due {
                let lane = LaneId::Window { start, pass: passes + 1 };
                let mut lanes = Lanes::default();
                let reading = Reading { start, end: Some(end), key: None, closing: None };
                self.open(lane, reading, &mut lanes);
                return Some(SourceEvent::Lanes(lanes));
            }
        }
        let ids: Vec<LaneId> = self.lanes.keys().cloned().collect();
        let turn = usize::try_from(log.dice.roll(ids.len() as u64)).unwrap();
        let busy: Vec<&LaneId> = ids.iter().cycle().skip(turn).take(ids.len()).collect();
        busy.into_iter().find_map(|id| self.read(&log, id))
    }

    fn read(&mut self, log: &Log, id: &LaneId) -> Option<SourceEvent> {
        let reading = self.lanes.get_mut(id)?;
        let end = reading.end.or(reading.closing);
        let first = (reading.start.max(START) - OVERLAP, 0);
        let last = (end.map_or(i64::MAX, |end| end + OVERLAP), u64::MAX);
        let from = reading.key.map_or(first, |(place, number)| first.max((place, number + 1)));
        let found: Vec<(&Place, &RawEvent)> =
            log.events.range(from..).take_while(|(place, _)| **place <= last).take(PAGE).collect();
        let full = found.len() == PAGE;
        let newest = found.last().map(|((place, _), _)| *place);
        let events: Vec<RawEvent> = found.iter().map(|(_, event)| (*event).clone()).collect();
        let mut marks = Vec::new();
        if full {
            reading.key = found.last().map(|(place, _)| **place);
            marks.push(Mark { after: PAGE, token: reading.token() });
        }
        let is_live = reading.end.is_none();
        let was_closing = reading.closing.is_some();
        if is_live && !was_closing {
            // By what has been logged, whether or not the tip is reached.
            let settled = newest.map(|newest| newest - 60);
            // Wider than a window is read beyond its end, as `Source` asks for.
            reading.closing = settled.filter(|settled| settled - reading.start >= WIDTH);
        }
        let next = reading.closing;
        let over = !full && (!is_live || was_closing);
        if over {
            let (LaneId::Window { start, pass }, end) = (id.clone(), end.unwrap()) else {
                panic!("no window")
            };
            self.lanes.remove(id);
            self.ended.insert(start, (end, pass));
            let mut lanes = Lanes { ended: vec![id.clone()], ..Lanes::default() };
            if let Some(start) = next.filter(|_| is_live) {
                let reading = Reading { start, end: None, key: None, closing: None };
                self.open(LaneId::Window { start, pass: 0 }, reading, &mut lanes);
            }
            if pass == 2 {
                lanes.retired.push(id.clone());
            }
            self.out.push(SourceEvent::Lanes(lanes));
        } else if is_live && !full && !log.storing && next.is_none() {
            // The tip, for good.
            if std::mem::replace(&mut self.tip, newest) == newest {
                return None;
            }
        }
        let (lane, version) = (id.clone(), version("1.0.0"));
        Some(SourceEvent::Page(Page { lane, version, events, marks, repeats: true }))
    }
}

impl Source for LogSource {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        Box::pin(async { Ok(Survey { cluster: "c".into(), version: version("1.0.0") }) })
    }

    fn resume(&mut self, resume: Resume) -> Result<(), SourceError> {
        for (lane, token) in resume.lanes {
            self.lanes.insert(lane, Reading::of(&token));
        }
        let mut starts: Vec<i64> = Vec::new();
        for (lane, _) in resume.closed.iter() {
            if let LaneId::Window { start, .. } = lane {
                starts.push(*start);
            }
        }
        let mut all: Vec<i64> = starts.clone();
        all.extend(self.lanes.values().map(|reading| reading.start));
        for (lane, _) in resume.closed {
            let LaneId::Window { start, pass } = lane else { continue };
            let end = all.iter().copied().filter(|next| *next > start).min().unwrap();
            let window = self.ended.entry(start).or_insert((end, pass));
            window.1 = window.1.max(pass);
        }
        if self.lanes.is_empty() {
            let mut lanes = Lanes::default();
            for start in [START, START + 100, START + 200] {
                let end = (start < START + 200).then_some(start + 100);
                let reading = Reading { start, end, key: None, closing: None };
                self.open(LaneId::Window { start, pass: 0 }, reading, &mut lanes);
            }
            self.out.push(SourceEvent::Lanes(lanes));
        }
        // In the order in which they are to come.
        self.out.reverse();
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        Box::pin(async move {
            if let Some(event) = self.out.pop() {
                return Ok(event);
            }
            let over = {
                let mut log = lock(&self.log);
                log.steps = log.steps.saturating_sub(1);
                log.steps == 0
            };
            if over || credit.pages == 0 {
                return std::future::pending().await;
            }
            match self.step() {
                Some(event) => Ok(event),
                None => {
                    lock(&self.log).idle = true;
                    std::future::pending().await
                }
            }
        })
    }

    fn open(&mut self, _: &LaneId, from: Option<Token>) -> Token {
        from.unwrap_or_else(|| token("none"))
    }

    fn close(&mut self, _: &LaneId) {}

    fn span(&self, _: SpanQuery) -> Box<dyn SpanReader> {
        unreachable!("the engine reads lanes only")
    }
}

/// Runs one schedule; each id with how often it was delivered.
async fn run(seed: u64, crashes: u64) -> (Vec<String>, BTreeMap<String, usize>) {
    let mut log = Log {
        events: BTreeMap::new(),
        ids: Vec::new(),
        now: START,
        dice: Dice(seed),
        steps: 0,
        storing: true,
        idle: false,
    };
    // What is there before anything is read.
    while log.now < START + 260 {
        log.live();
    }
    let log = Arc::new(Mutex::new(log));
    let mut rig = Rig::new();
    for _ in 0..crashes {
        let steps = 20 + lock(&log).dice.roll(150);
        lock(&log).steps = steps;
        let engine = rig.run_with(Box::new(LogSource::new(&log)));
        tokio::pin!(engine);
        loop {
            tokio::select! {
                biased;
                ended = &mut engine => panic!("the engine ended by itself: {ended:?}"),
                () = tokio::time::sleep(std::time::Duration::from_millis(7)) => {}
            }
            if lock(&log).steps == 0 {
                break;
            }
        }
        // Dropped in the middle of whatever it does.
    }
    lock(&log).steps = 200;
    let engine = rig.run_with(Box::new(LogSource::new(&log)));
    tokio::pin!(engine);
    let mut quiet = 0;
    loop {
        tokio::select! {
            biased;
            ended = &mut engine => panic!("the engine ended by itself: {ended:?}"),
            () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
        }
        let mut log = lock(&log);
        if log.storing && log.steps <= 50 {
            // The last window ends behind all that was stored late.
            log.now += 1000;
            let now = log.now;
            log.store(now, now);
            log.storing = false;
            log.steps = u64::MAX;
        }
        // The last batches have to go out too.
        quiet += u32::from(log.idle);
        if quiet == 40 {
            break;
        }
    }
    rig.stop.cancel();
    let summary = engine.await.unwrap();
    assert!(summary.totals.balances(), "seed {seed}");
    rig.stop = tokio_util::sync::CancellationToken::new();
    let mut counts = BTreeMap::new();
    for id in rig.sink.uids() {
        *counts.entry(id).or_default() += 1;
    }
    let ids = lock(&log).ids.clone();
    (ids, counts)
}

#[tokio::test(start_paused = true)]
async fn without_a_crash_every_event_comes_exactly_once() {
    for seed in 0..40 {
        let (ids, counts) = run(seed, 0).await;
        assert!(ids.len() > 200, "{} events, seed {seed}", ids.len());
        let wrong: Vec<_> = ids.iter().filter(|id| counts.get(*id) != Some(&1)).collect();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?} of {}", ids.len());
    }
}

#[tokio::test(start_paused = true)]
async fn with_crashes_anywhere_nothing_is_lost() {
    for seed in 0..40 {
        let crashes = 1 + seed % 5;
        let (ids, counts) = run(seed, crashes).await;
        let lost: Vec<_> = ids.iter().filter(|id| !counts.contains_key(*id)).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?} of {}", ids.len());
        // At most what was sent and not committed, in each life.
        let twice = counts.values().filter(|count| **count > 1).count();
        assert!(twice <= usize::try_from(crashes).unwrap() * 2000, "seed {seed}: {twice}");
    }
}
