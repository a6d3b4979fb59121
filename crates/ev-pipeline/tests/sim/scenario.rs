//! What a seed chooses: what Auth has, and everything that goes wrong, when.
//!
//! Each sort of fault is on in some seeds and off in others, so that some seeds have few of them,
//! and get far with those, and some have nearly all.

use std::collections::BTreeSet;
use std::time::Duration;

use ev_core::{Framing, Ordering, Shape, Timestamp, UnknownPolicy};
use ev_pipeline::Config;

use crate::event::{EventNo, Kind, NOISE};
use crate::rng::Rng;

/// Wall clock of Auth at the beginning of the simulation, in seconds.
pub(crate) const BASE: i64 = 1_800_000_000;

/// One event of Auth's log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) kind: Kind,
    pub(crate) time: Timestamp,
    /// When Auth has it.
    pub(crate) stored_at: Duration,
    /// Whether a younger one was there first: a search may have passed its place by then.
    pub(crate) late: bool,
    pub(crate) poison: Option<Poison>,
    pub(crate) trips: Trips,
}

/// How the receiver says that it cannot take this event, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poison {
    /// 400, and whether the answer says which one it is. Nothing is stored.
    Refused { told: bool },
    /// 500 for ever, while the other events of the batch are stored each time.
    TooLarge,
}

/// Whether the decoder fails on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trips {
    Never,
    UntilCalm,
    ForEver,
}

/// A session recording.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) events: u32,
    /// Nothing of it is there before; never, when `None`.
    pub(crate) there_at: Option<Duration>,
    /// Behind so many events reading ends in an error until then.
    pub(crate) breaks: Option<(u32, Duration)>,
    /// Behind so many events nothing comes any more until then.
    pub(crate) hangs: Option<(u32, Duration)>,
    pub(crate) poison: BTreeSet<u32>,
}

/// What the receiver is like for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Busy {
        after_ms: Option<u64>,
    },
    /// 500 to everything.
    Full,
    Refuses,
    Unreachable,
    /// 400 to everything.
    Guilty {
        told: bool,
    },
    /// No answer in time; stored or not.
    Silent,
    /// The answer is lost; stored or not.
    Lossy,
    /// Some requests fail, in any of the ways that say nothing about the events.
    Flaky,
}

/// What can be had to decode a version with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Exact,
    Pending,
    /// The old schema, strictly or with the known part.
    Near(UnknownPolicy),
}

/// One end of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) at: Duration,
    pub(crate) how: Ending,
    /// How long nobody runs.
    pub(crate) pause: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// After so many more polls of the engine.
    Killed { polls: u32 },
    /// At the so-manieth commit from then on, before or after it is durable.
    AtCommit { nth: u32, durable: bool },
    /// Told to stop.
    Stopped,
}

/// How Auth sorts what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sorting {
    ByTime,
    /// A late event stands behind what was there.
    ByArrival,
}

/// How often an answer of Auth goes wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PageFaults {
    /// The connection breaks before the answer is there.
    pub(crate) lost: u64,
    /// The answer holds the events of the page before.
    pub(crate) repeated: u64,
    /// No events, but another key.
    pub(crate) empty: u64,
    /// Fewer events than asked for, and a key.
    pub(crate) short: u64,
    /// The key that was sent.
    pub(crate) stuck: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// First second to read.
    pub(crate) start: i64,
    /// All faults are over.
    pub(crate) calm_at: Duration,
    /// In the order of arrival.
    pub(crate) log: Vec<Logged>,
    pub(crate) recordings: Vec<Recording>,

    pub(crate) sorting: Sorting,
    pub(crate) page_limit: usize,
    pub(crate) window_size: i64,
    pub(crate) live_width: i64,
    pub(crate) catch_up_lanes: usize,
    pub(crate) poll: Duration,
    pub(crate) page_millis: (u64, u64),
    pub(crate) page_faults: PageFaults,
    /// Auth cannot be reached from, until.
    pub(crate) auth_down: Vec<(Duration, Duration)>,
    /// From when Auth has the new version instead of the old one, and the other way round.
    pub(crate) version_changes: Vec<Duration>,
    pub(crate) starts_new: bool,
    /// What there is for the new version, from when.
    pub(crate) offers: Vec<(Duration, Offer)>,
    /// The decoder fails on so many calls, in thousandths.
    pub(crate) decoder_fails: u64,

    pub(crate) shape: Shape,
    pub(crate) sink_millis: (u64, u64),
    pub(crate) moods: Vec<(Duration, Mood)>,
    /// Whether the receiver goes on refusing some events when all else is calm.
    pub(crate) poison_lasts: bool,

    /// The state cannot be written from, until.
    pub(crate) store_down: Vec<(Duration, Duration)>,
    /// By how many seconds the wall clock is wrong, from when.
    pub(crate) clock: Vec<(Duration, i64)>,

    pub(crate) ends: Vec<End>,
    pub(crate) config: Config,
}

