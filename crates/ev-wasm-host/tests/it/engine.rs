//! The engine around a decoder: a source that a test feeds, a sink that takes everything, and a
//! state in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use ev_core::testing::MemoryStore;
use ev_core::{
    AuthVersion, Batch, BoxFuture, Choice, Claim, Credit, Decoder, DecoderError, DecoderSet, Env,
    Framing, LaneId, Lanes, Mark, Page, ParkedEvent, ParkedQuery, RawEvent, Resume, Road, Shape,
    Sink, SinkError, SinkId, Source, SourceError, SourceEvent, SpanQuery, SpanReader, StateStore,
    Survey, Timestamp, Token, Verdict,
};
use ev_pipeline::{Config, Engine, Exec, Parts, Summary, TokioEnv};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

const WINDOW: LaneId = LaneId::Window { start: 0, pass: 0 };

/// What a test waits for at most, on a clock that is paused wherever nothing is computed.
const PATIENCE: Duration = Duration::from_secs(86_400);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

fn token(page: u64) -> Token {
    Token { road: Road::Typed, format: 1, bytes: Bytes::from(page.to_string()) }
}

fn survey(version: &AuthVersion) -> Survey {
    Survey { cluster: "c".into(), version: version.clone() }
}

/// One decoder for whatever version.
pub(crate) struct Always(pub(crate) Arc<dyn Decoder>);

impl DecoderSet for Always {
    fn choose(&self, _: &AuthVersion) -> Choice {
        Choice::Exact(Arc::clone(&self.0))
    }

    fn generation(&self) -> u64 {
        0
    }

    fn changed(&self, _: u64) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn report_failure(&self, _: &AuthVersion, _: &DecoderError) {}
}

/// An engine at work.
pub(crate) struct Rig {
    feed: Arc<Feed>,
    sink: Arc<Taker>,
    store: Arc<MemoryStore>,
    stop: CancellationToken,
    engine: tokio::task::JoinHandle<Summary>,
    version: AuthVersion,
    pages: u64,
}

impl Rig {
    /// Starts an engine that reads from an Auth of `version`, its guests on threads of their own.
    pub(crate) fn start(decoders: Arc<dyn DecoderSet>, version: &AuthVersion) -> Self {
        let feed = Arc::new(Feed {
            script: Mutex::default(),
            more: Notify::new(),
            version: version.clone(),
        });
        let sink = Arc::new(Taker { stored: Mutex::default(), count: watch::Sender::new(0) });
        let store = Arc::new(MemoryStore::new());
        let claim = Claim {
            sink: SinkId("test".into()),
            cluster: "c".into(),
            flavour: None,
            start_time: Timestamp::EPOCH,
        };
        let engine = Engine::new(Parts {
            source: Box::new(Fed(Arc::clone(&feed))),
            decoders,
            unstructured: Arc::new(ev_unstructured::UnstructuredDecoder::new()),
            sink: sink.clone(),
            store: store.clone(),
            env: Arc::new(TokioEnv::new()) as Arc<dyn Env>,
            sink_id: claim.sink.clone(),
            snapshot: store.open_sink(&claim).unwrap(),
            road: Road::Typed,
            exec: Exec::Threads,
            // So that what was decoded is seen at once.
            config: Config { batch_age: Duration::from_millis(1), ..Config::default() },
        })
        .unwrap();
        let stop = CancellationToken::new();
        let running = stop.clone();
        // The engine stays on its thread; tests run inside of a `LocalSet`.
        let engine = tokio::task::spawn_local(async move { engine.run(running).await.unwrap() });
        feed.push(SourceEvent::Lanes(Lanes {
            opened: vec![(WINDOW, token(0))],
            ..Lanes::default()
        }));
        Self { feed, sink, store, stop, engine, version: version.clone(), pages: 0 }
    }

    /// Auth answers with a page of these.
    pub(crate) fn page(&mut self, events: Vec<RawEvent>) {
        self.pages += 1;
        let marks = vec![Mark { after: events.len(), token: token(self.pages) }];
        let version = self.version.clone();
        let page = Page { lane: WINDOW, version, events, marks, repeats: false };
        self.feed.push(SourceEvent::Page(page));
    }

    /// Waits until so many events were delivered, by the sink's own word.
    pub(crate) async fn delivered(&self, count: usize) {
        let mut seen = self.sink.count.subscribe();
        let wait = seen.wait_for(|stored| *stored >= count);
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("{count} expected, {} delivered", lock(&self.sink.stored).len());
        }
    }

    /// What was delivered so far, in order of arrival.
    pub(crate) fn bodies(&self) -> Vec<String> {
        lock(&self.sink.stored).clone()
    }

    /// Stops the engine; returns its sums, and what is parked.
    pub(crate) async fn end(self) -> (Summary, Vec<ParkedEvent>) {
        self.stop.cancel();
        let summary = self.engine.await.unwrap();
        let all = ParkedQuery { after: None, limit: 1000, max_bytes: usize::MAX };
        let parked = self.store.parked(&SinkId("test".into()), &all).unwrap();
        (summary, parked)
    }
}

struct Feed {
    script: Mutex<VecDeque<SourceEvent>>,
    more: Notify,
    version: AuthVersion,
}

impl Feed {
    fn push(&self, event: SourceEvent) {
        lock(&self.script).push_back(event);
        self.more.notify_one();
    }
}

struct Fed(Arc<Feed>);

impl Source for Fed {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        let survey = survey(&self.0.version);
        Box::pin(async { Ok(survey) })
    }

    fn resume(&mut self, _: Resume) -> Result<(), SourceError> {
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        let feed = Arc::clone(&self.0);
        Box::pin(async move {
            loop {
                {
                    let mut script = lock(&feed.script);
                    let is_page = matches!(script.front(), Some(SourceEvent::Page(_)));
                    if (!is_page || credit.pages > 0)
                        && let Some(event) = script.pop_front()
                    {
                        return Ok(event);
                    }
                }
                feed.more.notified().await;
            }
        })
    }

    fn open(&mut self, _: &LaneId, from: Option<Token>) -> Token {
        from.unwrap_or_else(|| token(0))
    }

    fn close(&mut self, _: &LaneId) {}

    fn span(&self, _: SpanQuery) -> Box<dyn SpanReader> {
        unreachable!("the engine reads lanes only")
    }
}

struct Taker {
    stored: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
}

impl Sink for Taker {
    fn shape(&self) -> Shape {
        Shape {
            framing: Framing::Array,
            max_events: 500,
            max_bytes: 1 << 20,
            max_in_flight: 4,
            ordering: ev_core::Ordering::Unordered,
        }
    }

    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
        Box::pin(async move {
            let mut stored = lock(&self.stored);
            for entry in &batch.entries {
                let json = entry.json.of(&batch.body).to_vec();
                stored.push(String::from_utf8(json).unwrap());
            }
            self.count.send_replace(stored.len());
            drop(stored);
            (batch, Verdict::Delivered)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }
}
