//! The suite checked by a tiny source in memory, which keeps every promise or breaks one.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::*;
use crate::{
    Credit, Form, Lanes, Mark, Page, Resume, SourceError, SourceEvent, SpanPage, SpanReader,
    Stopped,
};

/// Events of a page.
const PAGE: usize = 4;

/// Which promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    DropsAnEvent,
    DropsWhatIsOld,
    ChangesBytes,
    AddsAnEvent,
    SwapsEvents,
    IgnoresCredit,
    MarksTooFar,
    MarksRecordingsTooFar,
    LeavesAGap,
    OpensLate,
    ForgetsWhatItWaitedFor,
    KeepsTheVersion,
    NeverConnectsAgain,
    IsBlindAtTheTip,
    CatchesUpTooSoon,
    BeginsAgainWhenOpened,
    EndsTwice,
    KnowsNoMissing,
    CannotClose,
    HidesRepeats,
    LosesWhatWasUnderWay,
    RetiresTooSoon,
    LeavesOutOfASpan,
}

#[derive(Default)]
struct Auth {
    /// Each with the second by which searches find it.
    log: Vec<(i64, RawEvent)>,
    recordings: BTreeMap<SessionId, Vec<RawEvent>>,
    version: String,
    /// Number of the connection that is taken next.
    connection: u64,
}

struct Memory {
    auth: Arc<Mutex<Auth>>,
    lie: Lie,
}

fn lock(auth: &Mutex<Auth>) -> MutexGuard<'_, Auth> {
    auth.lock().unwrap_or_else(PoisonError::into_inner)
}

fn raw(id: &str) -> RawEvent {
    RawEvent { form: Form::OneOf, bytes: Bytes::copy_from_slice(id.as_bytes()) }
}

impl Auth {
    fn survey(&self) -> Survey {
        Survey { cluster: "example".to_owned(), version: AuthVersion::new(&self.version) }
    }
}

impl Memory {
    fn new(lie: Lie) -> Self {
        let auth = Auth { version: "1.2.3".to_owned(), connection: 1, ..Auth::default() };
        Self { auth: Arc::new(Mutex::new(auth)), lie }
    }
}

impl World for Memory {
    type Source = MemorySource;

    fn source(&self) -> MemorySource {
        MemorySource {
            auth: self.auth.clone(),
            lie: self.lie,
            connection: 0,
            version: AuthVersion::new(""),
            lanes: BTreeMap::new(),
            turn: 0,
            out: VecDeque::new(),
            at_tip: false,
        }
    }

    fn road(&self) -> Road {
        Road::Typed
    }

    fn survey(&self) -> Survey {
        lock(&self.auth).survey()
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(NOW, 0)
    }

    /// Its sources never wait for anything else.
    fn idle(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn append(&self, event: &Wanted) -> RawEvent {
        let mut auth = lock(&self.auth);
        let newest = auth.log.last().map_or(i64::MIN, |(second, _)| *second);
        auth.log.push((newest.max(event.time.seconds()), raw(&event.id)));
        raw(&event.id)
    }

    fn record(&self, session: &SessionId, event: &Wanted) -> RawEvent {
        lock(&self.auth).recordings.entry(session.clone()).or_default().push(raw(&event.id));
        raw(&event.id)
    }

    fn cut(&self) -> BoxFuture<'_, ()> {
        lock(&self.auth).connection += 1;
        Box::pin(std::future::ready(()))
    }

    fn change_version(&self, version: &AuthVersion) -> BoxFuture<'_, ()> {
        version.as_str().clone_into(&mut lock(&self.auth).version);
        self.cut()
    }
}

const NOW: i64 = 1_000_000;

/// How far a lane is read: events of the log or of the recording that lie behind it.
#[derive(Clone, Copy)]
struct Place {
    read: u64,
    /// Of a window: behind its last second.
    end: i64,
}

