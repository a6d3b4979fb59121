//! What every [`Source`] must do.
//!
//! The checks know a source by its trait alone, and the Auth server behind it by [`World`]. What a
//! source asks Auth for, how often, and what it makes of refusals is each implementation's own to
//! test. Nothing here sleeps or keeps time: a source that hangs is the caller's to stop.

mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::{
    AuthVersion, BoxFuture, LaneId, RawEvent, Road, SessionId, Source, SpanQuery, Survey,
    Timestamp, Token,
};

use reader::{Reader, Stage};

/// An Auth server, and sources that read it.
///
/// Everything in it is done through a shared reference, while sources of it are in use.
pub trait World: Sync {
    /// What is checked.
    type Source: Source;

    /// A new source that was never used. It is set up to read small pages, of not more than about
    /// five events, and the past in windows of not more than an hour, if it reads in windows: the
    /// checks have little to read and want many resume points.
    fn source(&self) -> Self::Source;

    /// The road that the sources use.
    fn road(&self) -> Road;

    /// The road that resume points of recordings name: that of the log, but for
    /// [`Road::Export`], on which recordings are read as on [`Road::Unstructured`].
    fn recording_road(&self) -> Road {
        match self.road() {
            Road::Export => Road::Unstructured,
            road => road,
        }
    }

    /// What Auth says of itself now.
    fn survey(&self) -> Survey;

    /// The time as sources and Auth see it.
    fn now(&self) -> Timestamp;

    /// Waits until no source has anything to do but wait for time, then lets so much time pass
    /// that the live lane looks at the tip again. Ready at most once per such look; dropping it
    /// half-way is harmless.
    fn idle(&self) -> BoxFuture<'_, ()>;

    /// Adds an event to the log, behind those that are there, whatever its time is. Returns it in
    /// the form and the bytes in which Auth serves it.
    fn append(&self, event: &Wanted) -> RawEvent;

    /// Adds an event to the end of a recording; the first one makes the recording.
    fn record(&self, session: &SessionId, event: &Wanted) -> RawEvent;

    /// Cuts every connection; sources may connect again at once.
    fn cut(&self) -> BoxFuture<'_, ()>;

    /// Auth has another version from now on: every connection is cut, and whoever connects again
    /// finds the new one.
    fn change_version(&self, version: &AuthVersion) -> BoxFuture<'_, ()>;
}

/// An event that the checks want Auth to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its unique id.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// Its index within the recording: never falls, but may stand still. 0 in the log.
    pub index: i64,
}

const HOUR: i64 = 3600;

/// Times that time may pass without a new event while some are still to come.
const PATIENCE: usize = 100;

/// Runs every check, each in a new world whose Auth has no events.
///
/// # Panics
///
/// When a promise of [`Source`] is broken, naming it.
pub async fn contract<W: World>(mut world: impl FnMut() -> W) {
    it_says_who_is_there(&world()).await;
    the_log_arrives_whole_and_in_order(&world()).await;
    the_tip_is_followed(&world()).await;
    the_version_comes_before_its_pages(&world()).await;
    windows_cover_all_time_from_the_start(&world()).await;
    nothing_is_read_without_credit(&world()).await;
    resuming_anywhere_loses_nothing(&world()).await;
    resuming_again_and_again_loses_nothing(&world()).await;
    a_dropped_future_loses_nothing(&world()).await;
    a_recording_is_read_once_in_order(&world()).await;
    a_recording_is_resumed_exactly(&world()).await;
    a_missing_recording_is_reported(&world()).await;
    a_closed_recording_is_forgotten(&world()).await;
    a_cut_connection_loses_nothing(&world()).await;
    a_span_brings_its_stretch_beside_the_lanes(&world()).await;
}

/// `now`, moved by whole seconds.
fn ago<W: World>(world: &W, seconds: i64) -> Timestamp {
    world.now().plus_seconds(-seconds)
}

/// Appends an event; its id must be new.
fn append<W: World>(world: &W, id: impl Into<String>, time: Timestamp) -> RawEvent {
    world.append(&Wanted { id: id.into(), time, index: 0 })
}

