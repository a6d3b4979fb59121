//! What all parts of a simulation share: the scenario, the clock, the oracle.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ev_core::{BoxFuture, Env, ParkReason, Timestamp};

use crate::auth::Shelf;
use crate::event::{EventNo, Kind};
use crate::fault::Fault;
use crate::oracle::Oracle;
use crate::rng::Rng;
use crate::scenario::{self, BASE, Logged, Poison, Scenario, Trips};

/// So often the clock may be looked at in one instant.
const MOST_LOOKS: u32 = 300_000;

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) shelf: std::sync::Arc<Shelf>,
    origin: tokio::time::Instant,
    /// When the clock was last looked at, and how often at that instant.
    looks: Mutex<(Duration, u32)>,
    oracle: Mutex<Oracle>,
    /// When the source of this life fails.
    source_fails_at: Mutex<Option<Duration>>,
    env: Mutex<Rng>,
    pub(crate) source: Mutex<Rng>,
    pub(crate) sink: Mutex<Rng>,
    pub(crate) decoder: Mutex<Rng>,
}

/// A kill inside a commit unwinds through whoever holds a lock; the process it killed is gone, and
/// what is locked here outlives it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(scenario: Scenario, traces: bool) -> Self {
        let mut rng = Rng::new(!scenario.seed);
        let mut stream = || Mutex::new(rng.fork());
        Self {
            origin: tokio::time::Instant::now(),
            looks: Mutex::default(),
            oracle: Mutex::new(Oracle::new(traces)),
            source_fails_at: Mutex::default(),
            env: stream(),
            source: stream(),
            sink: stream(),
            decoder: stream(),
            shelf: std::sync::Arc::new(Shelf::new(scenario.sorting, &scenario.log)),
            scenario,
        }
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        lock(&self.oracle)
    }

    /// Since the simulation began.
    ///
    /// # Panics
    ///
    /// When it is asked so often without time going on that somebody is running in circles.
    pub(crate) fn now(&self) -> Duration {
        let now = self.origin.elapsed();
        let mut looks = lock(&self.looks);
        *looks = if looks.0 == now { (now, looks.1 + 1) } else { (now, 0) };
        assert!(looks.1 < MOST_LOOKS, "seed {}: a hot loop at {now:?}", self.scenario.seed);
        now
    }

    /// Auth's own clock, which is right, in whole seconds.
    pub(crate) fn auth_clock(&self) -> i64 {
        BASE + i64::try_from(self.now().as_secs()).unwrap()
    }

    pub(crate) fn let_source_fail(&self, at: Option<Duration>) {
        *lock(&self.source_fails_at) = at;
    }

    pub(crate) fn source_fails_at(&self) -> Option<Duration> {
        *lock(&self.source_fails_at)
    }

    pub(crate) async fn sleep_until(&self, at: Duration) {
        tokio::time::sleep_until(self.origin + at).await;
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.scenario.is_calm(self.now())
    }

    pub(crate) fn kind(&self, no: EventNo) -> Kind {
        match no {
            EventNo::Log(index) => self.scenario.log[index as usize].kind,
            EventNo::Recorded(_, place) if place % 5 == 4 => Kind::Print,
            EventNo::Recorded(..) => Kind::Resize,
        }
    }

    /// Which event it is that was parked. Of one that could not be sent there is only its second.
    pub(crate) fn parked(&self, reason: ParkReason, bytes: &[u8], detail: &str) -> Option<EventNo> {
        if reason != ParkReason::Gap {
            return EventNo::find(bytes);
        }
        let log = &self.scenario.log;
        let is_it = |event: &Logged| {
            let second = Timestamp::new(event.time.seconds(), 0);
            event.kind == Kind::TooLarge && detail.starts_with(&format!("from {second} to "))
        };
        log.iter().position(is_it).map(Logged::no)
    }

    /// Whether Auth had an event at that second of its clock.
    pub(crate) fn was_stored_at(&self, event: &Logged, second: i64) -> bool {
        let since = u64::try_from(second - BASE).unwrap_or(0);
        event.stored_at <= Duration::from_secs(since)
    }

    pub(crate) fn is_filtered(&self, no: EventNo) -> bool {
        matches!(self.kind(no), Kind::Noise | Kind::Print)
    }

    /// What the receiver has against an event.
    pub(crate) fn poison(&self, no: EventNo) -> Option<Poison> {
        match no {
            EventNo::Log(index) => self.scenario.log[index as usize].poison,
            EventNo::Recorded(session, place) => {
                let poison = &self.scenario.recordings[session as usize].poison;
                poison.contains(&place).then_some(Poison::TooLarge)
            }
        }
    }

    pub(crate) fn trips(&self, no: EventNo) -> Trips {
        match no {
            EventNo::Log(index) => self.scenario.log[index as usize].trips,
            EventNo::Recorded(..) => Trips::Never,
        }
    }

    /// Whether an event's id may change: one without a uid is known by its JSON, and as long as
    /// nobody can write that, or another decoder writes it otherwise, by something else.
    pub(crate) fn is_slippery(&self, no: EventNo) -> bool {
        let Scenario { offers, version_changes, decoder_fails, .. } = &self.scenario;
        let one_decoder = offers.len() == 1 && version_changes.is_empty() && *decoder_fails == 0;
        self.kind(no) == Kind::NoUid && !(one_decoder && self.trips(no) == Trips::Never)
    }

    /// Recordings, each with the event of the log that announces it.
    pub(crate) fn announced(&self) -> BTreeMap<u32, EventNo> {
        let session = |(index, event): (usize, &Logged)| match event.kind {
            Kind::Upload(session) => Some((session, Logged::no(index))),
            _ => None,
        };
        self.scenario.log.iter().enumerate().filter_map(session).collect()
    }
}

/// [`Env`] of the simulated machine. Its monotonic clock goes on while no process runs, and its
/// wall clock may be wrong.
pub(crate) struct SimEnv(pub(crate) std::sync::Arc<World>);

impl Env for SimEnv {
    fn now(&self) -> Timestamp {
        let now = self.0.now();
        let off = scenario::at(&self.0.scenario.clock, now).unwrap_or(0);
        if off != 0 {
            self.0.oracle().met(Fault::ClockWrong);
        }
        let seconds = BASE + i64::try_from(now.as_secs()).unwrap() + off;
        Timestamp::new(seconds, now.subsec_nanos())
    }

    fn monotonic(&self) -> Duration {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> u64 {
        lock(&self.0.env).next()
    }
}
