//! A span against an upstream that does what it is told.

use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ev_core::{Form, Gap};

use super::*;

/// How often a reader has to be polled for a page.
const MOMENTS: usize = 5;

/// What a reader yields, page by page.
type Script = VecDeque<SpanPage>;

/// An upstream whose spans are scripted.
#[derive(Default)]
struct Upstream {
    /// What the readers of the spans yield, in the order in which they are asked for.
    scripts: StdMutex<VecDeque<Script>>,
    asked: Arc<StdMutex<Vec<SpanQuery>>>,
    /// What happens on the connection.
    news: VecDeque<Survey>,
    searches: Arc<AtomicUsize>,
}

struct Reader {
    script: Script,
    searches: Arc<AtomicUsize>,
}

impl SpanReader for Reader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SpanPage>, SourceError>> {
        Box::pin(async {
            self.searches.fetch_add(1, Ordering::Relaxed);
            for _ in 0..MOMENTS {
                tokio::task::yield_now().await;
            }
            Ok(self.script.pop_front())
        })
    }
}

impl Source for Upstream {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        Box::pin(async { Ok(survey("1.0.0")) })
    }

    fn resume(&mut self, _: Resume) -> Result<(), SourceError> {
        panic!("the upstream has lanes of its own for nobody")
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        assert_eq!(credit.pages, 0, "nothing but the span is read");
        Box::pin(async {
            match self.news.pop_front() {
                Some(survey) => Ok(SourceEvent::Upstream(survey)),
                None => std::future::pending().await,
            }
        })
    }

    fn open(&mut self, _: &LaneId, _: Option<Token>) -> Token {
        panic!("no recording is opened")
    }

    fn close(&mut self, _: &LaneId) {}

    fn span(&self, query: SpanQuery) -> Box<dyn SpanReader> {
        self.asked.lock().unwrap().push(query);
        let script = self.scripts.lock().unwrap().pop_front().unwrap_or_default();
        Box::new(Reader { script, searches: Arc::clone(&self.searches) })
    }
}

fn survey(version: &str) -> Survey {
    Survey { cluster: "c".into(), version: AuthVersion::new(version) }
}

/// A message field, shorter than 128 bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn event(second: i64) -> RawEvent {
    let mut time = vec![1 << 3];
    let mut rest = second.unsigned_abs();
    while rest > 0x7f {
        time.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
        rest >>= 7;
    }
    time.push(u8::try_from(rest).unwrap());
    let bytes = field(1, &field(1, &field(5, &time))).into();
    RawEvent { form: Form::OneOf, bytes }
}

fn events(seconds: &[i64]) -> Vec<RawEvent> {
    seconds.iter().copied().map(event).collect()
}

fn page(seconds: &[i64]) -> SpanPage {
    SpanPage { version: AuthVersion::new("1.0.0"), events: events(seconds), gaps: Vec::new() }
}

fn source(upstream: Upstream, span: Range<i64>, types: &[&str]) -> SpanSource {
    let types = types.iter().map(|name| (*name).to_owned()).collect();
    SpanSource::new(Arc::new(Mutex::new(upstream)), survey("1.0.0"), span, types)
}

fn start(source: &mut SpanSource) {
    let resume = Resume {
        road: Road::Typed,
        lanes: Vec::new(),
        closed: Vec::new(),
        start_time: Timestamp::EPOCH,
    };
    Source::resume(source, resume).unwrap();
}

/// What is said of an event, in short.
fn shown(event: &SourceEvent) -> String {
    match event {
        SourceEvent::Upstream(survey) => format!("version {}", survey.version),
        SourceEvent::Page(page) => {
            let marks: Vec<_> = page.marks.iter().map(|m| (m.after, second_of(&m.token))).collect();
            format!("{} {} {marks:?}", page.lane, page.events.len())
        }
        SourceEvent::Lanes(lanes) => {
            let opened: Vec<_> = lanes.opened.iter().map(|(lane, _)| lane.to_string()).collect();
            let ended: Vec<_> = lanes.ended.iter().map(ToString::to_string).collect();
            format!("opened {opened:?} ended {ended:?}")
        }
        SourceEvent::CaughtUp => "end".to_owned(),
        SourceEvent::Gap(gap) => format!("{} gap {}", gap.lane, gap.gap.from),
        SourceEvent::Stopped(_) => "stopped".to_owned(),
    }
}

/// What comes if the source is polled once.
async fn one_look(source: &mut SpanSource, pages: usize) -> Option<SourceEvent> {
    tokio::select! {
        biased;
        event = source.next(Credit { pages }) => Some(event.unwrap()),
        () = std::future::ready(()) => None,
    }
}

