//! The log is read by searches and by the bulk export in turn, by one life of the handler after the
//! other, of which some are killed: nothing is lost, and nothing that is committed is sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    AuthVersion, BoxFuture, Choice, Credit, Date, DecoderKind, EventDigest, Form, KnownQuery,
    LaneId, Lanes, Mark, Page, RawEvent, Resume, Road, SinkId, Source, SourceError, SourceEvent,
    SpanQuery, SpanReader, StateStore, Survey, Token,
};

use crate::rig::{Rig, TinyDecoder, digest, lock, token};

/// Seeds: the first ones, and those that show what few do.
const SEEDS: u64 = 80;
const RARE: &[u64] = &[508];
const DAY: i64 = 86_400;
const DATES: i64 = 3;
/// Names of events without a uid: one character each, by which the decoder of the rig knows them.
const NAMES: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Chance, from a seed alone.
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }

    fn size(&mut self, most: u64) -> usize {
        usize::try_from(1 + self.below(most)).unwrap()
    }
}

/// An event of the log, in both forms.
struct Logged {
    name: String,
    second: i64,
    has_uid: bool,
    /// What it is known by, once somebody can read it.
    id: EventDigest,
    typed: RawEvent,
    told: RawEvent,
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(bytes.len() as u64), bytes].concat()
}

impl Logged {
    fn new(name: String, second: i64, has_uid: bool) -> Self {
        let time = [&[8][..], &varint(second.cast_unsigned())].concat();
        let uid = if has_uid { name.as_str() } else { "" };
        let head = [field(2, name.as_bytes()), field(3, uid.as_bytes()), field(5, &time)].concat();
        let body = [field(1, &head), field(2, b"")].concat();
        let typed = RawEvent { form: Form::OneOf, bytes: field(1, &body).into() };

        let sum = name.bytes().fold(0, u8::wrapping_add);
        let id = if has_uid { name.clone() } else { format!("{sum:02x}").repeat(32) };
        let member = |key: &str, value: &str| {
            field(1, &[field(1, key.as_bytes()), field(2, &field(3, value.as_bytes()))].concat())
        };
        // A uid is in the JSON where there is one; the name is in any case.
        let uid = if has_uid { member("uid", &name) } else { Vec::new() };
        let json = [member("event", &name), uid].concat();
        let envelope =
            [field(1, name.as_bytes()), field(2, id.as_bytes()), field(3, &time), field(5, &json)];
        let told = RawEvent { form: Form::Unstructured, bytes: envelope.concat().into() };
        Self { id: digest(&id), name, second, has_uid, typed, told }
    }
}

fn log(rng: &mut Rng) -> Vec<Logged> {
    let mut seconds: Vec<i64> = (0..20 + rng.size(40))
        .map(|_| i64::try_from(rng.below((DATES * DAY).cast_unsigned())).unwrap())
        .collect();
    seconds.sort();
    let mut names = NAMES.iter();
    let event = |(number, second): (usize, i64)| match rng.below(3) {
        0 => {
            let name = char::from(*names.next().unwrap()).to_string();
            Logged::new(name, second, false)
        }
        _ => Logged::new(format!("u{number:03}"), second, true),
    };
    seconds.into_iter().take(NAMES.len()).enumerate().map(event).collect()
}

/// Reads the log by one road; its tokens are numbers of events.
struct RoadSource {
    log: Arc<Vec<Logged>>,
    rng: Rng,
    road: Road,
    /// What is to be read of each lane: all of its events, and the next one.
    lanes: BTreeMap<LaneId, (Vec<usize>, usize)>,
    first: Option<Lanes>,
    at: Duration,
    env: tokio::time::Instant,
}

fn index(token: &Token) -> usize {
    String::from_utf8_lossy(&token.bytes).parse().unwrap()
}

fn place(index: usize) -> Token {
    token(&index.to_string())
}

impl RoadSource {
    fn new(log: &Arc<Vec<Logged>>, rng: Rng, road: Road) -> Self {
        let (lanes, first) = (BTreeMap::new(), None);
        let env = tokio::time::Instant::now();
        Self { log: log.clone(), rng, road, lanes, first, at: Duration::ZERO, env }
    }

