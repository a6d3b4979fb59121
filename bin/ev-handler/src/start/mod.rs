//! `ev-handler start`: from settings to a running engine, and its orderly end.

pub mod control;
pub(crate) mod decoders;
pub(crate) mod dry;
pub(crate) mod flavour;
pub(crate) mod forward;
pub(crate) mod known;
pub(crate) mod locking;
pub(crate) mod outlet;
mod overflow;
pub(crate) mod parts;
pub(crate) mod receiver;
pub(crate) mod roads;
pub(crate) mod status;
pub(crate) mod steward;
mod tell;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::ArgMatches;
use ev_config::{Loaded, Settings};
use ev_core::{Env, SinkId};
use ev_diag::Server;
use ev_pipeline::{Summary, TokioEnv};
use ev_state::SqliteStore;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::chain::Chain;
use crate::exit::Exit;
use crate::{config, logging, signals, storage};

use self::control::{Control, Reread};
use self::dry::{DrySink, Throwaway};
use self::forward::{Begins, Done, Ready, Taker};
use self::known::Known;
use self::locking::Locking;
use self::outlet::Outlet;
use self::receiver::Beside;
use self::status::{Gatherer, Notify, Sources, Turning};
use self::steward::{Charge, Steward};

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
    /// The machine does not give what is needed, whatever the settings say.
    #[error("{what}")]
    System {
        /// What cannot be had.
        what: String,
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

    pub(crate) fn system(what: impl Into<String>, source: impl Into<ev_core::BoxError>) -> Self {
        Self::System { what: what.into(), source: source.into() }
    }
}

/// Reads the settings, starts logging, and runs until a signal.
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    let loaded = match config::load(matches) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    // The auditor sends what is left when it is dropped, and that is the last that is done.
    let result = config::begin_audited_log(&loaded).and_then(|(level, _auditor)| {
        let reread = reread(matches.clone(), loaded.settings.clone(), level);
        block_on(until_signal(loaded.settings.clone(), reread))
    });
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
        .map_err(|error| Error::system("failed to start the runtime", error))?;
    let result = runtime.block_on(work);
    // Blocking work that hangs (a dead network file system) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Reads the settings again: the level of the log is taken from them, and what else has changed is
/// told.
fn reread(matches: ArgMatches, began_with: Settings, level: logging::Level) -> Reread {
    Arc::new(move || match config::read(&matches) {
        Ok(Loaded { settings, .. }) => {
            level.set(settings.debug);
            info!(
                audit = "configuration.reloaded",
                debug = settings.debug,
                "the level of the log is as the settings say"
            );
            if (Settings { debug: began_with.debug, ..settings }) != began_with {
                warn!("other settings have changed since the start: they take effect at the next");
            }
        }
        Err(error) => {
            error!(
                audit = "configuration.refused",
                error = %Chain(&error),
                "the settings are wrong now, nothing of them is taken"
            );
        }
    })
}

async fn until_signal(settings: Settings, reread: Reread) -> Result<(), Error> {
    let stop = CancellationToken::new();
    let (controller, control) = Control::new();
    let run = start_with(settings, stop.clone(), control.with_reread(reread));
    match signals::obey(&stop, &controller, run).await {
        Ok(Some(result)) => result.map(|_| ()),
        // Like a crash: nothing is lost, what is under way is sent again after the next start.
        Ok(None) => Ok(()),
        Err(error) => Err(Error::system("failed to catch signals", error)),
    }
}

/// Builds everything, then moves events until `stop` is cancelled. Returns what was done for the
/// first receiver; all zeros if it was stopped before Auth was reached.
///
/// Whatever an operator has to mend fails here before any event flows. Peers that do not answer
/// are waited for.
///
/// # Errors
///
/// See [`Error`].
pub async fn start(settings: Settings, stop: CancellationToken) -> Result<Summary, Error> {
    let (_controller, control) = Control::new();
    start_with(settings, stop, control).await
}

/// As [`start`], and obeys what it is told through `control` meanwhile.
///
/// # Errors
///
/// See [`Error`].
pub async fn start_with(
    settings: Settings,
    stop: CancellationToken,
    control: Control,
) -> Result<Summary, Error> {
    start_in(settings, stop, control, Arc::new(TokioEnv::new())).await
}