/// Fills the log with three hours of events, in the order of their times but for some that were
/// stored late: those have kept their own time, which lies far back.
fn fill<W: World>(world: &W) -> Vec<RawEvent> {
    let start = ago(world, 3 * HOUR);
    let mut log = Vec::new();
    for n in 0..42i64 {
        let time = start.plus_seconds(n * 256);
        log.push(append(world, format!("log-{n}"), time));
        if n % 14 == 13 {
            // In the same second; and before anything was asked for.
            log.push(append(world, format!("same-{n}"), time));
            // The export alone leaves out what lies in front of the start.
            let late = if world.road() == Road::Export { n } else { -n * HOUR };
            log.push(append(world, format!("late-{n}"), start.plus_seconds(late)));
        }
    }
    log
}

/// Fills a recording; indexes come in twos.
fn record<W: World>(world: &W, session: &SessionId, count: i64) -> Vec<RawEvent> {
    let start = ago(world, HOUR);
    let event = |n: i64| {
        let (id, time) = (format!("{session}-{n}"), start.plus_seconds(n));
        world.record(session, &Wanted { id, time, index: n / 2 })
    };
    (0..count).map(event).collect()
}

fn session(name: &str) -> SessionId {
    SessionId::try_new(name.as_bytes()).expect("a valid id")
}

/// Whether it is a chunk, and not a date.
fn is_chunk(lane: &LaneId) -> bool {
    matches!(lane, LaneId::Chunk { chunk, .. } if !chunk.is_empty())
}

fn is_window(lane: &LaneId) -> bool {
    matches!(lane, LaneId::Window { .. })
}

/// Every event of `log` came, and in every lane in the order in which Auth has them.
fn assert_log<W: World>(reader: &Reader<'_, W>, log: &[RawEvent]) {
    assert!(reader.has(log), "every event of the log arrives");
    assert_order(reader, log);
}

/// What came of the log is what Auth has, in every lane in its order.
fn assert_order<W: World>(reader: &Reader<'_, W>, log: &[RawEvent]) {
    let place = |event: &RawEvent| log.iter().position(|known| known.bytes == event.bytes);
    for (lane, trail) in &reader.trails {
        if matches!(lane, LaneId::Session(_)) {
            continue;
        }
        let mut seen = BTreeSet::new();
        let mut last = None;
        for (event, _) in &trail.events {
            let at = place(event);
            assert!(at.is_some(), "an event comes in the very bytes that Auth has ({lane})");
            let known = at.and_then(|at| log.get(at)).map(|known| known.form);
            assert_eq!(Some(event.form), known, "an event comes in the form that Auth has");
            if seen.insert(&event.bytes) {
                assert!(at > last, "a lane's events come in the order in which Auth has them");
                last = at;
            }
        }
    }
}

/// The events of a lane that came, as bytes.
fn bytes_of<W: World>(reader: &Reader<'_, W>, lane: &LaneId) -> Vec<Bytes> {
    let events = reader.trails.get(lane).map(|trail| trail.events.iter());
    events.into_iter().flatten().map(|(event, _)| event.bytes.clone()).collect()
}

fn bytes(events: &[RawEvent]) -> Vec<Bytes> {
    events.iter().map(|event| event.bytes.clone()).collect()
}

async fn it_says_who_is_there<W: World>(world: &W) {
    let mut source = world.source();
    for _ in 0..2 {
        let survey = source.survey().await;
        let survey = survey.expect("a survey waits until somebody answers");
        assert_eq!(survey, world.survey(), "a survey says who is there");
    }
    // Having asked is no reason not to be told.
    let mut reader = Reader::with(world, source, Vec::new(), world.now());
    reader.until("whoever asked is told the version all the same", |r| !r.told.is_empty()).await;
    assert_eq!(reader.told, [world.survey()], "the version that comes is Auth's");
}

async fn the_log_arrives_whole_and_in_order<W: World>(world: &W) {
    let log = fill(world);
    let mut reader = Reader::start(world, ago(world, 3 * HOUR));
    reader.until("every event of the log arrives", |r| r.has(&log)).await;
    reader.until("it is told when the tip is reached", |r| r.caught_up > 0).await;
    reader.quiet().await;
    assert_log(&reader, &log);
    let marks = reader.trails.values().map(|trail| trail.marks.len()).sum::<usize>();
    assert!(marks > 0, "resume points come with the pages");
}