    /// The events of a lane, in the order in which Auth has them.
    fn of(&self, lane: &LaneId) -> Vec<usize> {
        let all = 0..self.log.len();
        match lane {
            LaneId::Window { start, .. } => all.filter(|n| self.log[*n].second >= *start).collect(),
            LaneId::Chunk { date, chunk } => {
                let is_of = |n: &usize| {
                    let of_date = Date::of(self.log[*n].second).to_string() == *date;
                    of_date && format!("c{}", n % 2) == *chunk
                };
                // In another order than a search has them.
                all.filter(is_of).rev().collect()
            }
            LaneId::Session(_) => unreachable!("nothing is announced"),
        }
    }
}

impl Source for RoadSource {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        Box::pin(async { Ok(Survey { cluster: "c".into(), version: AuthVersion::new("1.0.0") }) })
    }

    fn resume(&mut self, resume: Resume) -> Result<(), SourceError> {
        let mut known: BTreeSet<LaneId> = resume.closed.into_iter().map(|(lane, _)| lane).collect();
        for (lane, token) in resume.lanes {
            let events = self.of(&lane);
            known.insert(lane.clone());
            self.lanes.insert(lane, (events, index(&token)));
        }
        let start = resume.start_time.seconds();
        let wanted: Vec<LaneId> = match self.road {
            Road::Export => {
                let own = known.iter().filter_map(|lane| match lane {
                    LaneId::Chunk { date, .. } => Date::parse(date),
                    _ => None,
                });
                let first = own.min().unwrap_or(Date::of(start));
                let dates = (0..DATES).map(|n| first.plus(n)).filter(|d| d.start() < DATES * DAY);
                let chunks = |date: Date| ["", "c0", "c1"].map(|chunk| (date, chunk.to_owned()));
                let lane =
                    |(date, chunk): (Date, _)| LaneId::Chunk { date: date.to_string(), chunk };
                dates.flat_map(chunks).map(lane).collect()
            }
            _ if known.is_empty() => vec![LaneId::Window { start, pass: 0 }],
            _ => Vec::new(),
        };
        let mut opened = Vec::new();
        for lane in wanted.into_iter().filter(|lane| !known.contains(lane)) {
            opened.push((lane.clone(), place(0)));
            let events = self.of(&lane);
            self.lanes.insert(lane, (events, 0));
        }
        self.first = (!opened.is_empty()).then(|| Lanes { opened, ..Lanes::default() });
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        Box::pin(async move {
            if let Some(lanes) = self.first.take() {
                return Ok(SourceEvent::Lanes(lanes));
            }
            tokio::time::sleep_until(self.env + self.at).await;
            if credit.pages == 0 {
                std::future::pending::<()>().await;
            }
            // A chunk that is read to its end is over; a window, and what stands for a date, stays.
            let is_chunk =
                |lane: &LaneId| matches!(lane, LaneId::Chunk { chunk, .. } if !chunk.is_empty());
            let is_over = |(lane, (events, next)): &(&LaneId, &(Vec<usize>, usize))| {
                is_chunk(lane) && *next >= events.len()
            };
            if let Some((lane, _)) = self.lanes.iter().find(is_over) {
                let lane = lane.clone();
                self.lanes.remove(&lane);
                return Ok(SourceEvent::Lanes(Lanes { ended: vec![lane], ..Lanes::default() }));
            }
            let open = self.lanes.iter().filter(|(_, (events, next))| *next < events.len());
            let open: Vec<LaneId> = open.map(|(lane, _)| lane.clone()).collect();
            if open.is_empty() {
                std::future::pending::<()>().await;
            }
            let lane = open[self.rng.size(open.len() as u64) - 1].clone();
            let (events, next) = self.lanes.get_mut(&lane).unwrap();
            let end = (*next + self.rng.size(6)).min(events.len());
            let form = |n: &usize| match self.road {
                Road::Typed => self.log[*n].typed.clone(),
                _ => self.log[*n].told.clone(),
            };
            let page: Vec<RawEvent> = events[*next..end].iter().map(form).collect();
            // Somewhere in the page, and behind it.
            let middle = self.rng.size(page.len() as u64);
            let mark = |after: usize| Mark { after, token: place(*next + after) };
            let mut marks = vec![mark(middle), mark(page.len())];
            marks.dedup();
            *next = end;
            self.at = self.env.elapsed() + Duration::from_millis(self.rng.below(60));
            let version = AuthVersion::new("1.0.0");
            Ok(SourceEvent::Page(Page { lane, version, events: page, marks, repeats: false }))
        })
    }

    fn open(&mut self, _: &LaneId, _: Option<Token>) -> Token {
        unreachable!("nothing is announced")
    }

    fn close(&mut self, _: &LaneId) {}

    fn span(&self, _: SpanQuery) -> Box<dyn SpanReader> {
        unreachable!("the engine reads lanes only")
    }
}