impl Place {
    fn token(self) -> Token {
        let mut bytes = BytesMut::new();
        bytes.put_u64(self.read);
        bytes.put_i64(self.end);
        Token { road: Road::Typed, format: 1, bytes: bytes.freeze() }
    }

    fn of(token: &Token) -> Self {
        let mut bytes = token.bytes.clone();
        Self { read: bytes.get_u64(), end: bytes.get_i64() }
    }
}

struct MemorySource {
    auth: Arc<Mutex<Auth>>,
    lie: Lie,
    connection: u64,
    version: AuthVersion,
    lanes: BTreeMap<LaneId, Place>,
    turn: usize,
    out: VecDeque<SourceEvent>,
    at_tip: bool,
}

impl MemorySource {
    fn step(&mut self, credit: Credit) -> Option<SourceEvent> {
        let auth = self.auth.clone();
        let auth = lock(&auth);
        let gone = self.connection != auth.connection;
        if gone && self.connection > 0 && self.lie == Lie::LosesWhatWasUnderWay {
            // What would have come next of recordings is taken for read.
            let recordings = self.lanes.iter_mut().filter(|(lane, _)| !is_window(lane));
            recordings.for_each(|(_, place)| place.read += 1);
        }
        if gone && self.lie == Lie::NeverConnectsAgain && self.connection > 0 {
            return None;
        }
        if gone {
            let first = self.connection == 0;
            self.connection = auth.connection;
            if first || self.lie != Lie::KeepsTheVersion {
                self.version = auth.survey().version;
            }
            let survey = Survey { version: self.version.clone(), ..auth.survey() };
            return Some(SourceEvent::Upstream(survey));
        }
        if self.lie == Lie::OpensLate && credit.pages == 0 {
            return None;
        }
        if let Some(event) = self.out.pop_front() {
            return Some(event);
        }
        if credit.pages == 0 && self.lie != Lie::IgnoresCredit {
            return None;
        }
        // Lanes take turns.
        self.turn += 1;
        let mut lanes: Vec<LaneId> = self.lanes.keys().cloned().collect();
        let turn = self.turn % lanes.len().max(1);
        lanes.rotate_left(turn);
        lanes.into_iter().find_map(|lane| self.read(&auth, lane))
    }

