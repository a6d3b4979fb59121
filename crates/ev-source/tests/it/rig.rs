//! An Auth server, a source, and a reader that keeps what an engine would keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ev_core::{
    AuthVersion, Credit, LaneGap, LaneId, Page, RawEvent, Resume, Road, SessionId, Source,
    SourceEvent, Stopped, Timestamp, Token,
};
use ev_source::{Config, Credentials, SearchSource};
use ev_test_support::certs::{Authority, Identity, Leaf, Validity};
use ev_test_support::{
    Api, AuthConfig, AuthSwitches, Event, FakeAuth, TlsVersions, Unstructured, UtcTime, loopback,
    server_config,
};

use crate::env::ManualEnv;

pub(crate) const CLUSTER: &str = "example.cluster";
/// How long anything may take, by the real clock, before it counts as never happening.
const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const POLL: Duration = Duration::from_secs(5);

/// Certificates are made once: it takes a while.
pub(crate) struct Certs {
    pub(crate) authority: Authority,
    pub(crate) server: Leaf,
    pub(crate) client: Leaf,
}

pub(crate) fn certs() -> &'static Certs {
    static CERTS: OnceLock<Certs> = OnceLock::new();
    CERTS.get_or_init(|| {
        let authority = Authority::new(CLUSTER).expect("an authority");
        let server = authority.issue_auth_server(CLUSTER, Validity::Long).expect("a certificate");
        let client = authority.issue_teleport_client("ev", Validity::Long).expect("a certificate");
        Certs { authority, server, client }
    })
}

pub(crate) fn identity_text() -> String {
    let certs = certs();
    Identity::new(&certs.client, "ev", CLUSTER, certs.authority.cert_pem()).to_text()
}

pub(crate) struct Rig {
    /// The road that is read, and the only one that is offered.
    pub(crate) road: Road,
    pub(crate) auth: FakeAuth,
    pub(crate) env: ManualEnv,
    pub(crate) dir: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::on(Road::Typed)
    }

    pub(crate) fn on(road: Road) -> Self {
        let certs = certs();
        let clients = [certs.authority.cert_der()];
        let tls = server_config(&certs.server, &clients, TlsVersions::Both, &["h2"]);
        let config = AuthConfig {
            tls: tls.expect("usable certificates"),
            cluster: CLUSTER.to_owned(),
            switches: AuthSwitches::default(),
        };
        let mut rig = Self::start(config);
        rig.offer(road);
        rig
    }

    /// Reads that road from now on, which alone is offered.
    pub(crate) fn offer(&mut self, road: Road) {
        self.road = road;
        let apis: &[Api] = match road {
            Road::Typed => &[Api::Typed],
            Road::Unstructured => &[Api::Unstructured],
            // Recordings are read by the other calls.
            Road::Export => &[Api::Export, Api::Unstructured],
        };
        self.auth.set(|switches| switches.offer_only(apis));
    }

    fn start(config: AuthConfig) -> Self {
        let auth = FakeAuth::start(loopback().expect("a port"), config).expect("a server");
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("identity"), identity_text()).expect("a file");
        Self { road: Road::Typed, auth, env: ManualEnv::new(), dir }
    }

    pub(crate) fn config(&self) -> Config {
        let identity = Credentials::Identity(self.dir.path().join("identity"));
        let config = Config::new(self.auth.addr().to_string(), identity);
        // Windows are as wide as a test says, and nobody wakes to look at files unless it says so.
        Config {
            road: self.road,
            poll_interval: POLL,
            least_window: config.window_size,
            refresh: None,
            ping_interval: Duration::from_secs(60),
            ..config
        }
    }

    pub(crate) fn source(&self, config: Config) -> SearchSource {
        SearchSource::new(config, Arc::new(self.env.clone())).expect("good settings")
    }

    /// A reader that starts at second `start`.
    pub(crate) fn reader(&self, config: Config, start: i64) -> Reader {
        self.resumed(config, Vec::new(), start)
    }

    pub(crate) fn resumed(
        &self,
        config: Config,
        lanes: Vec<(LaneId, Token)>,
        start: i64,
    ) -> Reader {
        self.taken_up(config, lanes, Vec::new(), start)
    }

    /// The same with windows that were read to their end.
    pub(crate) fn taken_up(
        &self,
        config: Config,
        lanes: Vec<(LaneId, Token)>,
        closed: Vec<(LaneId, Token)>,
        start: i64,
    ) -> Reader {
        let mut source = self.source(config);
        let mut reader = Reader { lanes: lanes.iter().cloned().collect(), ..Reader::default() };
        let start_time = Timestamp::new(start, 0);
        let resume = Resume { road: self.road, lanes, closed, start_time };
        source.resume(resume).expect("readable tokens");
        reader.source = Some(source);
        reader.env = Some(self.env.clone());
        reader
    }

    /// A reader of the bulk export.
    pub(crate) fn exporting(
        &self,
        config: Config,
        lanes: Vec<(LaneId, Token)>,
        closed: Vec<(LaneId, Token)>,
        start: i64,
    ) -> Reader {
        let mut source = self.source(config);
        let mut reader = Reader { lanes: lanes.iter().cloned().collect(), ..Reader::default() };
        reader.closed.clone_from(&closed);
        let start_time = Timestamp::new(start, 0);
        let resume = Resume { road: Road::Export, lanes, closed, start_time };
        source.resume(resume).expect("readable tokens");
        reader.source = Some(source);
        reader.env = Some(self.env.clone());
        reader
    }

    pub(crate) fn calls(&self, method: &str) -> u64 {
        self.auth.tally().methods.get(method).map_or(0, |tally| tally.calls)
    }
}