async fn the_tip_is_followed<W: World>(world: &W) {
    let start = ago(world, 30);
    let mut log: Vec<RawEvent> =
        (0..7).map(|n| append(world, format!("old-{n}"), start.plus_seconds(n))).collect();
    let mut reader = Reader::start(world, start);
    reader.until("it is told when the tip is reached", |r| r.caught_up > 0).await;
    assert!(reader.has(&log), "the tip is reached when nothing is there that did not come");
    // Long enough for a live window to be followed by the next one.
    for round in 0..30i64 {
        let before = reader.caught_up;
        for n in 0..round % 3 {
            // Every fifth one was stored late, with a time before everything that may come.
            let late = if world.road() == Road::Export { 20 } else { HOUR };
            let back = if (round + n) % 5 == 0 { late } else { 0 };
            log.push(append(world, format!("new-{round}-{n}"), ago(world, back)));
        }
        if round % 3 == 0 {
            reader.quiet().await;
            continue;
        }
        reader.until("the tip grows and its events arrive", |r| r.has(&log)).await;
        reader.soon("the tip is reached again", |r| r.caught_up > before).await;
    }
    assert_log(&reader, &log);
}

async fn the_version_comes_before_its_pages<W: World>(world: &W) {
    let first = world.survey().version;
    let other = AuthVersion::new("97.8.9");
    let mut log = fill(world);
    let mut reader = Reader::start(world, ago(world, 3 * HOUR));
    // In the middle of the log, then twice at its tip: up and down again.
    reader.until("pages come", |r| r.pages >= 2).await;
    for (n, version) in [&other, &first, &other].into_iter().enumerate() {
        world.change_version(version).await;
        let new = append(world, format!("new-{n}"), world.now());
        log.push(new.clone());
        reader.until("what is stored after a change arrives", |r| r.has([&new])).await;
        let told = reader.told.last().map(|survey| &survey.version);
        assert_eq!(told, Some(version), "a version is told before any page read under it");
        let pages = reader.trails.values().flat_map(|trail| &trail.events);
        for (_, of_page) in pages.filter(|(event, _)| event.bytes == new.bytes) {
            assert_eq!(of_page, version, "a page names the version that Auth had");
        }
        reader.until("the rest arrives after a change of version", |r| r.has(&log)).await;
    }
    assert_log(&reader, &log);
}

async fn windows_cover_all_time_from_the_start<W: World>(world: &W) {
    let start = world.now().seconds() - 3 * HOUR;
    // A start within a second means that whole second.
    let mut reader = Reader::start(world, Timestamp::new(start, 700_000_000));
    let mut log = Vec::new();
    let mut borders = BTreeSet::from([start]);
    if world.road() != Road::Export {
        // Windows are cut before anything is read, so their borders are known here.
        let promise = "lanes are opened though there is no credit";
        reader.without_credit(promise, |r| !r.trails.is_empty()).await;
        for lane in reader.trails.keys() {
            let LaneId::Window { start, pass: 0 } = lane else {
                panic!("a source without lanes begins with windows, read for the first time")
            };
            borders.insert(*start);
        }
        assert_eq!(borders.len(), reader.trails.len(), "the first window begins at the start");
        assert!(borders.len() > 2, "the world's windows are not wider than an hour");
    }
    let seconds: BTreeSet<i64> = borders.iter().flat_map(|at| at - 5..=at + 5).collect();
    for second in seconds.range(start..) {
        log.push(append(world, format!("border-{second}"), Timestamp::new(*second, 0)));
    }
    log.push(append(world, "now", world.now()));
    reader.until("no second is left out where windows meet", |r| r.has(&log)).await;
    reader.quiet().await;
    assert_log(&reader, &log);
    let message = "the first lanes are opened in one step";
    assert!(world.road() == Road::Export || reader.openings == 1, "{message}");
}