impl Scenario {
    pub(crate) fn new(seed: u64, poison_lasts: bool) -> Self {
        let mut rng = Rng::new(seed);
        let calm_at = Duration::from_secs(rng.between(10 * 60, 50 * 60));
        let start = BASE - i64::try_from(rng.between(600, 5 * 3600)).unwrap();
        let mut draw = Draw { rng: rng.fork(), calm_at };
        let version_changes = draw.version_changes();
        let starts_new = draw.rng.chance(500);
        let features_from = match (&version_changes[..], starts_new) {
            ([], true) => Some(Duration::ZERO),
            ([at], false) => Some(*at),
            // What a version does not know it does not serve.
            _ => None,
        };
        let mut recordings = draw.recordings();
        let mut log = draw.log(start, features_from, recordings.len());
        if poison_lasts {
            trickle(&mut log, &mut recordings, calm_at);
        }
        let on = |rng: &mut Rng, most: u64| if rng.chance(400) { rng.between(1, most) } else { 0 };
        let rng = &mut draw.rng;
        let page_faults = PageFaults {
            lost: on(rng, 150),
            repeated: on(rng, 100),
            empty: on(rng, 100),
            short: on(rng, 200),
            stuck: on(rng, 100),
        };
        let max_events = if rng.chance(200) { 1 } else { rng.size(2, 40) };
        let shape = Shape {
            framing: if max_events == 1 { Framing::Single } else { Framing::Array },
            max_events,
            max_bytes: if rng.chance(300) { rng.size(300, 4000) } else { 1 << 20 },
            max_in_flight: rng.size(1, 8),
            ordering: Ordering::Unordered,
        };
        let page_most = rng.pick(&[5, 60, 400]);
        // One event at a time must get through too; none is longer than that.
        let in_a_batch = shape.max_events.min(shape.max_bytes / 250).max(1);
        let wide = in_a_batch * shape.max_in_flight >= 40;
        let sink_most = rng.pick(&[2, 40, 400, if wide { 3000 } else { 400 }]);
        let config = Config {
            commit_events: rng.size(10, 300),
            max_unsettled: rng.size(30, 600),
            max_held_bytes: if rng.chance(300) { rng.size(4_000, 40_000) } else { 16 << 20 },
            skip_event_types: BTreeSet::from([NOISE.to_owned()]),
            ..Config::default()
        };
        let decoder_fails = on(rng, 60);
        Self {
            seed,
            start,
            calm_at,
            sorting: if rng.chance(500) { Sorting::ByTime } else { Sorting::ByArrival },
            page_limit: rng.size(3, 30),
            window_size: i64::try_from(rng.between(120, 3600)).unwrap(),
            live_width: i64::try_from(rng.between(120, 900)).unwrap(),
            catch_up_lanes: rng.size(1, 6),
            poll: rng.millis(1000, 20_000),
            page_millis: (0, page_most),
            page_faults,
            auth_down: draw.spans(300, 4, 400),
            starts_new,
            offers: draw.offers(),
            decoder_fails,
            shape,
            sink_millis: (0, sink_most),
            moods: draw.moods(),
            poison_lasts,
            store_down: draw.spans(300, 3, 120),
            clock: draw.clock(),
            ends: draw.ends(),
            version_changes,
            log,
            recordings,
            config,
        }
    }

    pub(crate) fn mood(&self, now: Duration) -> Mood {
        at(&self.moods, now).unwrap_or(Mood::Well)
    }

