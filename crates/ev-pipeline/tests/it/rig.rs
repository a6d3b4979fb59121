//! Scripted parts: a source fed by the test, a decoder of a tiny schema, a sink with a mood.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use ev_core::testing::MemoryStore;
use ev_core::{
    AuthVersion, Batch, BoxFuture, Choice, Claim, Cost, Credit, Decoder, DecoderError,
    DecoderIdentity, DecoderKind, DecoderSet, Env, EventDigest, Facts, Flavour, Form, Framing,
    LaneId, LaneRow, Lanes, Mark, Mode, Outcome, Output, Page, ParkedEvent, ParkedQuery, RawEvent,
    Resume, Road, Route, Shape, Sink, SinkError, SinkId, Source, SourceError, SourceEvent,
    SpanQuery, SpanReader, StateStore, Survey, Timestamp, Token, Verdict,
};
use ev_pipeline::{Config, Engine, Error, Exec, Parts, Summary, TokioEnv};
use ev_unstructured::UnstructuredDecoder;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

pub(crate) fn token(text: &str) -> Token {
    Token { road: Road::Typed, format: 1, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

pub(crate) fn version(text: &str) -> AuthVersion {
    AuthVersion::new(text)
}

pub(crate) const WINDOW: LaneId = LaneId::Window { start: 0, pass: 0 };

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
    out.extend_from_slice(bytes);
    out
}

/// A `OneOf` with case `case` (1 to 15): `{ 1: { 2: kind, 3: uid, 5: time }, 2: session }`.
pub(crate) fn event(case: u8, kind: &str, uid: &str, session: &str) -> RawEvent {
    event_at(case, kind, uid, session, 1000)
}

/// An event of a recording, with its index, 0 to 127.
pub(crate) fn recorded(kind: &str, uid: &str, session: &str, index: u8) -> RawEvent {
    let metadata = [&[0x08, index][..], &field(2, kind.as_bytes()), &field(3, uid.as_bytes())];
    let body = [field(1, &metadata.concat()), field(2, session.as_bytes())].concat();
    RawEvent { form: Form::OneOf, bytes: field(2, &body).into() }
}

/// The same at that second, 128 to 16,383.
fn event_at(case: u8, kind: &str, uid: &str, session: &str, second: i64) -> RawEvent {
    let low = u8::try_from(second & 0x7f).unwrap() | 0x80;
    let time = field(5, &[0x08, low, u8::try_from(second >> 7).unwrap()]);
    let metadata = [field(2, kind.as_bytes()), field(3, uid.as_bytes()), time].concat();
    let body = [field(1, &metadata), field(2, session.as_bytes())].concat();
    RawEvent { form: Form::OneOf, bytes: field(case, &body).into() }
}

pub(crate) fn login(uid: &str) -> RawEvent {
    event(1, "user.login", uid, "")
}

pub(crate) fn login_at(uid: &str, second: i64) -> RawEvent {
    event_at(1, "user.login", uid, "", second)
}

/// What the state knows an event by.
pub(crate) fn digest(uid: &str) -> EventDigest {
    let sha256 = ring::digest::digest(&ring::digest::SHA256, uid.as_bytes());
    EventDigest::of(sha256.as_ref().try_into().unwrap())
}

/// A page of the window lane that ends in a mark.
pub(crate) fn page(events: Vec<RawEvent>, next: &str) -> SourceEvent {
    let marks = vec![Mark { after: events.len(), token: token(next) }];
    let version = version("1.0.0");
    SourceEvent::Page(Page { lane: WINDOW, version, events, marks, repeats: false })
}

pub(crate) fn upstream(text: &str) -> SourceEvent {
    SourceEvent::Upstream(Survey { cluster: "c".into(), version: version(text) })
}

pub(crate) fn opened() -> SourceEvent {
    SourceEvent::Lanes(Lanes { opened: vec![(WINDOW, token("start"))], ..Lanes::default() })
}

/// What the test tells the source, and what the engine asked of it.
#[derive(Default)]
pub(crate) struct Feed {
    pub(crate) script: Mutex<VecDeque<SourceEvent>>,
    pub(crate) pages_given: AtomicU64,
    pub(crate) opened: Mutex<Vec<LaneId>>,
    pub(crate) resumed: Mutex<Vec<(LaneId, Token)>>,
    pub(crate) closed: Mutex<Vec<(LaneId, Token)>>,
    /// Where to begin, if there are no lanes.
    pub(crate) start: Mutex<Option<Timestamp>>,
    /// Behind the script, the source cannot go on.
    fails: AtomicBool,
    /// What the script has of lanes that are closed.
    held_back: Mutex<Vec<SourceEvent>>,
    more: Notify,
}

impl Feed {
    pub(crate) fn push(&self, event: SourceEvent) {
        lock(&self.script).push_back(event);
        self.more.notify_one();
    }

    pub(crate) fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
        self.more.notify_one();
    }
}

