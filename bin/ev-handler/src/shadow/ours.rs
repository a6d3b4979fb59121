//! Our side of a comparison: the engine that `start` runs, with a state that is thrown away and a
//! sink that sends nothing.

use std::sync::Arc;
use std::time::Duration;

use ev_config::Settings;
use ev_core::{Env, Flavour, SinkId, Timestamp};
use ev_pipeline::Summary;
use ev_shadow::{Comparison, ShadowSink};
use ev_state::SqliteStore;
use tokio_util::sync::CancellationToken;

use crate::start::dry::Throwaway;
use crate::start::forward::{Begins, Ready, Taker};
use crate::start::known::Known;
use crate::start::{Error, SINK, decoders, outlet, parts};
use crate::upstream::refused;

/// How long Auth is waited for at the beginning. Later it is waited for as long as it takes.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let directory = Throwaway::empty("ev-handler-shadow-")?;
    let mut settings = settings.clone();
    // What is compared does not end by itself, and leaves nothing behind.
    settings.ingest.exit_on_last_event = false;
    settings.ingest.export_parked = false;
    let ready = Ready {
        settings: &settings,
        trust: decoders::trust(&settings.decoder)?,
        place: decoders::place(&settings.decoder, Arc::clone(env))?,
        takers: vec![Taker {
            id: SinkId(SINK.to_owned()),
            sink: Arc::new(ShadowSink::new(Arc::clone(comparison))),
            pace: outlet::pace(&settings, SINK),
        }],
        store: Arc::new(SqliteStore::open(directory.path())?),
        source: parts::source(&settings, Arc::clone(env))?,
        begins: Begins::At {
            // As a handler that takes over the state of the one that is compared.
            flavour: parts::flavour(&settings).unwrap_or(Flavour::Struct),
            start_time: Timestamp::new(from, 0),
            patience: PATIENCE,
        },
        locking: None,
        env: Arc::clone(env),
        known: Known::default(),
    };
    let done = ready.forward(stop).await?.into_iter().next();
    let summary = done.map(|done| done.summary).unwrap_or_default();
    if !stop.is_cancelled() {
        return Err(refused("reading the log ended by itself".to_owned()));
    }
    Ok(summary)
}