    /// When Auth can be reached: `now`, or later.
    pub(crate) fn auth_up(&self, now: Duration) -> Duration {
        until(&self.auth_down, now)
    }

    pub(crate) fn store_is_down(&self, now: Duration) -> bool {
        until(&self.store_down, now) > now
    }

    /// Whether Auth has the new version.
    pub(crate) fn is_new(&self, now: Duration) -> bool {
        let changes = self.version_changes.iter().filter(|at| **at <= now).count();
        (changes % 2 == 1) != self.starts_new
    }

    pub(crate) fn is_calm(&self, now: Duration) -> bool {
        now >= self.calm_at
    }
}

/// The value in force at `now`.
pub(crate) fn at<T: Copy>(timeline: &[(Duration, T)], now: Duration) -> Option<T> {
    timeline.iter().rev().find(|(from, _)| *from <= now).map(|(_, value)| *value)
}

fn until(spans: &[(Duration, Duration)], now: Duration) -> Duration {
    let holds = spans.iter().filter(|(from, to)| *from <= now && now < *to);
    holds.map(|(_, to)| *to).max().unwrap_or(now)
}

struct Draw {
    rng: Rng,
    calm_at: Duration,
}

impl Draw {
    /// Some time while faults are still allowed.
    fn time(&mut self) -> Duration {
        let most = u64::try_from(self.calm_at.as_millis()).unwrap();
        self.rng.millis(0, most - 1)
    }

    /// Up to `most` stretches of up to `seconds`, in some seeds; all over when calm.
    fn spans(&mut self, permille: u64, most: u64, seconds: u64) -> Vec<(Duration, Duration)> {
        if !self.rng.chance(permille) {
            return Vec::new();
        }
        let one = |draw: &mut Self| {
            let from = draw.time();
            (from, (from + draw.rng.millis(50, seconds * 1000)).min(draw.calm_at))
        };
        (0..self.rng.between(1, most)).map(|_| one(self)).collect()
    }

    fn version_changes(&mut self) -> Vec<Duration> {
        if !self.rng.chance(500) {
            return Vec::new();
        }
        let mut changes: Vec<_> = (0..self.rng.between(1, 3)).map(|_| self.time()).collect();
        changes.sort_unstable();
        changes
    }

    fn offers(&mut self) -> Vec<(Duration, Offer)> {
        let near = |rng: &mut Rng| {
            let policy =
                if rng.chance(500) { UnknownPolicy::Park } else { UnknownPolicy::Incomplete };
            Offer::Near(policy)
        };
        let first = match self.rng.between(0, 3) {
            0 | 1 => return vec![(Duration::ZERO, Offer::Exact)],
            2 => Offer::Pending,
            _ => near(&mut self.rng),
        };
        let mut offers = vec![(Duration::ZERO, first)];
        if first == Offer::Pending && self.rng.chance(500) {
            offers.push((self.time(), near(&mut self.rng)));
        }
        let last = self.time();
        offers.retain(|(from, _)| *from <= last);
        // Some never get it.
        if first == Offer::Pending || self.rng.chance(800) {
            offers.push((last, Offer::Exact));
        }
        offers
    }

    fn moods(&mut self) -> Vec<(Duration, Mood)> {
        let mut moods = Vec::new();
        if self.rng.chance(150) {
            return moods;
        }
        // A seed has a few of them, some again and again.
        let mut all = vec![
            Mood::Busy { after_ms: None },
            Mood::Busy { after_ms: Some(self.rng.between(1, 90_000)) },
            Mood::Full,
            Mood::Refuses,
            Mood::Unreachable,
            Mood::Guilty { told: false },
            Mood::Guilty { told: true },
            Mood::Silent,
            Mood::Lossy,
            Mood::Flaky,
        ];
        let some: Vec<Mood> = (0..self.rng.between(1, 4))
            .map(|_| {
                let which = self.rng.index(all.len());
                all.swap_remove(which)
            })
            .collect();
        let mut now = Duration::ZERO;
        while now < self.calm_at {
            let mood = if self.rng.chance(500) { Mood::Well } else { self.rng.pick(&some) };
            moods.push((now, mood));
            let most = self.rng.pick(&[2_000, 60_000, 600_000]);
            now += self.rng.millis(100, most);
        }
        moods.push((self.calm_at, Mood::Well));
        moods
    }

