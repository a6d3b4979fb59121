//! Runs a seed: one life of the engine after the other, and then the reckoning.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ev_core::{Claim, ParkedQuery, Road, SinkId, StateStore, Timestamp};
use ev_pipeline::{Engine, Error, Exec, Parts, Summary};
use ev_state::SqliteStore;
use ev_unstructured::UnstructuredDecoder;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::decoders::Decoders;
use crate::event::{EventNo, Kind};
use crate::fault::{Fault, Met};
use crate::oracle::Counts;
use crate::scenario::{End, Ending, Scenario, Trips};
use crate::sink::SimSink;
use crate::source::SimSource;
use crate::store::{Killed, SimStore};
use crate::world::{SimEnv, World};

/// Within this time after the last fault, and after the last event, everything is settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(20 * 60);

/// And within this time, everything parked that can be delivered is. The pause before an event is
/// tried again on which a decoder failed is an hour at most.
const RESOLVED_WITHIN: Duration = Duration::from_secs(100 * 60);

/// What came of a seed.
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) options: Options,
    pub(crate) digest: u64,
    pub(crate) counts: Counts,
    pub(crate) events: usize,
    pub(crate) simulated: Duration,
    pub(crate) violations: Vec<String>,
    /// What went wrong in it, and how often.
    pub(crate) met: Met,
    /// Everything that happened, if asked for.
    pub(crate) lines: Vec<String>,
}

impl Report {
    /// Of a seed that broke the simulation, or the engine, altogether.
    pub(crate) fn of_panic(seed: u64, options: Options) -> Self {
        Self {
            seed,
            options,
            digest: 0,
            counts: Counts::default(),
            events: 0,
            simulated: Duration::ZERO,
            violations: vec!["panicked, see above".to_owned()],
            met: Met::new(),
            lines: Vec::new(),
        }
    }
}

/// What is not a matter of the seed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Keep a line for everything that happens.
    pub(crate) traces: bool,
    /// The receiver refuses some events for ever.
    pub(crate) poison_lasts: bool,
}

/// Runs a seed from beginning to end.
pub(crate) fn run(seed: u64, options: Options) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = Arc::new(World::new(Scenario::new(seed, options.poison_lasts), options.traces));
        describe(&world);
        Box::pin(simulate(&world)).await;
        let mut oracle = world.oracle();
        Report {
            seed,
            options,
            digest: oracle.digest(),
            counts: oracle.counts,
            events: world.scenario.log.len(),
            simulated: world.now(),
            violations: std::mem::take(&mut oracle.violations),
            met: oracle.take_met(),
            lines: oracle.take_lines(),
        }
    })
}

/// The scenario, in front of what happens in it.
fn describe(world: &World) {
    let scenario = Scenario { log: Vec::new(), ..world.scenario.clone() };
    let mut oracle = world.oracle();
    oracle.trace(format_args!("{scenario:#?}"));
    for (number, event) in world.scenario.log.iter().enumerate() {
        let special = event.kind != Kind::Login
            || event.late
            || event.poison.is_some()
            || event.trips != Trips::Never;
        if special {
            oracle.trace(format_args!("event {number}: {event:?}"));
        }
    }
}

async fn simulate(world: &Arc<World>) {
    let inner = SqliteStore::in_memory().unwrap();
    let store = Arc::new(SimStore { inner, world: Arc::clone(world) });
    for end in &world.scenario.ends {
        // Some are due before the last life has ended.
        if world.now() >= world.scenario.calm_at {
            break;
        }
        live(world, &store, Some(*end)).await;
        tokio::time::sleep(end.pause).await;
    }
    live(world, &store, None).await;
    let snapshot = store.open_sink(&claim(world)).unwrap();
    world.oracle().check_end(world, &parked(&store), &snapshot.totals);
}

/// What the state holds.
fn parked(store: &SimStore) -> Vec<EventNo> {
    let all = ParkedQuery { after: None, limit: usize::MAX >> 1, max_bytes: usize::MAX >> 1 };
    let parked = store.inner.parked(&sink_id(), &all).unwrap();
    let events = parked.iter().map(|parked| &parked.event);
    events.filter_map(|e| store.world.parked(e.reason, &e.bytes, &e.detail)).collect()
}

fn sink_id() -> SinkId {
    SinkId("sim".into())
}

fn claim(world: &World) -> Claim {
    Claim {
        sink: sink_id(),
        cluster: "sim".into(),
        flavour: None,
        start_time: Timestamp::new(world.scenario.start, 0),
    }
}

#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Left {
    Killed,
    Ended(Result<Summary, Error>),
}