    fn read(&mut self, auth: &Auth, lane: LaneId) -> Option<SourceEvent> {
        let place = self.lanes[&lane];
        let (start, session) = match &lane {
            LaneId::Window { start, .. } => (*start, None),
            LaneId::Session(id) => (0, Some(id)),
            LaneId::Chunk { .. } => unreachable!("not opened here"),
        };
        let there: Vec<RawEvent> = match session {
            Some(id) => match auth.recordings.get(id) {
                Some(recording) => recording.clone(),
                None => {
                    self.lanes.remove(&lane);
                    let missing = self.lie != Lie::KnowsNoMissing;
                    let reason = "no such recording".to_owned();
                    return Some(SourceEvent::Stopped(Stopped { lane, missing, reason }));
                }
            },
            None => {
                let closed = place.end != i64::MAX;
                let end = place.end - i64::from(closed && self.lie == Lie::LeavesAGap);
                let within = auth.log.iter().filter(|(at, _)| (start..end).contains(at));
                within.map(|(_, event)| event.clone()).collect()
            }
        };
        let read = usize::try_from(place.read).expect("few");
        let mut events: Vec<RawEvent> = there.iter().skip(read).take(PAGE).cloned().collect();
        let live = session.is_none() && place.end == i64::MAX;
        if events.is_empty() {
            if live {
                return (!std::mem::replace(&mut self.at_tip, true))
                    .then_some(SourceEvent::CaughtUp);
            }
            if self.lie != Lie::EndsTwice || session.is_none() {
                self.lanes.remove(&lane);
            }
            // It never re-scans.
            let retired = if is_window(&lane) { vec![lane.clone()] } else { Vec::new() };
            let ended = if self.lie == Lie::RetiresTooSoon { Vec::new() } else { vec![lane] };
            return Some(SourceEvent::Lanes(Lanes { opened: Vec::new(), ended, retired }));
        }
        if live && self.at_tip && self.lie == Lie::IsBlindAtTheTip {
            return None;
        }
        if live && !self.at_tip && self.lie == Lie::CatchesUpTooSoon {
            self.at_tip = true;
            return Some(SourceEvent::CaughtUp);
        }
        self.at_tip &= !live;
        let next = read + events.len();
        let mut marks = Vec::new();
        for after in 1..=events.len() {
            let too_far = match self.lie {
                Lie::MarksTooFar => session.is_none() && next < there.len(),
                Lie::MarksRecordingsTooFar => session.is_some() && read + after < there.len(),
                _ => false,
            };
            let read = u64::try_from(read + after + usize::from(too_far)).expect("few");
            marks.push(Mark { after, token: Place { read, ..place }.token() });
        }
        let next = u64::try_from(next).expect("few");
        self.lanes.insert(lane.clone(), Place { read: next, ..place });
        let mut repeats = false;
        match self.lie {
            Lie::DropsAnEvent => events.retain(|event| event.bytes != "log-20"),
            Lie::DropsWhatIsOld => events.retain(|event| !event.bytes.starts_with(b"late-")),
            Lie::ChangesBytes => {
                events[0].bytes = [&events[0].bytes[..], b" "].concat().into();
            }
            Lie::AddsAnEvent if read == 0 => events.insert(0, raw("made up")),
            Lie::SwapsEvents if events.len() > 1 => events.swap(0, 1),
            Lie::HidesRepeats if read > 0 => events.insert(0, there[read - 1].clone()),
            _ => repeats = session.is_none() && read == 0,
        }
        for mark in &mut marks {
            mark.after = mark.after.min(events.len());
        }
        let version = self.version.clone();
        Some(SourceEvent::Page(Page { lane, version, events, marks, repeats }))
    }
}

impl Source for MemorySource {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        let survey = lock(&self.auth).survey();
        Box::pin(async move { Ok(survey) })
    }

    fn resume(&mut self, resume: Resume) -> Result<(), SourceError> {
        let places = resume.lanes.iter().map(|(lane, token)| (lane.clone(), Place::of(token)));
        self.lanes = places.collect();
        if !self.lanes.keys().any(is_window) {
            let mut opened = Vec::new();
            let mut start = resume.start_time.seconds();
            loop {
                let live = start + HOUR > NOW;
                let end = if live { i64::MAX } else { start + HOUR };
                let (lane, place) = (LaneId::Window { start, pass: 0 }, Place { read: 0, end });
                opened.push((lane.clone(), place.token()));
                self.lanes.insert(lane, place);
                if live {
                    break;
                }
                start = end;
            }
            self.out.push_back(SourceEvent::Lanes(Lanes { opened, ..Lanes::default() }));
        }
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        if self.lie == Lie::ForgetsWhatItWaitedFor {
            return Box::pin(async move {
                let event = poll_fn(|_| self.step(credit).map_or(Poll::Pending, Poll::Ready)).await;
                // Holds pages of recordings over a wait.
                let is_held = |page: &Page| !is_window(&page.lane);
                let mut waited = !matches!(&event, SourceEvent::Page(page) if is_held(page));
                poll_fn(|_| {
                    let before = std::mem::replace(&mut waited, true);
                    if before { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                Ok(event)
            });
        }
        Box::pin(poll_fn(move |_| self.step(credit).map_or(Poll::Pending, |e| Poll::Ready(Ok(e)))))
    }

    fn open(&mut self, lane: &LaneId, from: Option<Token>) -> Token {
        let place = from.as_ref().map_or(Place { read: 0, end: 0 }, Place::of);
        if !self.lanes.contains_key(lane) || self.lie == Lie::BeginsAgainWhenOpened {
            self.lanes.insert(lane.clone(), place);
        }
        place.token()
    }

    fn close(&mut self, lane: &LaneId) {
        if self.lie != Lie::CannotClose {
            self.lanes.remove(lane);
        }
    }

    fn span(&self, query: SpanQuery) -> Box<dyn SpanReader> {
        let auth = lock(&self.auth);
        let within = auth.log.iter().filter(|(at, _)| (query.from..query.to).contains(at));
        let skip = usize::from(self.lie == Lie::LeavesOutOfASpan);
        let events = within.map(|(_, event)| event.clone()).skip(skip).collect();
        Box::new(MemorySpan { events, version: auth.survey().version })
    }
}

/// Everything of a stretch, a page at a time.
struct MemorySpan {
    events: VecDeque<RawEvent>,
    version: AuthVersion,
}

impl SpanReader for MemorySpan {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SpanPage>, SourceError>> {
        let events: Vec<RawEvent> = self.events.drain(..self.events.len().min(PAGE)).collect();
        let page = SpanPage { version: self.version.clone(), events, gaps: Vec::new() };
        Box::pin(async move { Ok((!page.events.is_empty()).then_some(page)) })
    }
}

/// The promise that the suite finds broken, if it does.
fn verdict(lie: Lie) -> Option<String> {
    let run = || {
        let mut contract = pin!(contract(|| Memory::new(lie)));
        // Nothing in it waits for anything but its own wake-ups.
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            if contract.as_mut().poll(&mut cx).is_ready() {
                return;
            }
        }
        panic!("the contract does not end");
    };
    let panic = std::panic::catch_unwind(run).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).expect("a text"))
}

