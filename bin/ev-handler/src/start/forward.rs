//! From the first word with Auth to the end of the engine, by one road after the other.

use std::sync::Arc;
use std::time::Duration;

use ev_config::Settings;
use ev_core::{
    ArtifactSource, Claim, Env, Flavour, Road, Sink, SinkId, Snapshot, Source, StateStore, Survey,
    Timestamp,
};
use ev_modules::{Registry, Trust};
use ev_pipeline::{Engine, Exec, Parts, Summary};
use ev_source::SearchSource;
use ev_state::SqliteStore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::known::{Known, Running};
use super::locking::Locking;
use super::roads::{Chooser, Watched, Wish, choose};
use super::{Error, SINK, decoders, flavour, overflow, parts};
use crate::fetching::Fetching;
use crate::takeover;
use crate::upstream::refused;

/// What could be made without any peer.
pub(crate) struct Ready<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) trust: Trust,
    pub(crate) place: Option<Arc<dyn ArtifactSource>>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) store: Arc<SqliteStore>,
    /// Never used itself: each road has a source of its own, made of this one.
    pub(crate) source: SearchSource,
    pub(crate) begins: Begins,
    pub(crate) locking: Option<&'a Locking>,
    pub(crate) env: Arc<dyn Env>,
    /// What others see of the run.
    pub(crate) known: Known,
}

/// How a new state begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begins {
    /// Where the settings or the reference handler's state say; Auth is waited for.
    AsSet,
    /// With this flavour at this time, for a comparison; Auth has to answer within `patience`.
    At { flavour: Flavour, start_time: Timestamp, patience: Duration },
}

/// What does not change while the road does.
struct Begun {
    flavour: Flavour,
    fetching: Fetching,
    /// Where the first road begins.
    first: Option<First>,
}

/// The connection that came first.
struct First {
    source: SearchSource,
    survey: Survey,
    /// `None` as long as it was not asked for.
    road: Option<Road>,
}

/// How reading by a road ended.
enum Ended {
    /// It was stopped, or there is nothing more.
    Done(Summary),
    /// Another road would be better.
    Left(Summary),
}

