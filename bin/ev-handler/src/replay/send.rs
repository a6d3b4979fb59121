//! Sends a span by the one way that the handler sends events: the same engine, decoders and sink,
//! with a state of its own that is thrown away.

use std::ops::Range;
use std::sync::Arc;

use ev_config::Settings;
use ev_core::{
    AuthVersion, Claim, Env, EventDigest, Flavour, Form, ParkedEvent, ParkedId, ParkedQuery, Road,
    SinkId, StateError, StateStore, Survey, Timestamp, unstructured,
};
use ev_pipeline::{Engine, Exec, Parts, Status, Summary};
use ev_source::{AuthArtifacts, SearchSource};
use ev_state::SqliteStore;
use ev_unstructured::UnstructuredDecoder;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::source::{SpanSource, second_of};
use crate::fetching::Fetching;
use crate::progress::{Facts, Progress};
use crate::start::dry::Throwaway;
use crate::start::outlet::Outlet;
use crate::start::receiver::Beside;
use crate::start::roads::{Chooser, Wish, choose};
use crate::start::{Error, parts};

/// Parked events read in one go, and their bytes at most.
const CHUNK_EVENTS: usize = 256;
const CHUNK_BYTES: usize = 1 << 20;

/// What is needed to send, and what runs beside it.
pub(crate) struct Sender {
    outlet: Outlet,
    fetching: Fetching,
    beside: Beside,
    env: Arc<dyn Env>,
    cluster: String,
    flavour: Flavour,
    road: Road,
    config: ev_pipeline::Config,
}

/// What became of a span.
pub(crate) struct Sent {
    pub(crate) summary: Summary,
    /// Everything in front of this second is settled; the end of the span if all of it is.
    pub(crate) reached: i64,
    /// Whether all of the span is settled: delivered, left out by a setting, or parked.
    pub(crate) complete: bool,
    /// Events that were sent again as nobody knows whether they had arrived.
    pub(crate) possible_duplicates: u64,
    /// What could not be delivered.
    pub(crate) parked: Parked,
}

/// The events that a run left parked, until this is dropped.
pub(crate) struct Parked {
    store: Arc<SqliteStore>,
    sink: SinkId,
    // Dropped last, which deletes it.
    _directory: Throwaway,
}

impl Sender {
    /// To the receiver of that name. Needs a running tokio runtime.
    ///
    /// `config` is how the engine behaves; whatever is set there about its end, it ends with the
    /// span.
    ///
    /// # Errors
    ///
    /// What only an operator can mend.
    pub(crate) fn start(
        settings: &Settings,
        sink: &str,
        mut config: ev_pipeline::Config,
        survey: &Survey,
        flavour: Flavour,
        artifacts: AuthArtifacts,
        env: &Arc<dyn Env>,
    ) -> Result<Self, Error> {
        let outlet = Outlet::named(settings, sink, env)?;
        outlet.pace.put_into(&mut config);
        let fetching = Fetching::beside(settings, flavour, artifacts, env)?;
        let beside = Beside::start(std::slice::from_ref(&outlet), settings, env);
        let cluster = survey.cluster.clone();
        let (env, road) = (Arc::clone(env), parts::search_road(settings));
        Ok(Self { outlet, fetching, beside, env, cluster, flavour, road, config })
    }

    /// Has `source` read by the road that a handler would choose, or by a search where that is the
    /// export, which cannot be asked for a stretch of the log.
    ///
    /// # Errors
    ///
    /// Those of the source.
    pub(crate) async fn choose_road(
        &mut self,
        settings: &Settings,
        source: &mut SearchSource,
        version: &AuthVersion,
    ) -> Result<(), Error> {
        let decoders = Arc::new(self.fetching.registry.clone());
        let chooser = Chooser { roads: source.roads(), decoders, env: Arc::clone(&self.env) };
        let road =
            choose(Wish::of(settings, Some(self.flavour)), &chooser, source, version, &*self.env)
                .await?;
        self.road = if road == Road::Export { Road::Unstructured } else { road };
        Ok(source.take_road(self.road)?)
    }

    /// Ends what runs beside, and waits for it.
    ///
    /// # Errors
    ///
    /// If it had panicked.
    pub(crate) async fn end(self) -> Result<(), Error> {
        let (beside, fetching) = (self.beside.end().await, self.fetching.end().await);
        beside.and(fetching)
    }