    fn clock(&mut self) -> Vec<(Duration, i64)> {
        let mut clock = Vec::new();
        if self.rng.chance(300) {
            for _ in 0..self.rng.between(1, 4) {
                let off = i64::try_from(self.rng.between(0, 2 * 86_400)).unwrap() - 86_400;
                clock.push((self.time(), off));
            }
            clock.sort_unstable();
            clock.push((self.calm_at, 0));
        }
        clock
    }

    fn ends(&mut self) -> Vec<End> {
        let count = self.rng.pick(&[0, 1, 2, 4, 8, 16]);
        let mut times: Vec<_> = (0..count).map(|_| self.time()).collect();
        // While the past is being read most is going on.
        if count > 0 && self.rng.chance(500) {
            for at in &mut times {
                *at = self.rng.millis(0, 60_000);
            }
        }
        times.sort_unstable();
        let mut one = |at| {
            let how = match self.rng.between(0, 4) {
                0 => Ending::Stopped,
                1 => Ending::AtCommit {
                    nth: u32::try_from(self.rng.between(0, 9)).unwrap(),
                    durable: true,
                },
                2 => Ending::AtCommit {
                    nth: u32::try_from(self.rng.between(0, 9)).unwrap(),
                    durable: false,
                },
                _ => Ending::Killed { polls: u32::try_from(self.rng.between(0, 40)).unwrap() },
            };
            let most = if self.rng.chance(100) { 1_800_000 } else { 20_000 };
            End { at, how, pause: self.rng.millis(0, most) }
        };
        times.into_iter().map(&mut one).collect()
    }

    fn recordings(&mut self) -> Vec<Recording> {
        let count = self.rng.pick(&[0, 1, 3, 6]);
        let one = |draw: &mut Self| {
            let events = u32::try_from(draw.rng.between(0, 60)).unwrap();
            let some =
                |draw: &mut Self| u32::try_from(draw.rng.between(0, u64::from(events))).unwrap();
            let there_at = match draw.rng.between(0, 19) {
                0 => None,
                1..=5 => Some(draw.time()),
                _ => Some(Duration::ZERO),
            };
            let breaks = draw.rng.chance(200).then(|| (some(draw), draw.time()));
            let hangs = draw.rng.chance(200).then(|| (some(draw), draw.time()));
            let poison =
                if draw.rng.chance(200) { BTreeSet::from([some(draw)]) } else { BTreeSet::new() };
            Recording { events, there_at, breaks, hangs, poison }
        };
        (0..count).map(|_| one(self)).collect()
    }

