//! Faults while a backlog is being sent, the handler being a process of its own: what it promises
//! is checked by what the receiver has got, by what the handler says at its end, and by what it
//! leaves on the disk.
//!
//! Pages, windows and batches are small, so that a fault comes in the middle of everything.

mod certificates;
mod crashes;
mod diagnostics;
mod down;
mod full_disk;
mod program;
mod refusals;
mod signals;
mod slow;
mod systemd;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ev_core::{Claim, SinkId, StateStore, Timestamp, Totals};
use ev_test_support::FluentdTally;
use ev_test_support::data::{Made, Maker};

use self::program::{Ending, Program};
use crate::stage::{CLUSTER, Stage, make, templates, texts};

/// What a scenario waits for at most. Only a failing one waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Most events in a request.
const BATCH: u64 = 20;

/// Most requests at one time.
const CONNECTIONS: u64 = 4;

/// Most events that a crash may repeat: those acknowledged since the last commit, which is forced
/// behind the request that brings them to 2,000, and what was under way.
const WINDOW: u64 = 2000 + BATCH + CONNECTIONS * BATCH;

/// Servers, and what Auth has.
struct Scene {
    stage: Stage,
    /// The JSON of every event of Auth's log.
    log: Vec<String>,
    maker: Maker,
}

impl Scene {
    /// A backlog of so many events over 60 hours.
    fn new(seed: u32, count: usize) -> Self {
        let mut scene = Self::empty(seed);
        let made = make(&mut scene.maker, &templates("v13"), count, 60, 5);
        scene.append(&made);
        scene
    }

    fn empty(seed: u32) -> Self {
        let mut stage = Stage::new("13.3.8");
        stage.forward = format!("batch-events = {BATCH}\nmax-connections = {CONNECTIONS}\n");
        Self { stage, log: Vec::new(), maker: Maker::new(seed) }
    }

    fn append(&mut self, made: &[Made]) {
        self.stage.auth.append(made.iter().map(|event| event.event()));
        self.log.extend(texts(made));
    }

    /// Events of right now, as a log that is read already goes on with them.
    fn go_on(&mut self, count: usize) {
        let made = make(&mut self.maker, &templates("v13"), count, 0, 2);
        self.append(&made);
    }

    fn start(&self) -> Program {
        Program::start(&self.stage, &[])
    }

    /// Waits until the receiver's counts fulfil this.
    async fn until(
        &self,
        what: &str,
        condition: impl FnMut(&FluentdTally) -> bool,
    ) -> FluentdTally {
        match tokio::time::timeout(PATIENCE, self.stage.fluentd.wait(condition)).await {
            Ok(tally) => tally,
            Err(_) => panic!("{what} did not come: {:?}", self.stage.fluentd.tally()),
        }
    }

    /// Waits until the receiver has so many different events.
    async fn received(&self, count: u64) -> FluentdTally {
        self.until(&format!("{count} events"), |tally| tally.events - tally.repeated >= count).await
    }

    /// Waits until the receiver has every event.
    async fn received_all(&self) -> FluentdTally {
        self.received(self.log.len() as u64).await
    }

    /// Every event is there, and nothing else; how many came more than once is the tally's to say.
    #[track_caller]
    fn nothing_is_lost(&self) {
        let mut times: BTreeMap<&str, u64> = self.log.iter().map(|json| (&json[..], 0)).collect();
        let bodies = self.stage.bodies();
        assert!(bodies.keys().eq(["events.log"]), "{:?}", bodies.keys());
        for body in bodies.values().flatten() {
            *times.get_mut(&body[..]).unwrap_or_else(|| panic!("Auth never had {body}")) += 1;
        }
        let lost: Vec<_> = times.iter().filter(|(_, times)| **times == 0).collect();
        assert!(lost.is_empty(), "{} lost, the first: {:?}", lost.len(), lost[0]);
    }

    /// [`Scene::nothing_is_lost`], and the last run of all has counted it like that.
    #[track_caller]
    fn all_is_delivered(&self, ending: &Ending) {
        self.nothing_is_lost();
        assert_eq!(ending.count("total_delivered"), self.log.len() as u64, "{:?}", ending.summary);
        assert_eq!(ending.count("total_passed"), self.log.len() as u64, "{:?}", ending.summary);
        assert_eq!(ending.count("total_parked"), 0, "{:?}", ending.summary);
    }

    fn repeated(&self) -> u64 {
        self.stage.fluentd.tally().repeated
    }

    /// Different events that were acknowledged.
    fn acknowledged(&self) -> u64 {
        let mut received = self.stage.fluentd.received();
        received.retain(|event| event.acknowledged);
        received.iter().map(|event| &event.body).collect::<BTreeSet<_>>().len() as u64
    }

    /// What a handler that is gone has left on the disk.
    fn kept(&self) -> Totals {
        let store = ev_state::SqliteStore::open(self.stage.path("storage")).unwrap();
        let claim = Claim {
            sink: SinkId("fluentd".into()),
            cluster: CLUSTER.into(),
            flavour: None,
            start_time: Timestamp::EPOCH,
        };
        let totals = store.open_sink(&claim).unwrap().totals;
        assert!(totals.balances(), "{totals:?}");
        totals
    }
}

/// What handlers that did not end well have left open: sent, and not committed.
#[derive(Default)]
struct Crashes {
    sent: u64,
    committed: u64,
    open: u64,
}

impl Crashes {
    /// Looks at what the last one has left.
    async fn add(&mut self, scene: &Scene) {
        // What it had sent and was not looked at yet counts no more.
        scene.stage.fluentd.drop_connections().await;
        let (tally, kept) = (scene.stage.fluentd.tally(), scene.kept());
        // Nothing counts as delivered that was not acknowledged, and nothing is undone.
        let acknowledged = scene.acknowledged();
        assert!(kept.delivered <= acknowledged, "{kept:?}, {acknowledged} acknowledged");
        assert!(kept.delivered >= self.committed, "{kept:?}, {} before", self.committed);
        assert_eq!((kept.passed, kept.parked), (kept.delivered, 0), "{kept:?}");
        let open = (tally.events - self.sent) - (kept.delivered - self.committed);
        assert!(open <= WINDOW, "{open} were sent and not committed");
        *self = Self { sent: tally.events, committed: kept.delivered, open: self.open + open };
    }

    /// Nothing was sent twice but what they had left open.
    #[track_caller]
    fn are_all_that_repeats(&self, scene: &Scene) {
        assert_eq!(scene.repeated(), self.open);
    }
}

/// How often this status was answered.
fn answers(tally: &FluentdTally, status: u16) -> u64 {
    tally.answers.get(&status).copied().unwrap_or_default()
}