async fn nothing_is_read_without_credit<W: World>(world: &W) {
    let log = fill(world);
    let mut reader = Reader::start(world, ago(world, 3 * HOUR));
    reader.open(&session("no-credit"), None);
    // `Reader` checks that no page comes.
    let told = "without credit the version is told all the same";
    reader.without_credit(told, |r| !r.told.is_empty()).await;
    for connections in 2..5 {
        world.cut().await;
        reader.without_credit(told, |r| r.told.len() >= connections).await;
    }
    let other = AuthVersion::new("97.8.9");
    world.change_version(&other).await;
    reader.without_credit(told, |r| r.told.last().is_some_and(|s| s.version == other)).await;

    // Asked for with credit, which is gone when the answer comes.
    for polls in 1..8 {
        if let Some(event) = reader.attempt(2, polls, 0).await {
            reader.take(event, 2);
        }
        while let Some(event) = reader.spin(0, 300).await {
            reader.take(event, 0);
        }
        if polls % 2 == 0 {
            let before = reader.told.len();
            world.cut().await;
            reader.without_credit(told, |r| r.told.len() > before).await;
        }
    }
    reader.until("what was held back without credit comes with it", |r| r.has(&log)).await;
    assert_log(&reader, &log);
}

async fn resuming_anywhere_loses_nothing<W: World>(world: &W) {
    let log = fill(world);
    let mut reader = Reader::start(world, ago(world, 3 * HOUR));
    reader.until("every event of the log arrives", |r| r.has(&log)).await;
    reader.quiet().await;
    // Nothing settled, all settled that can be, and lanes that stand here and there.
    let mut dice = Dice(1);
    let mut crashes = vec![reader.crash(|_| 0), reader.crash(|choices| choices - 1)];
    crashes.extend((0..12).map(|_| reader.crash(|choices| dice.roll(choices))));
    drop(reader);
    for crash in crashes {
        let settled = crash.settled.clone();
        let rest: Vec<&RawEvent> =
            log.iter().filter(|event| !settled.contains(&event.bytes)).collect();
        let mut reader = Reader::resume(world, crash);
        let promise = "a resumed source yields every event that was not settled before the mark";
        reader.until(promise, |r| r.has(rest.iter().copied())).await;
        reader.quiet().await;
        assert_order(&reader, &log);
    }
}

async fn resuming_again_and_again_loses_nothing<W: World>(world: &W) {
    let log = fill(world);
    let mut dice = Dice(2);
    let mut settled = BTreeSet::new();
    let mut reader = Reader::start(world, ago(world, 3 * HOUR));
    for round in 0..12 {
        // Cut off after few pages, or when there are no more.
        let pages = round % 5 + 1;
        while reader.pages < pages {
            let Some(event) = reader.attempt(3, usize::MAX, 2).await else { break };
            reader.take(event, 3);
        }
        if reader.trails.keys().any(is_window) || world.road() == Road::Export {
            let crash = reader.crash(|choices| dice.roll(choices));
            settled.extend(crash.settled.iter().cloned());
            reader = Reader::resume(world, crash);
        }
    }
    let rest: Vec<&RawEvent> = log.iter().filter(|event| !settled.contains(&event.bytes)).collect();
    let promise = "resuming again and again loses nothing";
    reader.until(promise, |r| r.has(rest.iter().copied())).await;
}

async fn a_dropped_future_loses_nothing<W: World>(world: &W) {
    let log = fill(world);
    let id = session("dropped-futures");
    let recording = record(world, &id, 24);
    let lane = LaneId::Session(id.clone());
    let mut reader = Reader::start(world, ago(world, 3 * HOUR));
    reader.open(&id, None);
    let done = |r: &Reader<'_, W>| r.has(&log) && r.trails[&lane].stage == Stage::Ended;
    'all: while !done(&reader) {
        // Now and then a future may live on: a source need not get on by being polled once.
        for polls in [0, 1, 2, 1, 3, 5, 1, 8, usize::MAX] {
            let Some(event) = reader.attempt(3, polls, reader.patience()).await else {
                assert_ne!(polls, usize::MAX, "a dropped future loses nothing");
                continue;
            };
            reader.take(event, 3);
            if done(&reader) {
                break 'all;
            }
        }
    }
    assert_log(&reader, &log);
    assert_eq!(bytes_of(&reader, &lane), bytes(&recording), "a dropped future loses nothing");
}