fn is_of(event: &SourceEvent, lane: &LaneId) -> bool {
    match event {
        SourceEvent::Page(page) => page.lane == *lane,
        SourceEvent::Lanes(lanes) => lanes.ended.contains(lane),
        _ => false,
    }
}

struct ScriptedSource(Arc<Feed>);

impl Source for ScriptedSource {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        Box::pin(async { Ok(Survey { cluster: "c".into(), version: version("1.0.0") }) })
    }

    fn resume(&mut self, resume: Resume) -> Result<(), SourceError> {
        *lock(&self.0.resumed) = resume.lanes;
        *lock(&self.0.closed) = resume.closed;
        *lock(&self.0.start) = Some(resume.start_time);
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        let feed = self.0.clone();
        Box::pin(async move {
            loop {
                {
                    let mut script = lock(&feed.script);
                    let is_page = matches!(script.front(), Some(SourceEvent::Page(_)));
                    if (!is_page || credit.pages > 0)
                        && let Some(event) = script.pop_front()
                    {
                        feed.pages_given.fetch_add(u64::from(is_page), Ordering::Relaxed);
                        return Ok(event);
                    }
                }
                if feed.fails.load(Ordering::Relaxed) {
                    let message = "the certificate has ended".to_owned();
                    return Err(SourceError::Operator { message, source: None });
                }
                feed.more.notified().await;
            }
        })
    }

    fn open(&mut self, lane: &LaneId, from: Option<Token>) -> Token {
        lock(&self.0.opened).push(lane.clone());
        let held_back = std::mem::take(&mut *lock(&self.0.held_back));
        let (again, rest) = held_back.into_iter().partition(|event| is_of(event, lane));
        *lock(&self.0.held_back) = rest;
        let again: Vec<SourceEvent> = again;
        again.into_iter().for_each(|event| self.0.push(event));
        from.unwrap_or_else(|| token("session start"))
    }

    fn close(&mut self, lane: &LaneId) {
        let script = std::mem::take(&mut *lock(&self.0.script));
        let (held, rest) = script.into_iter().partition(|event| is_of(event, lane));
        *lock(&self.0.script) = rest;
        let held: VecDeque<SourceEvent> = held;
        lock(&self.0.held_back).extend(held);
    }

    fn span(&self, _: SpanQuery) -> Box<dyn SpanReader> {
        unreachable!("the engine reads lanes only")
    }
}

/// Knows cases 1 to `cases`; an event with session text `poison` makes it fail.
pub(crate) struct TinyDecoder {
    identity: DecoderIdentity,
    cases: u32,
}

impl TinyDecoder {
    pub(crate) fn knowing(cases: u32, kind: DecoderKind) -> Arc<dyn Decoder> {
        let identity = DecoderIdentity {
            kind,
            auth_version: version("1.0.0"),
            schema_sha256: [u8::try_from(cases).unwrap(); 32],
            artifact_sha256: None,
            flavour: Flavour::Go,
        };
        Arc::new(Self { identity, cases })
    }
}

impl Decoder for TinyDecoder {
    fn identity(&self) -> &DecoderIdentity {
        &self.identity
    }

    fn cost(&self) -> Cost {
        if self.identity.kind == DecoderKind::Module { Cost::Blocking } else { Cost::Inline }
    }