/// One life of the process: until its end comes, or, in the last one, until all is done.
async fn live(world: &Arc<World>, store: &Arc<SimStore>, end: Option<End>) {
    world.oracle().counts.lives += 1;
    let source_fails = end.filter(|end| matches!(end.how, Ending::SourceFails));
    world.let_source_fail(source_fails.map(|end| end.at));
    let snapshot = store.open_sink(&claim(world)).unwrap();
    let stop = CancellationToken::new();
    let engine = Engine::new(Parts {
        source: Box::new(SimSource::new(world)),
        decoders: Arc::new(Decoders::new(world)),
        unstructured: Arc::new(UnstructuredDecoder::new()),
        sink: Arc::new(SimSink(Arc::clone(world))),
        store: Arc::clone(store) as Arc<dyn StateStore>,
        env: Arc::new(SimEnv(Arc::clone(world))),
        sink_id: sink_id(),
        snapshot,
        road: Road::Typed,
        exec: Exec::InPlace,
        config: world.scenario.config.clone(),
    })
    .expect("its own tokens are readable");
    let run = AssertUnwindSafe(engine.run(stop.clone())).catch_unwind();
    let left = match end {
        Some(end) => until_end(world, end, &stop, run).await,
        None => until_done(world, store, &stop, run).await,
    };
    match left {
        Left::Killed => world.oracle().crashed(world),
        Left::Ended(Ok(summary)) => {
            let mut oracle = world.oracle();
            let Summary { read, passed, repeated, .. } = summary;
            // What was taken and not sent when the stop came is neither.
            let left = read.checked_sub(passed + repeated);
            if left.is_none() || (end.is_none() && left != Some(0)) {
                oracle.wrong(format!("read {read}, passed {passed}, repeated {repeated}"));
            }
            let Summary { delivered, filtered, parked, given_up, .. } = summary;
            if passed != delivered + filtered + parked + given_up {
                oracle.wrong(format!("{summary:?} does not add up"));
            }
            oracle.ended_in_order();
            oracle.new_life(world);
        }
        Left::Ended(Err(error)) => {
            let now = world.now();
            // A stop while the state cannot be written gives up after one attempt.
            let mut excused = stop.is_cancelled() && !world.is_calm();
            if let (Error::Source(_), Some(_)) = (&error, source_fails) {
                excused = true;
                world.oracle().ended_in_order();
            }
            if !excused {
                world.oracle().wrong(format!("{now:?} the engine ended: {error:?}"));
            }
            world.oracle().crashed(world);
        }
    }
}

type Caught = Result<Result<Summary, Error>, Box<dyn std::any::Any + Send>>;

fn left(caught: Caught) -> Left {
    match caught {
        Ok(result) => Left::Ended(result),
        Err(panic) if panic.is::<Killed>() => Left::Killed,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

async fn until_end(
    world: &World,
    end: End,
    stop: &CancellationToken,
    run: impl Future<Output = Caught>,
) -> Left {
    let mut run = pin!(run);
    tokio::select! {
        biased;
        caught = &mut run => return left(caught),
        () = world.sleep_until(end.at) => {}
    }
    let patience = tokio::time::sleep(Duration::from_secs(120));
    let mut patience = pin!(patience);
    match end.how {
        Ending::Stopped => {
            world.oracle().met(Fault::Stopped);
            world.oracle().let_commits_wait();
            stop.cancel();
            return left(run.await);
        }
        Ending::AtCommit { nth, durable } => world.oracle().set_trap(Some((nth, durable))),
        Ending::Killed { .. } | Ending::SourceFails => {}
    }
    let mut polls = match end.how {
        Ending::Killed { polls } => polls,
        _ => u32::MAX,
    };
    std::future::poll_fn(|context| {
        if polls == 0 || patience.as_mut().poll(context).is_ready() {
            world.oracle().met(Fault::KilledAnywhere);
            return Poll::Ready(Left::Killed);
        }
        polls -= 1;
        run.as_mut().poll(context).map(left)
    })
    .await
}

async fn until_done(
    world: &World,
    store: &SimStore,
    stop: &CancellationToken,
    run: impl Future<Output = Caught>,
) -> Left {
    let mut run = pin!(run);
    let last = world.scenario.log.iter().map(|event| event.stored_at).max().unwrap_or_default();
    let begun = last.max(world.scenario.calm_at).max(world.now());
    let rescan = world.scenario.rescans.last().map_or(0, |delay| delay.unsigned_abs());
    let within = SETTLED_WITHIN + Duration::from_secs(rescan);
    let watch = async {
        world.sleep_until(begun).await;
        let mut settled = false;
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let waited = world.now() - begun;
            let unsettled = world.oracle().unsettled(world);
            settled |= unsettled.is_empty() && !world.oracle().is_reading_again();
            let mut undelivered = world.oracle().undelivered(world);
            if settled && undelivered.is_empty() {
                // One that was parked twice, because nobody could tell that it was the same, is
                // delivered, and parked all the same until its second copy is decoded too.
                undelivered = parked(store);
                undelivered.retain(|no| !world.oracle().must_be_parked(world, *no));
            }
            if settled && undelivered.is_empty() {
                // Whatever is still on its way, and should not be, comes to light.
                tokio::time::sleep(Duration::from_secs(120)).await;
                break;
            }
            if !settled && waited > within {
                world.oracle().wrong(format!("not settled after {waited:?}: {unsettled:?}"));
                break;
            }
            if waited > RESOLVED_WITHIN {
                world.oracle().wrong(format!("not delivered after {waited:?}: {undelivered:?}"));
                break;
            }
        }
    };
    tokio::select! {
        biased;
        caught = &mut run => return left(caught),
        () = watch => {}
    }
    world.oracle().let_commits_wait();
    stop.cancel();
    left(run.await)
}