async fn a_recording_is_read_once_in_order<W: World>(world: &W) {
    let log = fill(world);
    let ids: Vec<SessionId> = (0..7).map(|n| session(&format!("order-{n}"))).collect();
    // The first one is so long that much of it is still to come when it is opened once more.
    let counts = [1000, 1, 20, 21, 22, 23, 24];
    let recordings: Vec<Vec<RawEvent>> =
        ids.iter().zip(counts).map(|(id, count)| record(world, id, count)).collect();
    let mut reader = Reader::start(world, ago(world, 3 * HOUR));
    // Opening what is open is harmless, before it has begun and in the middle.
    let early = &ids[..6];
    let tokens: Vec<Token> = early.iter().map(|id| reader.open(id, None)).collect();
    for (id, token) in early.iter().zip(tokens) {
        reader.source.open(&LaneId::Session(id.clone()), Some(token));
    }
    let long = LaneId::Session(ids[0].clone());
    reader.until("events of a recording come", |r| !r.trails[&long].is_empty()).await;
    reader.source.open(&long, None);
    reader.open(&ids[6], None);
    let ended = |r: &Reader<'_, W>, id: &SessionId| {
        r.trails[&LaneId::Session(id.clone())].stage == Stage::Ended
    };
    let promise = "every recording is read to its end, beside the log";
    reader.until(promise, |r| ids.iter().all(|id| ended(r, id)) && r.has(&log)).await;
    // `Reader` checks that a lane ends once, and that nothing comes of it behind its end.
    reader.quiet().await;
    for (id, recording) in ids.iter().zip(&recordings) {
        let came = bytes_of(&reader, &LaneId::Session(id.clone()));
        assert_eq!(came, bytes(recording), "a recording comes whole, once and in its order");
    }
}

async fn a_recording_is_resumed_exactly<W: World>(world: &W) {
    let id = session("resumed");
    let lane = LaneId::Session(id.clone());
    let recording = bytes(&record(world, &id, 9));
    let ended = |r: &Reader<'_, W>| r.trails[&lane].stage == Stage::Ended;
    let promise = "a resumed recording is read to its end";
    let mut reader = Reader::start(world, world.now());
    reader.open(&id, None);
    reader.until("a recording is read to its end", ended).await;
    assert_eq!(bytes_of(&reader, &lane), recording, "a recording comes whole");
    let trail = &reader.trails[&lane];
    assert!(!trail.marks.is_empty(), "resume points come with the events of a recording");
    let start = (0, trail.opened.clone());
    let marks: Vec<(usize, Token)> = [start].into_iter().chain(trail.marks.clone()).collect();
    drop(reader);
    let exact = "a recording resumed at a mark repeats nothing and misses nothing";
    for (settled, token) in marks {
        let lanes = vec![(lane.clone(), token.clone())];
        let mut resumed = Reader::with(world, world.source(), lanes, world.now());
        resumed.until(promise, ended).await;
        assert_eq!(bytes_of(&resumed, &lane), recording[settled..], "{exact} (by `resume`)");

        let mut opened = Reader::start(world, world.now());
        opened.open(&id, Some(token));
        opened.until(promise, ended).await;
        assert_eq!(bytes_of(&opened, &lane), recording[settled..], "{exact} (by `open`)");
    }
}

async fn a_missing_recording_is_reported<W: World>(world: &W) {
    let (missing, there) = (session("missing"), session("there"));
    let lane = LaneId::Session(missing.clone());
    let other = record(world, &there, 6);
    let mut reader = Reader::start(world, world.now());
    let token = reader.open(&missing, None);
    reader.open(&there, None);
    reader.until("a missing recording is reported", |r| !r.stopped.is_empty()).await;
    let stopped = &reader.stopped[0];
    assert_eq!(stopped.lane, lane, "the lane that is stopped is the missing one");
    assert!(stopped.missing, "what is missing is told from what is unreadable");
    let ended = |r: &Reader<'_, W>, id: &SessionId| {
        r.trails[&LaneId::Session(id.clone())].stage == Stage::Ended
    };
    reader.until("a missing recording holds up no other", |r| ended(r, &there)).await;
    reader.quiet().await;
    assert_eq!(bytes_of(&reader, &LaneId::Session(there)), bytes(&other));
    assert_eq!(reader.stopped.len(), 1, "a lane is stopped once");

    let recording = record(world, &missing, 6);
    reader.open(&missing, Some(token));
    reader
        .until("a recording that appears is read when opened again", |r| ended(r, &missing))
        .await;
    assert_eq!(bytes_of(&reader, &lane), bytes(&recording));
}

