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
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, error, info, info_span, warn};

use super::known::{Known, Running};
use super::locking::Locking;
use super::outlet::Pace;
use super::roads::{Chooser, Watched, Wish, choose};
use super::{Error, SINK, decoders, flavour, overflow, parts, status};
use crate::chain::Chain;
use crate::fetching::Fetching;
use crate::takeover;
use crate::upstream::refused;

/// What could be made without any peer.
pub(crate) struct Ready<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) trust: Trust,
    pub(crate) place: Option<Arc<dyn ArtifactSource>>,
    /// Who takes the events, at least one; the first is the one that logins are counted for.
    pub(crate) takers: Vec<Taker>,
    pub(crate) store: Arc<SqliteStore>,
    /// Never used itself: each road has a source of its own, made of this one.
    pub(crate) source: SearchSource,
    pub(crate) begins: Begins,
    pub(crate) locking: Option<&'a Locking>,
    pub(crate) env: Arc<dyn Env>,
    /// What others see of the run.
    pub(crate) known: Known,
}

/// Who takes events, with a resume point of its own.
pub(crate) struct Taker {
    pub(crate) id: SinkId,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) pace: Pace,
}

/// What was done for one of them.
pub(crate) struct Done {
    pub(crate) id: SinkId,
    pub(crate) summary: Summary,
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
    /// Whether there was no state before this run.
    is_new: bool,
}

/// The connection that came first.
struct First {
    source: SearchSource,
    survey: Survey,
    /// `None` as long as it was not asked for.
    road: Option<Road>,
}

/// What goes on from one road to the next.
struct Way {
    /// Where the first road begins, if somebody has connected already.
    first: Option<First>,
    /// That of the state, once this run has opened it.
    start_time: Option<Timestamp>,
    /// What was done by the roads before.
    before: Option<Summary>,
}

/// How reading by a road ended.
enum Ended {
    /// It was stopped, or there is nothing more.
    Done(Summary),
    /// Another road would be better.
    Left(Summary),
}

