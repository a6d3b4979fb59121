//! From the first word with Auth to the end of the engine, by one road after the other.

use std::sync::{Arc, Mutex, PoisonError};

use ev_config::Settings;
use ev_core::{
    ArtifactSource, Claim, Env, Flavour, Road, Sink, SinkId, Snapshot, Source, StateStore, Survey,
};
use ev_modules::{Registry, Trust};
use ev_pipeline::{Engine, Exec, Parts, Summary};
use ev_sink_fluentd::FluentdSink;
use ev_source::SearchSource;
use ev_state::{SqliteStore, StateReader};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::dry::DrySink;
use super::locking::Locking;
use super::roads::{Chooser, Watched, Wish, choose};
use super::steward::Known;
use super::{Error, SINK, decoders, overflow, parts};
use crate::takeover;

/// What could be made without any peer.
pub(super) struct Ready<'a> {
    pub(super) settings: &'a Settings,
    pub(super) trust: Trust,
    pub(super) place: Option<Arc<dyn ArtifactSource>>,
    /// `None` in a dry run.
    pub(super) sink: Option<Arc<FluentdSink>>,
    pub(super) store: Arc<SqliteStore>,
    /// Never used itself: each road has a source of its own, made of this one.
    pub(super) source: SearchSource,
    pub(super) locking: Option<&'a Locking>,
    pub(super) env: Arc<dyn Env>,
    /// What others see of the run.
    pub(super) known: Arc<Mutex<Known>>,
}

/// How reading by a road ended.
enum Ended {
    /// It was stopped, or there is nothing more.
    Done(Summary),
    /// Another road would be better.
    Left(Summary),
}