impl Ready<'_> {
    /// Moves events until `stop` is cancelled, or there are no more and that is the end. `None` if
    /// it was stopped before it began.
    pub(crate) async fn forward(&self, stop: &CancellationToken) -> Result<Option<Summary>, Error> {
        let Some(mut begun) = self.begin(stop).await? else { return Ok(None) };
        let result = self.by_roads(&mut begun, stop).await;
        // The decoders live as long as all engines, and are waited for.
        let ended = begun.fetching.end().await;
        let summary = result?;
        ended?;
        Ok(summary)
    }

    /// Reaches Auth, and settles the flavour. `None` if it was stopped meanwhile.
    async fn begin(&self, stop: &CancellationToken) -> Result<Option<Begun>, Error> {
        let Some((mut source, survey)) = self.connect(stop).await? else { return Ok(None) };
        let settled = match self.begins {
            Begins::At { flavour, .. } => Some(flavour),
            Begins::AsSet => {
                let kept = self.store.identity()?.map(|(_, flavour)| flavour);
                flavour::settled(self.settings, kept)?
            }
        };
        if let Some(flavour) = settled {
            let fetching = self.fetching(flavour)?;
            let first = Some(First { source, survey, road: None });
            return Ok(Some(Begun { flavour, fetching, first }));
        }
        // A new state begins with what its first road brings.
        let mut flavour = Flavour::Go;
        let mut fetching = self.fetching(flavour)?;
        let wish = Wish::of(self.settings, None);
        let road = self.choose(wish, &fetching, &mut source, &survey, stop).await?;
        let Some(road) = road else {
            fetching.end().await?;
            return Ok(None);
        };
        if road != Road::Typed {
            fetching.end().await?;
            flavour = Flavour::Struct;
            fetching = self.fetching(flavour)?;
        }
        let first = Some(First { source, survey, road: Some(road) });
        Ok(Some(Begun { flavour, fetching, first }))
    }

    async fn by_roads(
        &self,
        begun: &mut Begun,
        stop: &CancellationToken,
    ) -> Result<Option<Summary>, Error> {
        let wish = Wish::of(self.settings, Some(begun.flavour));
        if wish != Wish::of(self.settings, None) {
            info!(
                flavour = %begun.flavour,
                "the log is read by the typed calls alone: no others bring JSON of this flavour"
            );
        }
        let mut before = None;
        let mut start_time = None;
        loop {
            match self.by_one_road(begun, wish, &mut start_time, before, stop).await? {
                None => return Ok(before),
                Some(Ended::Done(summary)) => return Ok(Some(behind(summary, before))),
                Some(Ended::Left(summary)) => before = Some(behind(summary, before)),
            }
            if stop.is_cancelled() {
                return Ok(before);
            }
        }
    }

    /// A source of its own that has reached Auth; `None` if it was stopped before.
    async fn connect(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<(SearchSource, Survey)>, Error> {
        let mut source = self.source.again();
        let patience = async {
            match self.begins {
                Begins::AsSet => std::future::pending().await,
                Begins::At { patience, .. } => {
                    self.env.sleep(patience).await;
                    patience
                }
            }
        };
        let survey = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            survey = source.survey() => survey?,
            patience = patience => {
                let seconds = patience.as_secs();
                return Err(refused(format!("auth did not answer within {seconds} s")));
            }
        };
        self.known.lock().survey = Some(survey.clone());
        Ok(Some((source, survey)))
    }

    /// `None` if it was stopped before the state was open.
    async fn by_one_road(
        &self,
        begun: &mut Begun,
        wish: Wish,
        start_time: &mut Option<Timestamp>,
        before: Option<Summary>,
        stop: &CancellationToken,
    ) -> Result<Option<Ended>, Error> {
        let First { mut source, survey, road } = match begun.first.take() {
            Some(first) => first,
            None => match self.connect(stop).await? {
                Some((source, survey)) => First { source, survey, road: None },
                None => return Ok(None),
            },
        };
        let road = match road {
            Some(road) => road,
            None => {
                let fetching = &begun.fetching;
                match self.choose(wish, fetching, &mut source, &survey, stop).await? {
                    Some(road) => road,
                    None => return Ok(None),
                }
            }
        };
        let Some(snapshot) = self.open(&survey, begun.flavour, road, *start_time, stop).await?
        else {
            return Ok(None);
        };
        *start_time = Some(snapshot.start_time);
        let chooser = self.chooser(&begun.fetching);
        let source: Box<dyn Source> = Box::new(source);
        let (source, better) = match wish {
            Wish::Road(_) => (source, None),
            Wish::Best => {
                let (watched, better) = Watched::new(source, road, survey.version, chooser);
                (Box::new(watched) as Box<dyn Source>, Some(better))
            }
        };
        let run_stop = stop.child_token();
        let registry = begun.fetching.registry.clone();
        self.known.lock().registry = Some(registry.clone());
        let run = self.engine(source, registry, snapshot, road, before)?.run(run_stop.clone());
        tokio::pin!(run);
        let Some(mut better) = better else { return Ok(Some(Ended::Done(run.await?))) };
        let told = async {
            // The sender lives in the engine, which may end before anything is told.
            if better.wait_for(|better| *better).await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            summary = &mut run => return Ok(Some(Ended::Done(summary?))),
            () = told => run_stop.cancel(),
        }
        info!(left = road.as_str(), "another road to auth's log would be better now");
        Ok(Some(Ended::Left(run.await?)))
    }

    fn chooser(&self, fetching: &Fetching) -> Chooser {
        Chooser {
            roads: self.source.roads(),
            decoders: Arc::new(fetching.registry.clone()),
            env: Arc::clone(&self.env),
        }
    }

    /// The road to begin with; `None` if it was stopped before one was chosen.
    async fn choose(
        &self,
        wish: Wish,
        fetching: &Fetching,
        source: &mut SearchSource,
        survey: &Survey,
        stop: &CancellationToken,
    ) -> Result<Option<Road>, Error> {
        let chooser = self.chooser(fetching);
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(None),
            road = choose(wish, &chooser, source, &survey.version, &*self.env) => road.map(Some),
        }
    }

    fn fetching(&self, flavour: Flavour) -> Result<Fetching, Error> {
        let Self { settings, trust, place, store, source, env, .. } = self;
        let kept = matches!(self.begins, Begins::AsSet).then(|| Arc::clone(store) as _);
        Fetching::start(&decoders::Needs {
            settings,
            trust: trust.clone(),
            flavour,
            place: place.clone(),
            artifacts: Arc::new(source.artifacts()),
            store: kept,
            env: Arc::clone(env),
        })
    }

    /// Opens the state, which begins where it should; `None` if it was stopped before that was
    /// known. `start_time` is that of the state when this run has opened it before.
    async fn open(
        &self,
        survey: &Survey,
        flavour: Flavour,
        road: Road,
        start_time: Option<Timestamp>,
        stop: &CancellationToken,
    ) -> Result<Option<Snapshot>, Error> {
        let Self { settings, store, env, .. } = self;
        let start_time = match (start_time, self.begins) {
            (Some(start_time), _) | (None, Begins::At { start_time, .. }) => start_time,
            (None, Begins::AsSet) => {
                let env = Arc::clone(env);
                let needs =
                    takeover::Needs { settings, store, sink: sink(), survey, flavour, road, env };
                match takeover::prepare(&needs, stop).await? {
                    Some(start_time) => start_time,
                    None => return Ok(None),
                }
            }
        };
        let (sink, cluster) = (sink(), survey.cluster.clone());
        let claim = Claim { sink, cluster, flavour: Some(flavour), start_time };
        let snapshot = store.open_sink(&claim)?;
        if matches!(self.begins, Begins::AsSet) {
            takeover::check_start_time(settings, snapshot.start_time)?;
            if snapshot.start_time > env.now() {
                warn!(
                    start_time = %snapshot.start_time,
                    "the state begins in the future: nothing is sent before that, and `start-time` \
                     can be given to a new storage directory alone"
                );
            }
        }
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
        before: Option<Summary>,
    ) -> Result<Engine, Error> {
        let Self { settings, sink: taker, store, locking, env, .. } = self;
        let mut config = parts::engine(settings);
        config.tell_rates = matches!(self.begins, Begins::AsSet);
        if settings.ingest.export_parked {
            let files = overflow::Files::new(&settings.storage, sink(), env.clone());
            config.overflow = Some(Arc::new(files));
        }
        config.watcher = locking.map(Locking::watcher);
        let (pulse, start_time) = (config.pulse.clone(), snapshot.start_time);
        let engine = Engine::new(Parts {
            source,
            decoders: Arc::new(registry),
            unstructured: Arc::new(decoders::unstructured(settings)),
            sink: Arc::clone(taker),
            store: Arc::clone(store) as Arc<dyn StateStore>,
            env: env.clone(),
            sink_id: sink(),
            snapshot,
            road,
            exec: Exec::Threads,
            config,
        })?;
        self.known.lock().lockout = locking.map(Locking::lockout);
        self.known.begins(Running {
            sink: sink(),
            inspector: engine.inspector(),
            pulse,
            road,
            start_time,
            before,
        });
        Ok(engine)
    }
}

pub(super) fn sink() -> SinkId {
    SinkId(SINK.to_owned())
}

fn behind(summary: Summary, before: Option<Summary>) -> Summary {
    match before {
        Some(before) => summary.behind(&before),
        None => summary,
    }
}