    fn decode(
        &self,
        events: &[RawEvent],
        mode: Mode,
        out: &mut Output,
    ) -> Result<(), DecoderError> {
        let (json_len, outcomes_len) = (out.json().len(), out.outcomes().len());
        for event in events {
            let start = out.buffer().len();
            let Some(peeked) = event.peek() else {
                out.abandon(start, Outcome::Malformed { at: 0, what: "no case".into() });
                continue;
            };
            let text =
                |span: ev_core::Span| String::from_utf8_lossy(span.of(&event.bytes)).into_owned();
            let tail = event.bytes.iter().rposition(|byte| *byte == 0x12).unwrap();
            let session = ev_core::Span::new(tail + 2, event.bytes.len());
            if text(session) == "poison" {
                out.rewind(json_len, outcomes_len);
                return Err(DecoderError::new("the guest trapped"));
            }
            let facts = Facts {
                case: peeked.case,
                kind: peeked.kind,
                uid: peeked.uid,
                session,
                time: peeked.time,
                index: peeked.index,
                // Any function of the JSON does, as long as it is none of the raw bytes.
                digest: peeked
                    .uid
                    .is_empty()
                    .then(|| [text(peeked.kind).bytes().fold(0, u8::wrapping_add); 32]),
                ..Facts::default()
            };
            let json =
                format!(r#"{{"event":"{}","uid":"{}"}}"#, text(peeked.kind), text(peeked.uid));
            if peeked.case > 10 {
                let path = peeked.case.to_string();
                let outcome = Outcome::Unknown { at: 0, path, facts: None, known: None };
                out.abandon(start, outcome);
            } else if peeked.case > self.cases {
                let path = format!("{}.7", peeked.case);
                if mode == Mode::KnownPart {
                    out.buffer().extend_from_slice(json.as_bytes());
                    out.known_part(start, 3, path, facts);
                } else {
                    out.abandon(
                        start,
                        Outcome::Unknown { at: 3, path, facts: Some(facts), known: None },
                    );
                }
            } else {
                out.buffer().extend_from_slice(json.as_bytes());
                out.decoded(start, facts);
            }
        }
        Ok(())
    }
}

/// Choices by version, changed by the test.
pub(crate) struct Decoders {
    choices: Mutex<BTreeMap<AuthVersion, Choice>>,
    generation: watch::Sender<u64>,
    pub(crate) failures: AtomicU64,
    /// How often somebody asked which one fits.
    pub(crate) asked: AtomicU64,
}

impl Decoders {
    pub(crate) fn set(&self, version_text: &str, choice: Choice) {
        lock(&self.choices).insert(version(version_text), choice);
        self.generation.send_modify(|generation| *generation += 1);
    }
}

impl DecoderSet for Decoders {
    fn choose(&self, version: &AuthVersion) -> Choice {
        self.asked.fetch_add(1, Ordering::Relaxed);
        lock(&self.choices).get(version).cloned().unwrap_or(Choice::Pending)
    }

    fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    fn changed(&self, seen: u64) -> BoxFuture<'static, ()> {
        let mut receiver = self.generation.subscribe();
        Box::pin(async move {
            if receiver.wait_for(|generation| *generation != seen).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn report_failure(&self, _: &AuthVersion, _: &DecoderError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks at the JSON of a batch's events and says what becomes of them.
type Judge = Arc<dyn Fn(&[String]) -> Verdict + Send + Sync>;

/// How the sink behaves.
#[derive(Clone)]
pub(crate) enum Mood {
    Well,
    /// Every request fails with this.
    Failing(Verdict),
    /// No request is ever answered.
    Stalled,
    /// Stores, then says that nobody knows.
    LosesAnswers,
    /// Depends on the events; stores those that it takes.
    Judging(Judge),
}

impl Mood {
    /// Refuses every batch with an event of which `is_bad` holds.
    pub(crate) fn refusing(
        verdict: Verdict,
        is_bad: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::Judging(Arc::new(move |events: &[String]| {
            if events.iter().any(|json| is_bad(json)) {
                verdict.clone()
            } else {
                Verdict::Delivered
            }
        }))
    }
}

pub(crate) struct MoodySink {
    pub(crate) mood: watch::Sender<Mood>,
    /// Route and body of each stored event, in order of arrival.
    pub(crate) stored: Mutex<Vec<(Route, String)>>,
    pub(crate) requests: AtomicU64,
    pub(crate) shape: Shape,
}

impl MoodySink {
    pub(crate) fn uids(&self) -> Vec<String> {
        let uid = |json: &str| json.split('"').nth(7).unwrap().to_owned();
        lock(&self.stored).iter().map(|(_, json)| uid(json)).collect()
    }
}

impl Sink for MoodySink {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mood = self.mood.borrow().clone();
        Box::pin(async move {
            // A round trip, so that a test can crash in the middle.
            tokio::task::yield_now().await;
            let store = |batch: &Batch| {
                let mut stored = lock(&self.stored);
                for entry in &batch.entries {
                    let json = String::from_utf8(entry.json.of(&batch.body).to_vec()).unwrap();
                    stored.push((batch.route.clone(), json));
                }
            };
            let verdict = match mood {
                Mood::Well => {
                    store(&batch);
                    Verdict::Delivered
                }
                Mood::Failing(verdict) => verdict,
                Mood::Stalled => std::future::pending().await,
                Mood::LosesAnswers => {
                    store(&batch);
                    Verdict::Unknown { detail: "connection closed".into() }
                }
                Mood::Judging(judge) => {
                    let json = |entry: &ev_core::Entry| {
                        String::from_utf8(entry.json.of(&batch.body).to_vec()).unwrap()
                    };
                    let events: Vec<_> = batch.entries.iter().map(json).collect();
                    let verdict = judge(&events);
                    if verdict == Verdict::Delivered {
                        store(&batch);
                    }
                    verdict
                }
            };
            (batch, verdict)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The wall clock of a paused runtime goes with its monotonic one.
struct PausedEnv(TokioEnv, i64);

impl Env for PausedEnv {
    fn now(&self) -> Timestamp {
        let since = self.0.monotonic();
        Timestamp::new(self.1 + i64::try_from(since.as_secs()).unwrap(), since.subsec_nanos())
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

pub(crate) struct Rig {
    pub(crate) feed: Arc<Feed>,
    pub(crate) decoders: Arc<Decoders>,
    pub(crate) sink: Arc<MoodySink>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) config: Config,
    pub(crate) road: Road,
    /// Where the wall clock of a run begins.
    pub(crate) begin: i64,
    pub(crate) stop: CancellationToken,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let decoders = Decoders {
            choices: Mutex::default(),
            generation: watch::Sender::new(0),
            failures: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        };
        decoders.set("1.0.0", Choice::Exact(TinyDecoder::knowing(2, DecoderKind::Native)));
        let shape = Shape {
            framing: Framing::Array,
            max_events: 10,
            max_bytes: 1 << 20,
            max_in_flight: 4,
            ordering: ev_core::Ordering::Unordered,
        };
        let sink = MoodySink {
            mood: watch::Sender::new(Mood::Well),
            stored: Mutex::default(),
            requests: AtomicU64::new(0),
            shape,
        };
        Self {
            feed: Arc::default(),
            decoders: Arc::new(decoders),
            sink: Arc::new(sink),
            store: Arc::new(MemoryStore::new()),
            config: Config::default(),
            road: Road::Typed,
            begin: crate::recordings::BEGIN,
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn snapshot(&self) -> ev_core::Snapshot {
        let claim = Claim {
            sink: SinkId("test".into()),
            cluster: "c".into(),
            flavour: None,
            start_time: Timestamp::EPOCH,
        };
        self.store.open_sink(&claim).unwrap()
    }

    /// The lanes in the state of a run that goes on.
    pub(crate) fn snapshot_lanes(&self) -> Vec<LaneRow> {
        self.store.lanes(&SinkId("test".into()))
    }

    /// Parked events in the state.
    pub(crate) fn parked_events(&self) -> Vec<ParkedEvent> {
        let all = ParkedQuery { after: None, limit: 1000, max_bytes: usize::MAX };
        self.store.parked(&SinkId("test".into()), &all).unwrap()
    }

    /// How many those are.
    pub(crate) fn parked(&self) -> usize {
        self.parked_events().len()
    }

    /// A new life of the process on the same state and sink, with an empty script.
    pub(crate) fn restart(&mut self) {
        self.feed = Arc::default();
        self.stop = CancellationToken::new();
    }

    pub(crate) fn run(&self) -> impl Future<Output = Result<Summary, Error>> + use<> {
        self.run_with(Box::new(ScriptedSource(self.feed.clone())))
    }

    /// The same with a source of the test's own.
    pub(crate) fn run_with(
        &self,
        source: Box<dyn Source>,
    ) -> impl Future<Output = Result<Summary, Error>> + use<> {
        let engine = self.engine_with(source);
        let stop = self.stop.clone();
        async move { engine?.run(stop).await }
    }

    /// An engine that does not run yet.
    pub(crate) fn engine(&self) -> Engine {
        self.engine_with(Box::new(ScriptedSource(self.feed.clone()))).unwrap()
    }

    fn engine_with(&self, source: Box<dyn Source>) -> Result<Engine, Error> {
        Engine::new(Parts {
            source,
            decoders: self.decoders.clone(),
            unstructured: Arc::new(UnstructuredDecoder::new()),
            sink: self.sink.clone(),
            store: self.store.clone(),
            env: Arc::new(PausedEnv(TokioEnv::new(), self.begin)),
            sink_id: SinkId("test".into()),
            snapshot: self.snapshot(),
            road: self.road,
            exec: Exec::InPlace,
            config: self.config.clone(),
        })
    }

    /// Runs until `done` holds, then stops the engine and returns what it did. The clock is
    /// paused, so waiting costs nothing; an hour of it without `done` is a failure.
    pub(crate) async fn run_until(&self, done: impl Fn(&Self) -> bool) -> Summary {
        let run = self.run();
        tokio::pin!(run);
        let wait = async {
            while !done(self) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            ended = &mut run => panic!("the engine ended by itself: {ended:?}"),
            waited = tokio::time::timeout(std::time::Duration::from_secs(3600), wait) => {
                waited.expect("the condition came true within an hour of paused time");
            }
        }
        self.stop.cancel();
        run.await.unwrap()
    }
}

pub(crate) fn uids(names: std::ops::Range<usize>) -> Vec<RawEvent> {
    names.map(|n| login(&format!("u{n:04}"))).collect()
}

pub(crate) fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("u{n:04}")).collect()
}

pub(crate) fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