/// How often each event is stored.
fn stored(rig: &Rig) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, json) in lock(&rig.sink.stored).iter() {
        // `{"event":"name",…`, in both forms.
        *counts.entry(json.split('"').nth(3).unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// Events of which the state knows that they are delivered.
fn committed(rig: &Rig, log: &[Logged]) -> BTreeSet<String> {
    let sink = SinkId("test".into());
    let query = KnownQuery {
        window: None,
        neighbours: Vec::new(),
        others: rig.store.lanes(&sink).into_iter().map(|row| row.lane).collect(),
        digests: log.iter().map(|event| event.id).collect(),
        page: 0,
    };
    let known = rig.store.known(&sink, &query).unwrap().known;
    let parked: BTreeSet<_> = rig.parked_events().into_iter().map(|row| row.event.digest).collect();
    // One without a uid is parked by its bytes, so that it is known means that it is delivered.
    let delivered = log
        .iter()
        .zip(known)
        .filter(|(event, known)| *known && !(event.has_uid && parked.contains(&event.id)));
    delivered.map(|(event, _)| event.name.clone()).collect()
}

/// What a seed came to, for the reckoning over all of them.
#[derive(Debug, Default)]
struct Sum {
    kills: usize,
    changes: usize,
    repeated: usize,
    parked: usize,
}

async fn one_seed(seed: u64, sum: &mut Sum) {
    let mut rng = Rng(seed);
    let log = Arc::new(log(&mut rng));
    let mut rig = Rig::new();
    // Some seeds have no kills: then everything comes once.
    let may_kill = rng.below(3) > 0;
    let lives = 2 + rng.below(6);
    let (mut kills, mut sure) = (0, BTreeSet::new());
    for life in 0..=lives {
        let is_last = life == lives;
        let road = [Road::Typed, Road::Unstructured, Road::Export][rng.size(3) - 1];
        sum.changes += usize::from(life > 0 && road != rig.road);
        rig.road = road;
        rig.restart();
        let can_decode = is_last || rng.below(2) == 0;
        let choice = match can_decode {
            true => Choice::Exact(TinyDecoder::knowing(2, DecoderKind::Native)),
            false => Choice::Pending,
        };
        rig.decoders.set("1.0.0", choice);
        let before = stored(&rig);
        let source = RoadSource::new(&log, Rng(rng.below(u64::MAX)), road);
        let mut run = Box::pin(rig.run_with(Box::new(source)));
        let end = tokio::time::sleep(Duration::from_millis(match is_last {
            true => 3_600_000,
            false => rng.below(2500),
        }));
        tokio::select! {
            biased;
            ended = &mut run => panic!("seed {seed}: the engine ended by itself: {ended:?}"),
            () = end => {}
        }
        if !is_last && may_kill && rng.below(2) == 0 {
            kills += 1;
            drop(run);
        } else {
            rig.stop.cancel();
            let summary = run.await.unwrap();
            assert!(summary.totals.balances(), "seed {seed}, life {life}: {summary:?}");
        }
        for (name, count) in stored(&rig) {
            let was = before.get(&name).copied().unwrap_or_default();
            let again = sure.contains(&name) && count > was;
            assert!(!again, "seed {seed}, life {life}: {name} is sent again though committed");
        }
        sure = committed(&rig, &log);
        sum.parked += rig.parked();
    }
    let counts = stored(&rig);
    for Logged { name, .. } in log.iter() {
        let count = counts.get(name).copied().unwrap_or_default();
        assert!((1..=1 + kills).contains(&count), "seed {seed}: {name} came {count} times");
        sum.repeated += count - 1;
    }
    assert_eq!(rig.parked(), 0, "seed {seed}");
    sum.kills += kills;
}

#[tokio::test(start_paused = true)]
async fn whatever_the_roads_nothing_is_lost_and_nothing_committed_is_sent_again() {
    let mut sum = Sum::default();
    for seed in (0..SEEDS).chain(RARE.iter().copied()) {
        one_seed(seed, &mut sum).await;
    }
    let Sum { kills, changes, repeated, parked } = sum;
    assert!(kills > 20 && changes > 50 && repeated > 0 && parked > 50, "little happened: {sum:?}");
}
