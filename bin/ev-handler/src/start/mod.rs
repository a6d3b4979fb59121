//! `ev-handler start`: from settings to a running engine, and its orderly end.

pub(crate) mod decoders;
mod overflow;
pub(crate) mod parts;
pub(crate) mod receiver;
mod tell;

use std::future::Future;
use std::sync::Arc;

use clap::ArgMatches;
use ev_config::Settings;
use ev_core::{ArtifactSource, Claim, Env, SinkId, Source, StateStore};
use ev_modules::Trust;
use ev_pipeline::{Engine, Exec, Parts, Summary, TokioEnv};
use ev_sink_fluentd::{FluentdSink, Stats};
use ev_source::TypedSource;
use ev_state::SqliteStore;
use ev_unstructured::UnstructuredDecoder;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::chain::Chain;
use crate::exit::Exit;
use crate::{config, logging, signals, takeover};

use self::receiver::Beside;

/// The sink's name in the state.
pub(crate) const SINK: &str = "fluentd";

/// Why a start failed or a run ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting names something that cannot be used.
    #[error("{setting}")]
    Setting {
        /// The setting and what is wrong, as far as the cause does not tell.
        setting: String,
        /// The cause.
        #[source]
        source: ev_core::BoxError,
    },
    /// Credentials have expired.
    #[error("{whose}: credentials have expired: {advice}")]
    Expired {
        /// The settings that name them.
        whose: &'static str,
        /// What to do.
        advice: &'static str,
        /// Which, and when.
        #[source]
        source: ev_core::BoxError,
    },
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] ev_core::StateError),
    /// The source cannot be used.
    #[error(transparent)]
    Source(#[from] ev_core::SourceError),
    /// The run ended with an error.
    #[error(transparent)]
    Engine(#[from] ev_pipeline::Error),
    /// A program error: a task died.
    #[error("a task ended unexpectedly")]
    Task(#[source] tokio::task::JoinError),
}

impl Error {
    pub(crate) fn setting(
        setting: impl Into<String>,
        source: impl Into<ev_core::BoxError>,
    ) -> Self {
        Self::Setting { setting: setting.into(), source: source.into() }
    }
}

/// Reads the settings, starts logging, and runs until a signal.
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    let loaded = match config::load(matches) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    logging::init(loaded.settings.log_format, loaded.settings.debug);
    for finding in &loaded.warnings {
        warn!(setting = finding.setting, "{finding}");
    }
    let result = block_on(until_signal(loaded.settings));
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            error!(error = %Chain(&error), "terminating with a fatal error");
            match error {
                Error::Setting { .. } => Exit::Config,
                _ => Exit::Failure,
            }
        }
    }
}

/// Runs a command's work on a runtime of its own.
///
/// # Errors
///
/// Those of `work`, or that there is no runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::setting("failed to start the runtime", error))?;
    let result = runtime.block_on(work);
    // Blocking work that hangs (a dead network file system) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

async fn until_signal(settings: Settings) -> Result<(), Error> {
    let stop = CancellationToken::new();
    let run = start(settings, stop.clone());
    match signals::until_signal(&stop, run).await {
        Ok(Some(result)) => result.map(|_| ()),
        // Like a crash: nothing is lost, what is under way is sent again after the next start.
        Ok(None) => Ok(()),
        Err(error) => Err(Error::setting("failed to catch signals", error)),
    }
}