impl Ready<'_> {
    /// Moves events until `stop` is cancelled, or there are no more and that is the end.
    pub(super) async fn forward(&self, stop: CancellationToken) -> Result<Summary, Error> {
        let mut before = Summary::default();
        let summary = loop {
            match self.by_one_road(stop.clone()).await? {
                Ended::Done(summary) => break summary.behind(&before),
                Ended::Left(summary) => before = summary.behind(&before),
            }
            if stop.is_cancelled() {
                break before;
            }
        };
        let by_sink = self.sink.as_ref().map_or(0, |sink| sink.stats().possible_duplicate_events);
        log_summary(&summary, by_sink);
        Ok(summary)
    }

    async fn by_one_road(&self, stop: CancellationToken) -> Result<Ended, Error> {
        let Self { settings, env, .. } = self;
        let mut source = self.source.again();
        let survey = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Ended::Done(Summary::default())),
            survey = source.survey() => survey?,
        };
        self.tell(|known| known.survey = Some(survey.clone()));
        let registry = self.registry()?;
        let wish = Wish::of(settings);
        let chooser = Chooser {
            roads: self.source.roads(),
            decoders: Arc::new(registry.clone()),
            env: env.clone(),
        };

        // The registry lives as long as the engine and is waited for.
        let registry_stop = stop.child_token();
        let fetching = tokio::spawn(registry.clone().run(registry_stop.clone()));
        let result = self.read(source, survey, registry, wish, chooser, &stop).await;
        registry_stop.cancel();
        let fetched = fetching.await.map_err(Error::Task);
        let ended = result?;
        fetched?;
        Ok(ended)
    }

    async fn read(
        &self,
        mut source: SearchSource,
        survey: Survey,
        registry: Registry,
        wish: Wish,
        chooser: Chooser,
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        let road = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Ended::Done(Summary::default())),
            road = choose(wish, &chooser, &mut source, &survey.version, &*self.env) => road?,
        };
        let Some(snapshot) = self.open(&survey, road, stop).await? else {
            return Ok(Ended::Done(Summary::default()));
        };
        let source: Box<dyn Source> = Box::new(source);
        let (source, better) = match wish {
            Wish::Road(_) => (source, None),
            Wish::Best => {
                let (watched, better) = Watched::new(source, road, survey.version, chooser);
                (Box::new(watched) as Box<dyn Source>, Some(better))
            }
        };
        let run_stop = stop.child_token();
        let run = self.engine(source, registry, snapshot, road, &run_stop)?.run(run_stop.clone());
        tokio::pin!(run);
        let Some(mut better) = better else { return Ok(Ended::Done(run.await?)) };
        let told = async {
            // The sender lives in the engine, which may end before anything is told.
            if better.wait_for(|better| *better).await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            summary = &mut run => return Ok(Ended::Done(summary?)),
            () = told => run_stop.cancel(),
        }
        info!(left = road.as_str(), "another road to auth's log would be better now");
        Ok(Ended::Left(run.await?))
    }

    fn tell(&self, tell: impl FnOnce(&mut Known)) {
        tell(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Who takes the JSON.
    fn taker(&self, stop: &CancellationToken) -> Arc<dyn Sink> {
        match &self.sink {
            Some(sink) => Arc::clone(sink) as Arc<dyn Sink>,
            None if self.settings.dry_run_print => Arc::new(DrySink::printing(stop.clone())),
            None => Arc::new(DrySink::silent()),
        }
    }

    fn registry(&self) -> Result<Registry, Error> {
        let Self { settings, trust, place, store, source, env, .. } = self;
        // A state that has begun has its flavour, whatever the settings leave open.
        let kept = match store.is_blank(&sink())? {
            true => None,
            false => StateReader::open(&settings.storage)?.identity()?,
        };
        let flavour = parts::flavour(settings).or(kept.map(|(_, flavour)| flavour));
        decoders::registry(&decoders::Needs {
            settings,
            trust: trust.clone(),
            flavour: flavour.unwrap_or(Flavour::Go),
            seen: None,
            place: place.clone(),
            artifacts: Arc::new(source.artifacts()),
            store: Some(Arc::clone(store) as Arc<dyn StateStore>),
            env: env.clone(),
        })
    }

    /// Opens the state, which begins where it should; `None` if it was stopped before that was
    /// known.
    async fn open(
        &self,
        survey: &Survey,
        road: Road,
        stop: &CancellationToken,
    ) -> Result<Option<Snapshot>, Error> {
        let Self { settings, store, env, .. } = self;
        let flavour = parts::flavour(settings);
        let needs = takeover::Needs {
            settings,
            store,
            sink: sink(),
            survey,
            flavour,
            road,
            env: env.clone(),
        };
        let Some(start_time) = takeover::prepare(&needs, stop).await? else { return Ok(None) };
        let (sink, cluster) = (sink(), survey.cluster.clone());
        let snapshot = store.open_sink(&Claim { sink, cluster, flavour, start_time })?;
        takeover::check_start_time(settings, snapshot.start_time)?;
        info!(
            cluster = survey.cluster,
            version = %survey.version,
            road = road.as_str(),
            start_time = %snapshot.start_time,
            flavour = %snapshot.flavour,
            lanes = snapshot.lanes.len(),
            parked = snapshot.totals.parked,
            "state is open"
        );
        Ok(Some(snapshot))
    }

    fn engine(
        &self,
        source: Box<dyn Source>,
        registry: Registry,
        snapshot: Snapshot,
        road: Road,
        stop: &CancellationToken,
    ) -> Result<Engine, Error> {
        let Self { settings, store, locking, env, .. } = self;
        let mut config = parts::engine(settings);
        config.tell_rates = true;
        if settings.ingest.export_parked {
            let files = overflow::Files::new(&settings.storage, sink(), env.clone());
            config.overflow = Some(Arc::new(files));
        }
        config.watcher = locking.map(Locking::watcher);
        let engine = Engine::new(Parts {
            source,
            decoders: Arc::new(registry),
            unstructured: Arc::new(decoders::unstructured(settings)),
            sink: self.taker(stop),
            store: Arc::clone(store) as Arc<dyn StateStore>,
            env: env.clone(),
            sink_id: sink(),
            snapshot,
            road,
            exec: Exec::Threads,
            config,
        })?;
        self.tell(|known| {
            known.engine = Some(engine.inspector());
            known.lockout = locking.map(Locking::lockout);
        });
        Ok(engine)
    }
}

fn sink() -> SinkId {
    SinkId(SINK.to_owned())
}

fn log_summary(summary: &Summary, by_sink: u64) {
    let totals = &summary.totals;
    // What the sink sends again by itself, at once and on a new connection, the engine never hears
    // of.
    let possible_duplicates = summary.unknown_outcomes + by_sink;
    info!(
        read = summary.read,
        repeated = summary.repeated,
        passed = summary.passed,
        sent = summary.sent,
        retries = summary.retries,
        unknown_outcomes = summary.unknown_outcomes,
        possible_duplicates,
        commits = summary.commits,
        sessions_given_up = summary.sessions_given_up,
        total_passed = totals.passed,
        total_delivered = totals.delivered,
        total_filtered = totals.filtered,
        total_parked = totals.parked,
        total_resolved = totals.resolved,
        total_dropped = totals.dropped,
        total_given_up = totals.given_up,
        total_native = totals.by_native,
        total_table = totals.by_table,
        total_module = totals.by_module,
        total_inexact = totals.inexact,
        total_sessions = totals.sessions,
        "successfully shut down"
    );
}