async fn a_closed_recording_is_forgotten<W: World>(world: &W) {
    let (closed, unbegun, never) = (session("closed"), session("unbegun"), session("never"));
    let recordings = [&closed, &unbegun].map(|id| record(world, id, 400));
    let lane = LaneId::Session(closed.clone());
    let mut reader = Reader::start(world, world.now());
    // Closing what is not open is harmless.
    reader.close(&never);
    reader.open(&closed, None);
    reader.until("events of a recording come", |r| !r.trails[&lane].is_empty()).await;
    reader.open(&unbegun, None);
    // More of them is on its way, or held back without credit.
    for pages in [3, 0] {
        if let Some(event) = reader.spin(pages, 300).await {
            reader.take(event, pages);
        }
    }
    for id in [&closed, &unbegun, &closed, &unbegun, &never] {
        reader.close(id);
    }
    // `Reader` checks that nothing more comes of them: no page, no end, no stop.
    reader.quiet().await;
    // And it can be opened again, at its beginning.
    for (id, recording) in [closed, unbegun].into_iter().zip(&recordings) {
        let lane = LaneId::Session(id.clone());
        reader.open(&id, None);
        let ended = |r: &Reader<'_, W>| r.trails[&lane].stage == Stage::Ended;
        reader.until("a recording that was closed can be read", ended).await;
        assert_eq!(bytes_of(&reader, &lane), bytes(recording), "from its beginning, whole");
    }
}

async fn a_cut_connection_loses_nothing<W: World>(world: &W) {
    let log = fill(world);
    let id = session("cut");
    let recording = record(world, &id, 60);
    let lane = LaneId::Session(id.clone());
    let mut reader = Reader::start(world, ago(world, 3 * HOUR));
    reader.open(&id, None);
    let done = |r: &Reader<'_, W>| r.has(&log) && r.trails[&lane].stage == Stage::Ended;
    for cut in 0..10 {
        // Between two events, or while the next is under way.
        let mut events = cut % 3 + 1;
        while events > 0 && !done(&reader) {
            let Some(event) = reader.attempt(3, usize::MAX, reader.patience()).await else {
                panic!("after a cut everything still arrives")
            };
            events -= usize::from(matches!(event, crate::SourceEvent::Page(_)));
            reader.take(event, 3);
        }
        if let Some(event) = reader.attempt(3, cut, 0).await {
            reader.take(event, 3);
        }
        world.cut().await;
    }
    let told = reader.told.len();
    reader.until("after a cut everything still arrives", done).await;
    reader.until("the version is told at every connection", |r| r.told.len() > told).await;
    assert_log(&reader, &log);
    assert_eq!(bytes_of(&reader, &lane), bytes(&recording), "a recording goes on where it was cut");
}

async fn a_span_brings_its_stretch_beside_the_lanes<W: World>(world: &W) {
    let log = fill(world);
    let start = world.now().seconds() - 3 * HOUR;
    let mut reader = Reader::start(world, Timestamp::new(start, 0));
    let (from, to) = (start + HOUR, start + 2 * HOUR);
    let pages = reader.span(SpanQuery { from, to, types: Vec::new() }).await;
    assert!(pages.len() > 1, "a stretch comes in pages");
    let mut came = BTreeSet::new();
    for page in pages {
        assert_eq!(page.version, world.survey().version, "a page names the version that Auth has");
        assert_eq!(page.gaps, [], "everything can be read");
        for event in page.events {
            let known = log.iter().find(|known| known.bytes == event.bytes);
            assert!(known.is_some_and(|known| known.form == event.form), "events are Auth's own");
            came.insert(event.bytes);
        }
    }
    // The events of `fill`, in the order of its clock, without those that were stored late.
    for n in 0..42i64 {
        let time = start + n * 256;
        if (from..to).contains(&time) {
            let event = &log[usize::try_from(n + n / 14 * 2).expect("few")];
            assert!(came.contains(&event.bytes), "a span brings every event of its stretch ({n})");
        }
    }
    assert!(came.len() < log.len(), "what is far from the stretch does not come");
    reader.until("lanes go on beside a span", |r| r.has(&log)).await;
    assert_log(&reader, &log);
}

/// Numbers that look thrown and are the same in every run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`, which is not 0.
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's MMIX generator; the high bits are the good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).map_or(0, |n| n % sides)
    }
}