async fn all(source: &mut SpanSource) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        told.push(shown(&source.next(Credit { pages: 1 }).await.unwrap()));
        if told.last().is_some_and(|last| last == "end") {
            return told;
        }
    }
}

#[tokio::test]
async fn every_event_is_in_the_slice_of_its_time_and_nothing_else_is() {
    let edge = 1000 + SLICE;
    let mut damaged = page(&[1500, edge, edge + 1]);
    damaged.events.push(RawEvent { form: Form::OneOf, bytes: Bytes::from_static(b"\xff") });
    let scripts = [
        VecDeque::from([page(&[998, 999, 1000, 1200]), page(&[1200]), damaged]),
        VecDeque::from([page(&[edge - 1, edge, edge + 9, edge + 10, edge + 11])]),
    ];
    let upstream = Upstream { scripts: StdMutex::new(scripts.into()), ..Upstream::default() };
    let asked = Arc::clone(&upstream.asked);
    let mut source = source(upstream, 1000..edge + 10, &["a", "b"]);
    start(&mut source);
    let (one, two) = ("window/1000/0".to_owned(), format!("window/{edge}/0"));
    let expected = [
        "version 1.0.0".to_owned(),
        format!("opened [{one:?}] ended []"),
        format!("{one} 2 [(2, Some(1200))]"),
        format!("{one} 1 [(1, Some(1200))]"),
        // The one that nobody can read is told by the engine.
        format!("{one} 2 [(2, Some(1500))]"),
        format!("{one} 0 [(0, Some({edge}))]"),
        format!("opened [{two:?}] ended [{one:?}]"),
        format!("{two} 2 [(2, Some({}))]", edge + 9),
        format!("{two} 0 [(0, Some({}))]", edge + 10),
        format!("opened [] ended [{two:?}]"),
        "end".to_owned(),
    ];
    assert_eq!(all(&mut source).await, expected);
    let types = vec!["a".to_owned(), "b".to_owned()];
    let query = |from, to| SpanQuery { from, to, types: types.clone() };
    assert_eq!(*asked.lock().unwrap(), [query(1000, edge), query(edge, edge + 10)]);
}

#[tokio::test]
async fn a_search_goes_on_whatever_else_happens() {
    let scripts = VecDeque::from([VecDeque::from([page(&[1000])])]);
    let upstream = Upstream { scripts: StdMutex::new(scripts), ..Upstream::default() };
    let searches = Arc::clone(&upstream.searches);
    let mut source = source(upstream, 1000..2000, &[]);
    start(&mut source);
    source.next(Credit { pages: 1 }).await.unwrap();
    source.next(Credit { pages: 1 }).await.unwrap();
    // Nothing is asked for without credit.
    for _ in 0..2 * MOMENTS {
        assert!(one_look(&mut source, 0).await.is_none());
    }
    assert_eq!(searches.load(Ordering::Relaxed), 0);
    // An engine has other things to do every now and then.
    let mut rounds = 0;
    let page = loop {
        rounds += 1;
        if let Some(event) = one_look(&mut source, 1).await {
            break shown(&event);
        }
        assert!(rounds <= MOMENTS, "the search is begun again and again");
    };
    assert_eq!(page, "window/1000/0 1 [(1, Some(1000))]");
    assert_eq!(searches.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn versions_come_before_what_was_read_under_them_and_gaps_in_their_place() {
    let gap = |from| Gap { from, to: from + 1, reason: "too large".into() };
    let mut newer = page(&[1100]);
    newer.version = AuthVersion::new("2.0.0");
    newer.gaps = vec![gap(1101), gap(2000)];
    let scripts = VecDeque::from([VecDeque::from([newer])]);
    let upstream = Upstream {
        scripts: StdMutex::new(scripts),
        news: VecDeque::from([survey("2.0.0")]),
        ..Upstream::default()
    };
    let mut source = source(upstream, 1000..2000, &[]);
    start(&mut source);
    let expected = [
        "version 1.0.0",
        "opened [\"window/1000/0\"] ended []",
        "version 2.0.0",
        "window/1000/0 1 [(1, Some(1100))]",
        "window/1000/0 gap 1101",
        "window/1000/0 0 [(0, Some(2000))]",
        "opened [] ended [\"window/1000/0\"]",
        "end",
    ];
    assert_eq!(all(&mut source).await, expected);
    assert_eq!(source.version().as_str(), "2.0.0");
}