#[test]
fn an_honest_source_passes() {
    assert_eq!(verdict(Lie::None), None);
}

#[test]
fn a_lying_source_fails() {
    let lies = [
        (Lie::DropsAnEvent, "every event of the log arrives"),
        (Lie::DropsWhatIsOld, "every event of the log arrives"),
        (Lie::ChangesBytes, "every event of the log arrives"),
        (Lie::AddsAnEvent, "in the very bytes that Auth has"),
        (Lie::SwapsEvents, "in the order in which Auth has them"),
        (Lie::IgnoresCredit, "without credit no page comes"),
        (Lie::MarksTooFar, "every event that was not settled before the mark"),
        (Lie::MarksRecordingsTooFar, "repeats nothing and misses nothing"),
        (Lie::LeavesAGap, "no second is left out where windows meet"),
        (Lie::OpensLate, "lanes are opened though there is no credit"),
        (Lie::ForgetsWhatItWaitedFor, "a dropped future loses nothing"),
        (Lie::KeepsTheVersion, "a version is told before any page read under it"),
        (Lie::NeverConnectsAgain, "what is stored after a change arrives"),
        (Lie::IsBlindAtTheTip, "the tip grows and its events arrive"),
        (Lie::CatchesUpTooSoon, "the tip is reached when nothing is there that did not come"),
        (Lie::BeginsAgainWhenOpened, "a page with events that came before says so"),
        (Lie::EndsTwice, "a lane that is open ends, and once"),
        (Lie::KnowsNoMissing, "what is missing is told from what is unreadable"),
        (Lie::CannotClose, "pages come only of lanes that are open"),
        (Lie::HidesRepeats, "a page with events that came before says so"),
        (Lie::LosesWhatWasUnderWay, "a recording goes on where it was cut"),
        (Lie::RetiresTooSoon, "a window is retired when all its lanes have ended"),
        (Lie::LeavesOutOfASpan, "a span brings every event of its stretch"),
    ];
    let found = lies.map(|(lie, promise)| (lie, promise, verdict(lie).unwrap_or_default()));
    let missed: Vec<_> =
        found.iter().filter(|(_, promise, text)| !text.contains(promise)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}