    /// Waits for the decoder, but not for ever: what cannot be decoded is parked.
    async fn wait_for_decoder(
        &self,
        source: &mut SpanSource,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        if self.road != Road::Typed {
            return Ok(());
        }
        let version = source.version().clone();
        let ready = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            ready = source.meanwhile(self.fetching.decoder(&version)) => ready?,
        };
        if ready.is_none() {
            warn!(%version, "no decoder: events of this version cannot be sent");
        }
        Ok(())
    }

    /// Sends what `source` has of the span, until all of it is settled or `stop` is cancelled.
    /// Meanwhile `progress` tells what `note` makes of what the engine does.
    ///
    /// # Errors
    ///
    /// What waiting cannot mend.
    pub(crate) async fn send(
        &self,
        mut source: SpanSource,
        span: Range<i64>,
        stop: &CancellationToken,
        progress: &mut Progress,
        note: impl Fn(&mut Facts, &Status),
    ) -> Result<Sent, Error> {
        self.wait_for_decoder(&mut source, stop).await?;
        let directory = Throwaway::empty("ev-handler-replay-")?;
        let store = Arc::new(SqliteStore::open(directory.path())?);
        let sink = self.outlet.id();
        let claim = Claim {
            sink: sink.clone(),
            cluster: self.cluster.clone(),
            flavour: Some(self.flavour),
            start_time: Timestamp::new(span.start, 0),
        };
        let snapshot = store.open_sink(&claim)?;
        let engine = Engine::new(Parts {
            source: Box::new(source),
            decoders: Arc::new(self.fetching.registry.clone()),
            unstructured: Arc::new(UnstructuredDecoder::new()),
            sink: self.outlet.sink(),
            store: store.clone(),
            env: self.env.clone(),
            sink_id: sink.clone(),
            snapshot,
            road: self.road,
            exec: Exec::Threads,
            config: ev_pipeline::Config {
                exit_on_last_event: true,
                recordings: false,
                // There are no more than the span has, and whoever asked counts them.
                max_parked_events: u64::MAX,
                max_parked_bytes: u64::MAX,
                ..self.config.clone()
            },
        })?;
        // What the sink sends again by itself, at once and on a new connection, the engine never
        // hears of.
        let before = self.outlet.possible_duplicate_events();
        let inspector = engine.inspector();
        let run = engine.run(stop.clone());
        tokio::pin!(run);
        let summary = loop {
            let telling = async {
                progress.due().await;
                if let Some(status) = inspector.status().await {
                    note(&mut progress.facts, &status);
                }
                progress.tell();
            };
            tokio::select! {
                biased;
                summary = &mut run => break summary?,
                () = telling => {}
            }
        };
        let by_sink = self.outlet.possible_duplicate_events().saturating_sub(before);
        let possible_duplicates = summary.unknown_outcomes + by_sink;
        let lanes = store.open_sink(&claim)?.lanes;
        // Slices are read one behind the other: what is not settled is in the oldest that is not
        // done, or was never begun.
        let open = lanes.iter().filter(|lane| !lane.done).filter_map(|lane| second_of(&lane.token));
        let last = lanes.iter().filter_map(|lane| second_of(&lane.token)).max();
        let reached = open.min().or(last).unwrap_or(span.start);
        let complete = lanes.iter().all(|lane| lane.done) && reached >= span.end;
        let parked = Parked { store, sink, _directory: directory };
        Ok(Sent { summary, reached, complete, possible_duplicates, parked })
    }
}

impl Parked {
    /// Shows all of them to `look`, in the order in which they were parked.
    ///
    /// # Errors
    ///
    /// When they cannot be read, and those of `look`.
    pub(crate) fn for_each(
        &self,
        mut look: impl FnMut(ParkedEvent) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut after: Option<ParkedId> = None;
        loop {
            let query = ParkedQuery { after, limit: CHUNK_EVENTS, max_bytes: CHUNK_BYTES };
            let chunk = self.store.parked(&self.sink, &query)?;
            let Some(last) = chunk.last() else { return Ok(()) };
            after = Some(last.id);
            chunk.into_iter().try_for_each(&mut look)?;
        }
    }
}

/// What people know a parked event by: its uid, or the digest of its id.
pub(crate) fn name_of(form: Form, bytes: &[u8], digest: &EventDigest) -> String {
    let uid = unstructured::metadata(form, bytes).map(|peeked| peeked.uid).unwrap_or_default();
    match uid.is_empty() {
        true => format!("{digest:?}"),
        false => String::from_utf8_lossy(uid.of(bytes)).into_owned(),
    }
}