/// Builds everything, then moves events until `stop` is cancelled. Returns what was done; all
/// zeros if it was stopped before Auth was reached.
///
/// Whatever an operator has to mend fails here before any event flows. Peers that do not answer
/// are waited for.
///
/// # Errors
///
/// See [`Error`].
pub async fn start(settings: Settings, stop: CancellationToken) -> Result<Summary, Error> {
    let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
    tell::tell(&settings);
    let trust = decoders::trust(&settings.decoder)?;
    let place = decoders::place(&settings.decoder, env.clone())?;
    let sink = Arc::new(parts::sink(&settings.fluentd, env.clone())?);
    let store = Arc::new(SqliteStore::open(&settings.storage)?);
    let source = parts::source(&settings, env.clone())?;

    let beside = Beside::start(&sink, &settings.fluentd, &env);
    let ready = Ready { trust, place, sink, store, source, env };
    let result = forward(&settings, ready, stop).await;
    let ended = beside.end().await;
    let summary = result?;
    ended?;
    Ok(summary)
}

/// What could be made without any peer.
struct Ready {
    trust: Trust,
    place: Option<Arc<dyn ArtifactSource>>,
    sink: Arc<FluentdSink>,
    store: Arc<SqliteStore>,
    source: TypedSource,
    env: Arc<dyn Env>,
}

/// From the first word with Auth to the end of the engine.
async fn forward(
    settings: &Settings,
    ready: Ready,
    stop: CancellationToken,
) -> Result<Summary, Error> {
    let Ready { trust, place, sink, store, mut source, env } = ready;
    let survey = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Summary::default()),
        survey = source.survey() => survey?,
    };
    let flavour = parts::flavour(settings);
    let sink_id = SinkId(SINK.to_owned());
    let road = parts::road(settings);
    let needs = takeover::Needs {
        settings,
        store: &store,
        sink: sink_id.clone(),
        survey: &survey,
        flavour,
        road,
        env: env.clone(),
    };
    let Some(start_time) = takeover::prepare(&needs, &stop).await? else {
        return Ok(Summary::default());
    };
    let claim =
        Claim { sink: sink_id.clone(), cluster: survey.cluster.clone(), flavour, start_time };
    let snapshot = store.open_sink(&claim)?;
    takeover::check_start_time(settings, snapshot.start_time)?;
    let store: Arc<dyn StateStore> = store;
    info!(
        cluster = survey.cluster,
        version = %survey.version,
        start_time = %snapshot.start_time,
        flavour = %snapshot.flavour,
        lanes = snapshot.lanes.len(),
        parked = snapshot.totals.parked,
        "state is open"
    );

    let registry = decoders::registry(&decoders::Needs {
        settings,
        trust,
        flavour: snapshot.flavour,
        seen: snapshot.seen_version.clone(),
        place,
        artifacts: Arc::new(source.artifacts()),
        store: Some(store.clone()),
        env: env.clone(),
    })?;
    let mut config = parts::engine(settings);
    if settings.ingest.export_parked {
        let files = overflow::Files::new(&settings.storage, sink_id.clone(), env.clone());
        config.overflow = Some(Arc::new(files));
    }
    let engine = Engine::new(Parts {
        source: Box::new(source),
        decoders: Arc::new(registry.clone()),
        unstructured: Arc::new(UnstructuredDecoder::new()),
        sink: sink.clone(),
        store,
        env,
        sink_id,
        snapshot,
        road,
        exec: Exec::Threads,
        config,
    })?;

    // The registry lives as long as the engine and is waited for.
    let registry_stop = stop.child_token();
    let fetching = tokio::spawn(registry.run(registry_stop.clone()));
    let result = engine.run(stop).await;
    registry_stop.cancel();
    fetching.await.map_err(Error::Task)?;
    let summary = result?;
    log_summary(&summary, &sink.stats());
    Ok(summary)
}

fn log_summary(summary: &Summary, sent: &Stats) {
    let totals = &summary.totals;
    // What the sink sends again by itself, at once and on a new connection, the engine never hears
    // of.
    let possible_duplicates = summary.unknown_outcomes + sent.possible_duplicate_events;
    info!(
        read = summary.read,
        repeated = summary.repeated,
        passed = summary.passed,
        sent = summary.sent,
        retries = summary.retries,
        unknown_outcomes = summary.unknown_outcomes,
        possible_duplicates,
        commits = summary.commits,
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