    fn log(&mut self, start: i64, features_from: Option<Duration>, uploads: usize) -> Vec<Logged> {
        let past = self.rng.between(0, 700);
        let live = self.rng.between(20, 400);
        // Some come when all is calm: it goes on.
        let end = BASE + i64::try_from(self.calm_at.as_secs()).unwrap() + 120;
        let second = |rng: &mut Rng, from: i64, to: i64| {
            from + i64::try_from(rng.between(0, (to - from).unsigned_abs())).unwrap()
        };
        // Storages keep time more or less precisely.
        let precise = self.rng.chance(600);
        let nanos = |rng: &mut Rng| {
            if precise { u32::try_from(rng.between(0, 999)).unwrap() * 1_000_000 } else { 0 }
        };
        let mut times = Vec::new();
        for n in 0..past + live {
            let (from, to) = if n < past { (start, BASE) } else { (BASE, end) };
            let at = second(&mut self.rng, from, to);
            // Many of one time, more than a page.
            let same = if self.rng.chance(20) { self.rng.between(2, 60) } else { 1 };
            let nanos = nanos(&mut self.rng);
            times.extend((0..same).map(|_| Timestamp::new(at, nanos)));
        }
        let late_permille = if self.rng.chance(400) { self.rng.between(1, 60) } else { 0 };
        let disorder = if self.rng.chance(300) { 1500 } else { 0 };
        let mut log: Vec<(Timestamp, Duration)> = times
            .into_iter()
            .map(|time| {
                let mut delay = self.rng.millis(0, disorder);
                if self.rng.chance(late_permille) {
                    let most = self.rng.pick(&[60_000, 7_200_000]);
                    delay += self.rng.millis(1000, most);
                }
                (time, delay)
            })
            .collect();
        // By the time of arrival, as if the past were counted from its own beginning.
        let arrival = |(time, delay): &(Timestamp, Duration)| {
            let since = u64::try_from(time.seconds() - start).unwrap();
            Duration::new(since, time.subsec_nanos()) + *delay
        };
        log.sort_by_key(|event| (arrival(event), event.0));
        let past = Duration::from_secs(u64::try_from(BASE - start).unwrap());
        let last = past + self.calm_at + Duration::from_secs(180);
        let kinds = self.kinds();
        let poisons = if self.rng.chance(300) { self.rng.between(1, 20) } else { 0 };
        let trips = if self.rng.chance(300) { self.rng.between(1, 30) } else { 0 };
        let mut newest = None;
        let mut all: Vec<Logged> = Vec::with_capacity(log.len());
        for event in log {
            let arrival = arrival(&event).min(last);
            let stored_at = arrival.saturating_sub(past);
            let time = event.0;
            let late = !stored_at.is_zero() && newest.is_some_and(|newest| time < newest);
            newest = newest.max(Some(time));
            let features = features_from.is_some_and(|from| stored_at >= from);
            let kind = match self.rng.pick(&kinds) {
                Kind::NewField | Kind::NewType if !features => Kind::Login,
                kind => kind,
            };
            let poison = self.rng.chance(poisons).then(|| match self.rng.between(0, 2) {
                0 => Poison::TooLarge,
                1 => Poison::Refused { told: true },
                _ => Poison::Refused { told: false },
            });
            let trips = match self.rng.chance(trips) {
                false => Trips::Never,
                // Without a uid it may come in other bytes the next time, and is parked once more.
                true if kind != Kind::NoUid && self.rng.chance(300) => Trips::ForEver,
                true => Trips::UntilCalm,
            };
            all.push(Logged { kind, time, stored_at, late, poison, trips });
        }
        for session in 0..uploads.min(all.len()) {
            let which = self.rng.index(all.len());
            if !matches!(all[which].kind, Kind::Upload(_)) {
                let event = &mut all[which];
                event.kind = Kind::Upload(u32::try_from(session).unwrap());
                (event.poison, event.trips) = (None, Trips::Never);
            }
        }
        all
    }

    /// What sorts of events there are, the usual one several times.
    fn kinds(&mut self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Login; 6];
        let rare = [
            (Kind::NewField, 500),
            (Kind::NewType, 300),
            (Kind::NoUid, 400),
            (Kind::Malformed, 200),
            (Kind::Unprintable, 200),
            (Kind::Noise, 300),
        ];
        for (kind, permille) in rare {
            if self.rng.chance(permille) {
                kinds.push(kind);
            }
        }
        kinds
    }
}

/// What goes on when all is calm, in the log and in recordings: as long as a receiver takes nothing
/// else, it proves nothing that it does not take one event.
fn trickle(log: &mut Vec<Logged>, recordings: &mut Vec<Recording>, calm_at: Duration) {
    for n in 0..120u32 {
        let stored_at = calm_at + Duration::from_secs(200 + 20 * u64::from(n));
        let kind = if n % 12 == 11 {
            recordings.push(Recording {
                events: 4,
                there_at: Some(Duration::ZERO),
                breaks: None,
                hangs: None,
                poison: BTreeSet::new(),
            });
            Kind::Upload(u32::try_from(recordings.len() - 1).unwrap())
        } else {
            Kind::Login
        };
        let time = Timestamp::new(BASE + i64::try_from(stored_at.as_secs()).unwrap(), 0);
        let (late, poison, trips) = (false, None, Trips::Never);
        log.push(Logged { kind, time, stored_at, late, poison, trips });
    }
}

impl Logged {
    pub(crate) fn no(index: usize) -> EventNo {
        EventNo::Log(u32::try_from(index).unwrap())
    }
}
