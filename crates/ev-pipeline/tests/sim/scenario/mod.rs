//! What a seed chooses: what Auth has, and everything that goes wrong, when.
//!
//! Each sort of fault is on in some seeds and off in others, so that some seeds have few of them,
//! and get far with those, and some have nearly all.

use std::collections::BTreeSet;
use std::time::Duration;

use ev_core::{Framing, Ordering, Shape, Timestamp, UnknownPolicy};
use ev_pipeline::Config;

use crate::event::{EventNo, Kind, NOISE};

mod draw;
mod log;

use self::draw::Draw;
use self::log::{gaps, trickle};
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
    /// The source cannot go on.
    SourceFails,
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
    /// Auth refuses the key.
    pub(crate) refused: u64,
    /// Auth wants to be asked later.
    pub(crate) slowed: u64,
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
    /// How long after its end a window is read again, in seconds.
    pub(crate) rescans: Vec<i64>,
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
        // What came later draws from a stream of its own, so that seeds stay what they were.
        let mut more = Draw { rng: rng.fork(), calm_at };
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
        gaps(&mut log, &mut more.rng);
        let rescans = more.rescans();
        let rng = &mut draw.rng;
        let page_faults = PageFaults {
            lost: on(rng, 150),
            repeated: on(rng, 100),
            empty: on(rng, 100),
            short: on(rng, 200),
            stuck: on(rng, 100),
            refused: on(&mut more.rng, 60),
            slowed: on(&mut more.rng, 60),
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
            rescans,
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
            ends: more.source_fails(draw.ends()),
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

impl Logged {
    pub(crate) fn no(index: usize) -> EventNo {
        EventNo::Log(u32::try_from(index).unwrap())
    }
}