/// Reads on and on, and settles each page at once.
#[derive(Default)]
pub(crate) struct Reader {
    source: Option<SearchSource>,
    env: Option<ManualEnv>,
    /// Open lanes and where they would be resumed.
    pub(crate) lanes: BTreeMap<LaneId, Token>,
    pub(crate) ended: Vec<LaneId>,
    /// Lanes that ended and are not retired, and where they stood.
    pub(crate) closed: Vec<(LaneId, Token)>,
    pub(crate) retired: Vec<LaneId>,
    pub(crate) gaps: Vec<LaneGap>,
    pub(crate) stopped: Vec<Stopped>,
    /// Every event as it came.
    pub(crate) events: Vec<(LaneId, RawEvent)>,
    pub(crate) pages: Vec<Page>,
    pub(crate) versions: Vec<AuthVersion>,
    pub(crate) caught_up: usize,
}

impl Reader {
    pub(crate) fn source(&mut self) -> &mut SearchSource {
        self.source.as_mut().expect("there from the start")
    }

    pub(crate) async fn next(&mut self, pages: usize) {
        let event = self.source().next(Credit { pages }).await.expect("nothing for an operator");
        self.take(event);
    }

    pub(crate) async fn read_until(&mut self, enough: impl FnMut(&Self) -> bool) {
        self.read_with(3, enough).await;
    }

    /// The same with credit for so many pages.
    pub(crate) async fn read_with(&mut self, pages: usize, mut enough: impl FnMut(&Self) -> bool) {
        let read = async {
            while !enough(self) {
                self.next(pages).await;
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("what is read for comes");
    }

    /// Reads until the tip was reached and its pause has begun.
    pub(crate) async fn read_to_the_tip(&mut self) {
        self.read_while_not_sleeping(3, POLL).await;
    }

    /// Reads until the source sleeps for exactly `pause`.
    pub(crate) async fn read_while_not_sleeping(&mut self, pages: usize, pause: Duration) {
        let env = self.env.clone().expect("there from the start");
        loop {
            let event = tokio::select! {
                biased;
                event = self.source().next(Credit { pages }) => event,
                () = env.sleeping(pause) => return,
            };
            self.take(event.expect("nothing for an operator"));
        }
    }

    /// Reads until `enough` holds of the clock.
    pub(crate) async fn read_while_not(&mut self, enough: impl Fn(&ManualEnv) -> bool) {
        let env = self.env.clone().expect("there from the start");
        while !enough(&env) {
            self.read_or_sleep().await;
        }
    }

    /// Takes one event, or waits until somebody falls asleep; says whether that was it.
    pub(crate) async fn read_or_sleep(&mut self) -> bool {
        let env = self.env.clone().expect("there from the start");
        let event = tokio::select! {
            biased;
            event = self.source().next(Credit { pages: 3 }) => event,
            () = env.change() => return true,
        };
        self.take(event.expect("nothing for an operator"));
        false
    }

    fn take(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Upstream(survey) => {
                assert_eq!(survey.cluster, CLUSTER);
                self.versions.push(survey.version);
            }
            SourceEvent::Page(page) => {
                assert!(self.lanes.contains_key(&page.lane), "a page of a lane that is not open");
                assert!(self.versions.contains(&page.version), "a version nobody told of");
                assert!(page.marks.is_sorted_by_key(|mark| mark.after));
                for mark in &page.marks {
                    assert!(mark.after <= page.events.len());
                    self.lanes.insert(page.lane.clone(), mark.token.clone());
                }
                let events = page.events.iter().cloned();
                self.events.extend(events.map(|event| (page.lane.clone(), event)));
                self.pages.push(page);
            }
            SourceEvent::Gap(gap) => {
                assert!(self.lanes.contains_key(&gap.lane), "a gap of a lane that is not open");
                self.gaps.push(gap);
            }
            SourceEvent::Lanes(lanes) => {
                for (lane, token) in lanes.opened {
                    assert_eq!(self.lanes.insert(lane, token), None, "opened twice");
                }
                for lane in lanes.ended {
                    let token = self.lanes.remove(&lane).expect("open before it ended");
                    self.closed.push((lane.clone(), token));
                    self.ended.push(lane);
                }
                for lane in lanes.retired {
                    let of = |id: &LaneId| match (id, &lane) {
                        (LaneId::Window { start, .. }, LaneId::Window { start: of, .. }) => {
                            start == of
                        }
                        (LaneId::Chunk { date, .. }, LaneId::Chunk { date: of, .. }) => date == of,
                        _ => false,
                    };
                    assert!(!matches!(lane, LaneId::Session(_)), "no window and no date");
                    assert!(!self.lanes.keys().any(of), "retired while it is read");
                    self.closed.retain(|(id, _)| !of(id));
                    self.retired.push(lane);
                }
            }
            SourceEvent::CaughtUp => self.caught_up += 1,
            SourceEvent::Stopped(stopped) => {
                self.lanes.remove(&stopped.lane);
                self.stopped.push(stopped);
            }
        }
    }

    pub(crate) fn open(&mut self, session: &str, from: Option<Token>) {
        let lane = lane(session);
        let token = self.source().open(&lane, from);
        self.lanes.insert(lane, token);
    }

    /// Ids of all events so far.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.events.iter().map(|(_, event)| id(event)).collect()
    }

