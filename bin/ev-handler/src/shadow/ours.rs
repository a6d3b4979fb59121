//! Our side of a comparison: the engine that `start` runs, with a state that is thrown away and a
//! sink that sends nothing.

use std::sync::Arc;

use ev_config::Settings;
use ev_core::{Claim, Env, Flavour, SinkId, StateError, StateStore, Timestamp};
use ev_pipeline::{Config, Engine, Exec, Parts, Summary};
use ev_shadow::{Comparison, ShadowSink};
use ev_state::SqliteStore;
use ev_unstructured::UnstructuredDecoder;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::fetching::Fetching;
use crate::start::roads::{Chooser, Wish, choose};
use crate::start::{Error, SINK, parts};
use crate::upstream::{self, refused};

/// Reads the log from `from` on until `stop` is cancelled, and hands all of it to `comparison`.
///
/// # Errors
///
/// When Auth cannot be reached in the beginning, and what waiting cannot mend.
pub(super) async fn run(
    settings: &Settings,
    from: i64,
    comparison: &Arc<Comparison>,
    env: &Arc<dyn Env>,
    stop: &CancellationToken,
) -> Result<Summary, Error> {
    let (mut source, survey) = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Summary::default()),
        reached = upstream::connect(settings, env) => reached?,
    };
    // Every living version of the reference handler sends what Auth has put into a `Struct`.
    let flavour = parts::flavour(settings).unwrap_or(Flavour::Struct);
    let directory =
        tempfile::Builder::new().prefix("ev-handler-shadow-").tempdir().map_err(|error| {
            let place = std::env::temp_dir();
            let message = format!("failed to make a temporary directory in `{}`", place.display());
            StateError::Storage { message, source: Some(error.into()) }
        })?;
    let store = Arc::new(SqliteStore::open(directory.path())?);
    let sink_id = SinkId(SINK.to_owned());
    let claim = Claim {
        sink: sink_id.clone(),
        cluster: survey.cluster.clone(),
        flavour: Some(flavour),
        start_time: Timestamp::new(from, 0),
    };
    let snapshot = store.open_sink(&claim)?;
    let start = &snapshot.start_time;
    info!(cluster = survey.cluster, version = %survey.version, from = %start, %flavour, "reading the log to compare");
    let fetching = Fetching::start(settings, flavour, source.artifacts(), env)?;
    let chooser = Chooser {
        roads: source.roads(),
        decoders: Arc::new(fetching.registry.clone()),
        env: Arc::clone(env),
    };
    let road = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Summary::default()),
        road = choose(Wish::of(settings), &chooser, &mut source, &survey.version, &**env) => road?,
    };
    let engine = Engine::new(Parts {
        source: Box::new(source),
        decoders: Arc::new(fetching.registry.clone()),
        unstructured: Arc::new(UnstructuredDecoder::new()),
        sink: Arc::new(ShadowSink::new(Arc::clone(comparison))),
        store,
        env: Arc::clone(env),
        sink_id,
        snapshot,
        road,
        exec: Exec::Threads,
        config: Config { exit_on_last_event: false, tell_rates: false, ..parts::engine(settings) },
    })?;
    let summary = engine.run(stop.clone()).await;
    fetching.end().await?;
    let summary = summary?;
    if !stop.is_cancelled() {
        return Err(refused("reading the log ended by itself".to_owned()));
    }
    Ok(summary)
}