/// As [`start_with`], by the clock of `env`.
///
/// # Errors
///
/// See [`Error`].
pub async fn start_in(
    mut settings: Settings,
    stop: CancellationToken,
    control: Control,
    env: Arc<dyn Env>,
) -> Result<Summary, Error> {
    tell::tell(&settings);
    storage::check(&settings.storage).map_err(|what| Error::setting("storage", what))?;
    let trust = decoders::trust(&settings.decoder)?;
    let place = decoders::place(&settings.decoder, env.clone())?;
    // Made in a dry run too, so that what is wrong with its settings shows.
    let outlets = Outlet::all(&settings, &env)?;
    let storage = settings.storage.clone();
    // Deleted when this is left, however.
    let throwaway = match settings.dry_run {
        true => Some(Throwaway::copy_of(&storage)?),
        false => None,
    };
    if let Some(copy) = &throwaway {
        settings.storage = copy.path().to_owned();
    }
    let store = Arc::new(SqliteStore::open(&settings.storage)?);
    let source = parts::source(&settings, env.clone())?;

    let dry = Arc::new(match settings.dry_run_print {
        true => DrySink::printing(stop.clone()),
        false => DrySink::silent(),
    });
    let takers = takers(&settings, &outlets, &dry);
    let first = takers.first().map_or_else(|| SinkId(SINK.to_owned()), |taker| taker.id.clone());
    let sends = if settings.dry_run { Vec::new() } else { outlets };
    let known = Known::default();
    let beside = Beside::start(&sends, &settings, &env);
    let gatherer = Arc::new(Gatherer::new(Sources {
        storage: storage.display().to_string(),
        address: settings.teleport.addr.clone(),
        dry_run: settings.dry_run,
        outlets: sends.clone(),
        watching: beside.watching(),
        store: Arc::clone(&store),
        credentials: source.credentials(),
        presence: source.presence(),
        known: known.clone(),
        recent: logging::recent(),
        stop: stop.clone(),
        env: env.clone(),
    }));
    // Before anything begins: an address that cannot be had is for the operator to mend.
    let server = settings.diag_addr.map(|address| serve(address, &gatherer)).transpose()?;
    let notify = Notify::from_environment();
    let charge = Charge {
        storage,
        outlets: sends.clone(),
        credentials: source.credentials(),
        gatherer: Arc::clone(&gatherer),
        notify: notify.clone(),
        env: env.clone(),
    };
    let steward = Steward::begin(charge, control);
    let locking = Locking::begin(&settings, source.locks(), &env);
    let turning = Turning::begin(&gatherer, &notify, status::foot(&settings));
    let ready = Ready {
        settings: &settings,
        trust,
        place,
        takers,
        store: Arc::clone(&store),
        source,
        begins: Begins::AsSet,
        locking: locking.as_ref(),
        env,
        known,
    };
    let result = ready.forward(&stop).await;
    drop(ready);
    let locked = match locking {
        Some(locking) => locking.end(&store, &first).await,
        None => Ok(()),
    };
    let ended = beside.end().await;
    let ended = steward.end().await.and(turning.end().await).and(locked).and(ended);
    drop(server);
    let done = result?;
    ended?;
    dry.printed()?;
    // Whoever waits for the end of a run looks for this line, whatever was done.
    for Done { id, summary } in &done {
        let by_sink = sends.iter().find(|outlet| outlet.name == id.0);
        log_summary(id, summary, by_sink.map_or(0, Outlet::possible_duplicate_events));
    }
    if done.is_empty() {
        log_summary(&first, &Summary::default(), 0);
    }
    Ok(done.into_iter().find(|done| done.id == first).map(|done| done.summary).unwrap_or_default())
}

/// Serves what is going on.
fn serve(address: SocketAddr, gatherer: &Arc<Gatherer>) -> Result<Server, Error> {
    let server =
        Server::start(address, Arc::clone(gatherer) as _).map_err(|error| match error {
            // Another process may give it up, so whoever starts this may try again.
            error if error.may_pass() => Error::system("`diag-addr` cannot be had now", error),
            error => Error::setting("diag-addr", error),
        })?;
    info!(address = %server.address(), "serving metrics, health and status");
    Ok(server)
}

/// Everybody that takes events; in a dry run nobody but its own sink in the place of the first.
fn takers(settings: &Settings, outlets: &[Outlet], dry: &Arc<DrySink>) -> Vec<Taker> {
    let taker = |outlet: &Outlet| Taker {
        id: outlet.id(),
        sink: if settings.dry_run { Arc::clone(dry) as _ } else { outlet.sink() },
        pace: outlet.pace,
    };
    let most = if settings.dry_run { 1 } else { outlets.len() };
    outlets.iter().take(most).map(taker).collect()
}

fn log_summary(sink: &SinkId, summary: &Summary, by_sink: u64) {
    let totals = &summary.totals;
    // What the sink sends again by itself, at once and on a new connection, the engine never hears
    // of.
    let possible_duplicates = summary.unknown_outcomes + by_sink;
    info!(
        sink = sink.0,
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