    /// Ids of the events of one lane, in order.
    pub(crate) fn ids_of(&self, of: &LaneId) -> Vec<String> {
        self.events.iter().filter(|(lane, _)| lane == of).map(|(_, event)| id(event)).collect()
    }
}

pub(crate) fn lane(session: &str) -> LaneId {
    LaneId::Session(SessionId::try_new(session.as_bytes()).expect("a valid id"))
}

pub(crate) fn id(event: &RawEvent) -> String {
    let uid = event.peek().expect("an event").uid;
    String::from_utf8(uid.of(&event.bytes).to_vec()).expect("text")
}

/// An event of a case that no schema knows, with fields that none knows either.
pub(crate) fn event(id: &str, second: i64, index: i64) -> Event {
    padded(id, second, index, 20)
}

/// The same with so many bytes of an unknown field.
pub(crate) fn padded(id: &str, second: i64, index: i64, pad: usize) -> Event {
    let mut time = Vec::new();
    prost_field(&mut time, 1, Value::Number(second.cast_unsigned()));
    let mut metadata = Vec::new();
    prost_field(&mut metadata, 1, Value::Number(index.cast_unsigned()));
    prost_field(&mut metadata, 2, Value::Bytes(b"test.event"));
    prost_field(&mut metadata, 3, Value::Bytes(id.as_bytes()));
    prost_field(&mut metadata, 5, Value::Bytes(&time));
    let mut body = Vec::new();
    prost_field(&mut body, 1, Value::Bytes(&metadata));
    prost_field(&mut body, 3001, Value::Bytes(&vec![0xa5; pad]));
    let mut oneof = Vec::new();
    prost_field(&mut oneof, 5001, Value::Bytes(&body));
    Event {
        oneof: oneof.into(),
        time: UtcTime::from_seconds(second),
        kind: "test.event".to_owned(),
        index,
        unstructured: Unstructured::Message(unstructured(id, second, index, pad).into()),
    }
}

/// The same as an `EventUnstructured`, whose JSON has so many bytes of padding.
fn unstructured(id: &str, second: i64, index: i64, pad: usize) -> Vec<u8> {
    let mut time = Vec::new();
    prost_field(&mut time, 1, Value::Number(second.cast_unsigned()));
    let mut body = Vec::new();
    for (key, text) in [("uid", id), ("pad", &"a".repeat(pad))] {
        let (mut value, mut entry) = (Vec::new(), Vec::new());
        prost_field(&mut value, 3, Value::Bytes(text.as_bytes()));
        prost_field(&mut entry, 1, Value::Bytes(key.as_bytes()));
        prost_field(&mut entry, 2, Value::Bytes(&value));
        prost_field(&mut body, 1, Value::Bytes(&entry));
    }
    let mut event = Vec::new();
    prost_field(&mut event, 1, Value::Bytes(b"test.event"));
    prost_field(&mut event, 2, Value::Bytes(id.as_bytes()));
    prost_field(&mut event, 3, Value::Bytes(&time));
    prost_field(&mut event, 4, Value::Number(index.cast_unsigned()));
    prost_field(&mut event, 5, Value::Bytes(&body));
    event
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn prost_field(buf: &mut Vec<u8>, number: u64, value: Value<'_>) {
    let varint = |buf: &mut Vec<u8>, mut value: u64| {
        while value >= 0x80 {
            buf.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
            value >>= 7;
        }
        buf.push(u8::try_from(value).expect("seven bits"));
    };
    match value {
        Value::Number(value) => {
            varint(buf, number << 3);
            varint(buf, value);
        }
        Value::Bytes(bytes) => {
            varint(buf, number << 3 | 2);
            varint(buf, bytes.len() as u64);
            buf.extend_from_slice(bytes);
        }
    }
}

/// So many events, `step` seconds apart, the first at `start`.
pub(crate) fn events(prefix: &str, start: i64, step: i64, count: usize) -> Vec<Event> {
    let second = |n: usize| start + step * i64::try_from(n).expect("few");
    (0..count).map(|n| event(&format!("{prefix}{n}"), second(n), 0)).collect()
}

pub(crate) fn names(prefix: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}
