//! By which calls the log is read: chosen by asking, and again whenever Auth may have changed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ev_config::Settings;
use ev_core::{
    AuthVersion, BoxFuture, Choice, Credit, DecoderSet, Env, Flavour, LaneId, Resume, Road, Source,
    SourceError, SourceEvent, SpanQuery, SpanReader, Survey, Token,
};
use ev_source::{AuthRoads, SearchSource};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::chain::Chain;
use crate::start::Error;

/// Pause before Auth is asked once more, doubled each time, with full jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often a look is taken whether Auth is still there while a road is chosen.
const LOOK: Duration = Duration::from_millis(500);

/// What the settings ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Whatever is best.
    Best,
    /// This one and no other.
    Road(Road),
}

impl Wish {
    /// `flavour` is that of the state; `None` where it is not known, or of no importance.
    pub(crate) fn of(settings: &Settings, flavour: Option<Flavour>) -> Self {
        match settings.ingest.source {
            ev_config::Road::Typed => Self::Road(Road::Typed),
            ev_config::Road::Unstructured => Self::Road(Road::Unstructured),
            ev_config::Road::Export => Self::Road(Road::Export),
            // Auth makes JSON of the other flavour alone.
            ev_config::Road::Auto if flavour == Some(Flavour::Go) => Self::Road(Road::Typed),
            ev_config::Road::Auto => Self::Best,
        }
    }
}

/// Chooses among what Auth offers.
#[derive(Clone)]
pub(crate) struct Chooser {
    pub(crate) roads: AuthRoads,
    pub(crate) decoders: Arc<dyn DecoderSet>,
    pub(crate) env: Arc<dyn Env>,
}

impl Chooser {
    /// The road to read by while Auth is of that version. Waits for Auth as long as it takes, and
    /// for the decoder as long as the settings say.
    pub(crate) async fn choose(&self, version: &AuthVersion) -> Road {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_choose(version).await {
                Ok(Some(road)) => return road,
                Ok(None) => {
                    warn!(%version, "auth offers none of the calls by which its log is read")
                }
                Err(error) => warn!(%version, error = %Chain(&error), "failed to choose a road"),
            }
            self.env.sleep(self.env.jitter(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_choose(&self, version: &AuthVersion) -> Result<Option<Road>, SourceError> {
        let offers = self.roads.offered().await?;
        // Where there is no choice, the decoder need not be waited for.
        let exact = match offers.prefer(false) == offers.prefer(true) {
            true => true,
            false => self.is_exact(version).await,
        };
        let road = offers.prefer(exact);
        if let Some(road) = road {
            info!(%version, road = road.as_str(), ?offers, exact, "chose by which calls to read the log");
        }
        Ok(road)
    }

    async fn is_exact(&self, version: &AuthVersion) -> bool {
        loop {
            let generation = self.decoders.generation();
            match self.decoders.choose(version) {
                Choice::Exact(_) => return true,
                Choice::Inexact { .. } => return false,
                Choice::Pending => self.decoders.changed(generation).await,
            }
        }
    }
}

/// The road to begin with.
///
/// # Errors
///
/// Those of the source, which is kept connected meanwhile.
pub(crate) async fn choose(
    wish: Wish,
    chooser: &Chooser,
    source: &mut SearchSource,
    version: &AuthVersion,
    env: &dyn Env,
) -> Result<Road, Error> {
    let road = match wish {
        Wish::Road(road) => return Ok(road),
        Wish::Best => chooser.choose(version),
    };
    // Who reads nothing has to be asked to stay connected.
    let stay = async {
        loop {
            env.sleep(LOOK).await;
            if let Err(error) = source.survey().await {
                return error;
            }
        }
    };
    tokio::select! {
        road = road => Ok(road),
        error = stay => Err(error.into()),
    }
}

/// A source that stops yielding when another road would be better.
///
/// Whenever the source tells who Auth is, a road is chosen before anything that was read from that
/// Auth is passed on: so nothing is parked for want of a decoder that the other road does not need.
/// The same when the decoder by which protobuf is read turns out not to be that of Auth after all.
/// Not when a better one comes while another road is taken: that can wait until Auth is asked again.
pub(crate) struct Watched {
    source: Box<dyn Source>,
    road: Road,
    chooser: Chooser,
    better: watch::Sender<bool>,
    choosing: Option<BoxFuture<'static, Road>>,
    /// Of whom was told last.
    version: AuthVersion,
    /// Resolves when there may be another decoder.
    decoders_changed: BoxFuture<'static, ()>,
    /// For whom the road was chosen, until the source has told of them too.
    chosen_for: Option<AuthVersion>,
    /// What came while a road is chosen.
    held: VecDeque<SourceEvent>,
}

impl Watched {
    /// `source` reads by `road`, which was chosen for `version`. What is returned too becomes true
    /// when another one would be better.
    pub(crate) fn new(
        source: Box<dyn Source>,
        road: Road,
        version: AuthVersion,
        chooser: Chooser,
    ) -> (Self, watch::Receiver<bool>) {
        let (better, told) = watch::channel(false);
        let decoders_changed = chooser.decoders.changed(chooser.decoders.generation());
        let watched = Self {
            source,
            road,
            better,
            choosing: None,
            chosen_for: Some(version.clone()),
            version,
            decoders_changed,
            held: VecDeque::new(),
            chooser,
        };
        (watched, told)
    }

    async fn next(&mut self, credit: Credit) -> Result<SourceEvent, SourceError> {
        loop {
            if *self.better.borrow() {
                // Nothing is passed on any more: whoever reads by the other road gets it.
                return std::future::pending().await;
            }
            let Some(choosing) = &mut self.choosing else {
                if let Some(event) = self.held.pop_front() {
                    return Ok(event);
                }
                tokio::select! {
                    biased;
                    () = &mut self.decoders_changed => self.look_at_decoders(),
                    event = self.source.next(credit) => {
                        let event = event?;
                        self.hold(event);
                    }
                }
                continue;
            };
            // The source has to be asked too, or nobody would connect again.
            let none = Credit { pages: 0 };
            tokio::select! {
                biased;
                road = choosing => {
                    self.choosing = None;
                    if road != self.road {
                        self.better.send_replace(true);
                    }
                }
                event = self.source.next(none) => {
                    let event = event?;
                    self.hold(event);
                }
            }
        }
    }

    fn hold(&mut self, event: SourceEvent) {
        if let SourceEvent::Upstream(survey) = &event
            && self.chosen_for.take().as_ref() != Some(&survey.version)
        {
            self.version = survey.version.clone();
            self.choose();
        }
        self.held.push_back(event);
    }

    fn look_at_decoders(&mut self) {
        let decoders = &self.chooser.decoders;
        self.decoders_changed = decoders.changed(decoders.generation());
        if self.road == Road::Typed
            && matches!(decoders.choose(&self.version), Choice::Inexact { .. })
        {
            self.choose();
        }
    }

    fn choose(&mut self) {
        let (chooser, version) = (self.chooser.clone(), self.version.clone());
        self.choosing = Some(Box::pin(async move { chooser.choose(&version).await }));
    }
}

impl Source for Watched {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        self.source.survey()
    }

    fn resume(&mut self, resume: Resume) -> Result<(), SourceError> {
        self.source.resume(resume)
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        Box::pin(self.next(credit))
    }

    fn open(&mut self, lane: &LaneId, from: Option<Token>) -> Token {
        self.source.open(lane, from)
    }

    fn close(&mut self, lane: &LaneId) {
        self.source.close(lane);
    }

    fn span(&self, query: SpanQuery) -> Box<dyn SpanReader> {
        self.source.span(query)
    }
}