impl Ready<'_> {
    /// Moves events until `stop` is cancelled, or there are no more and that is the end. Returns
    /// what was done for those takers for which it had begun.
    pub(crate) async fn forward(&self, stop: &CancellationToken) -> Result<Vec<Done>, Error> {
        let Some((begun, first)) = self.begin(stop).await? else { return Ok(Vec::new()) };
        let result = self.to_all(&begun, first, stop).await;
        // The decoders live as long as all engines, and are waited for.
        let ended = begun.fetching.end().await;
        let done = result?;
        ended?;
        Ok(done)
    }

    /// Each taker has an engine, a source and a resume point of its own, so that none waits for
    /// another. They share decoders, state and task. What cannot go on for one ends all of them, in
    /// order: somebody has to mend it.
    async fn to_all(
        &self,
        begun: &Begun,
        first: First,
        stop: &CancellationToken,
    ) -> Result<Vec<Done>, Error> {
        let stop = stop.child_token();
        let mut first = Some(first);
        let mut runs = FuturesUnordered::new();
        for taker in &self.takers {
            let span = match self.takers.len() {
                1 => Span::none(),
                _ => info_span!("sink", name = taker.id.0),
            };
            let run = self.by_roads(taker, begun, first.take(), &stop);
            runs.push(async move { (taker, run.await) }.instrument(span));
        }
        let mut done = Vec::new();
        let mut failed = None;
        while let Some((taker, result)) = runs.next().await {
            match result {
                Ok(Some(summary)) => done.push(Done { id: taker.id.clone(), summary }),
                Ok(None) => {}
                Err(error) => {
                    stop.cancel();
                    match failed {
                        None => failed = Some(error),
                        // The first is the cause.
                        Some(_) => error!(
                            sink = taker.id.0,
                            error = %Chain(&error),
                            "the events of this receiver cannot go on either"
                        ),
                    }
                }
            }
        }
        let place = |done: &Done| self.takers.iter().position(|taker| taker.id == done.id);
        done.sort_by_key(place);
        failed.map_or(Ok(done), Err)
    }

    /// Reaches Auth, and settles the flavour. `None` if it was stopped meanwhile.
    async fn begin(&self, stop: &CancellationToken) -> Result<Option<(Begun, First)>, Error> {
        let is_new = self.store.identity()?.is_none();
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
            let first = First { source, survey, road: None };
            return Ok(Some((Begun { flavour, fetching, is_new }, first)));
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
        let first = First { source, survey, road: Some(road) };
        Ok(Some((Begun { flavour, fetching, is_new }, first)))
    }

    async fn by_roads(
        &self,
        taker: &Taker,
        begun: &Begun,
        first: Option<First>,
        stop: &CancellationToken,
    ) -> Result<Option<Summary>, Error> {
        let wish = Wish::of(self.settings, Some(begun.flavour));
        if wish != Wish::of(self.settings, None) {
            info!(
                flavour = %begun.flavour,
                "the log is read by the typed calls alone: no others bring JSON of this flavour"
            );
        }
        let mut way = Way { first, start_time: None, before: None };
        loop {
            match self.by_one_road(taker, begun, wish, &mut way, stop).await? {
                None => return Ok(way.before),
                Some(Ended::Done(summary)) => return Ok(Some(behind(summary, way.before))),
                Some(Ended::Left(summary)) => way.before = Some(behind(summary, way.before)),
            }
            if stop.is_cancelled() {
                return Ok(way.before);
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
        taker: &Taker,
        begun: &Begun,
        wish: Wish,
        way: &mut Way,
        stop: &CancellationToken,
    ) -> Result<Option<Ended>, Error> {
        let First { mut source, survey, road } = match way.first.take() {
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
        let opened = self.open(taker, begun, &survey, road, way.start_time, stop).await?;
        let Some(snapshot) = opened else { return Ok(None) };
        way.start_time = Some(snapshot.start_time);
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
        let engine = self.engine(taker, source, registry, snapshot, road, way.before)?;
        let run = engine.run(run_stop.clone());
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
        taker: &Taker,
        begun: &Begun,
        survey: &Survey,
        road: Road,
        start_time: Option<Timestamp>,
        stop: &CancellationToken,
    ) -> Result<Option<Snapshot>, Error> {
        let Self { settings, store, env, .. } = self;
        let (sink, flavour) = (taker.id.clone(), begun.flavour);
        // What the reference handler has sent went to Fluentd, and to nobody who came later.
        let is_later = sink.0 != SINK && !begun.is_new && store.is_blank(&sink)?;
        let start_time = match (start_time, self.begins) {
            (Some(start_time), _) | (None, Begins::At { start_time, .. }) => start_time,
            (None, Begins::AsSet) if is_later => takeover::begin_later(settings, &sink, &**env)?,
            (None, Begins::AsSet) => {
                let (sink, env) = (sink.clone(), Arc::clone(env));
                let needs = takeover::Needs { settings, store, sink, survey, flavour, road, env };
                match takeover::prepare(&needs, stop).await? {
                    Some(start_time) => start_time,
                    None => return Ok(None),
                }
            }
        };
        let cluster = survey.cluster.clone();
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
            sink = taker.id.0,
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
        taker: &Taker,
        source: Box<dyn Source>,
        registry: Registry,
        snapshot: Snapshot,
        road: Road,
        before: Option<Summary>,
    ) -> Result<Engine, Error> {
        let Self { settings, store, env, .. } = self;
        let is_first = self.takers.first().is_some_and(|first| first.id == taker.id);
        // Logins are counted once, however many take the events.
        let locking = self.locking.filter(|_| is_first);
        let mut config = parts::engine(settings);
        taker.pace.put_into(&mut config);
        config.tell_rates = matches!(self.begins, Begins::AsSet);
        config.tell_headway = status::foot(settings).is_none();
        if settings.ingest.export_parked {
            let files = overflow::Files::new(&settings.storage, taker.id.clone(), env.clone());
            config.overflow = Some(Arc::new(files));
        }
        config.watcher = locking.map(Locking::watcher);
        let (pulse, start_time) = (config.pulse.clone(), snapshot.start_time);
        let engine = Engine::new(Parts {
            source,
            decoders: Arc::new(registry),
            unstructured: Arc::new(decoders::unstructured(settings)),
            sink: Arc::clone(&taker.sink),
            store: Arc::clone(store) as Arc<dyn StateStore>,
            env: env.clone(),
            sink_id: taker.id.clone(),
            snapshot,
            road,
            exec: Exec::Threads,
            config,
        })?;
        if is_first {
            self.known.lock().lockout = locking.map(Locking::lockout);
        }
        self.known.begins(|number| Running {
            number,
            sink: taker.id.clone(),
            inspector: engine.inspector(),
            pulse,
            road,
            start_time,
            before,
        });
        Ok(engine)
    }
}

fn behind(summary: Summary, before: Option<Summary>) -> Summary {
    match before {
        Some(before) => summary.behind(&before),
        None => summary,
    }
}
