//! A comparison from its beginning to its report.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ev_config::Settings;
use ev_core::Env;
use ev_pipeline::{Summary, TokioEnv};
use ev_shadow::{Bounds, Comparison, Rules};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::receiving::Receiving;
use super::report::{Ended, Report};
use super::teller::Teller;
use super::{Args, ours};
use crate::chain::Chain;
use crate::exit::Exit;
use crate::logging;
use crate::start::{Error, parts};

/// How often it is looked for what has waited long enough.
const TICK: Duration = Duration::from_secs(1);
/// How long a slow reader of the report is waited for once it is to end.
const GRACE: Duration = Duration::from_secs(5);

/// Compares until the end that the arguments name, or until `stop` is cancelled.
///
/// # Errors
///
/// When it could not begin.
pub(super) async fn run(
    settings: &Settings,
    args: &Args,
    stop: &CancellationToken,
) -> Result<Exit, Error> {
    let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
    let now = env.now().seconds();
    let from = args.from.unwrap_or(now);
    let length = args.length.map(|length| i64::try_from(length.as_secs()).unwrap_or(i64::MAX));
    let to = args.to.or_else(|| length.map(|length| now.saturating_add(length.max(1))));
    if to.is_some_and(|to| to <= from.max(now)) {
        return Err(Error::setting("--to", "there is nothing to compare before that time"));
    }
    let comparison = Arc::new(comparison(settings, args, from, to, &env));
    // From here on the other handler is served, whatever becomes of the rest.
    let receiving = Receiving::start(settings, args, &comparison, &env)?;
    let mut teller = Teller::new(logging::stdout(), args.json, env.monotonic(), logging::foot());

    let reading = stop.child_token();
    let mut ours = pin!(ours::run(settings, from, &comparison, &env, &reading));
    let mut summary: Option<Result<Summary, Error>> = None;
    // Behind its end, what is open has its patience.
    let last = to.map(|to| to.saturating_add(seconds(args.patience.max(args.session_patience))));
    while summary.is_none() {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            ended = &mut ours => summary = Some(ended),
            () = env.sleep(TICK) => {}
        }
        comparison.expire();
        teller.tell(&comparison, env.monotonic());
        let now = env.now().seconds();
        let is_over = to.is_some_and(|to| now >= to) && comparison.waiting() == 0;
        if is_over || last.is_some_and(|last| now >= last) {
            break;
        }
    }
    reading.cancel();
    let summary = match summary {
        Some(summary) => summary,
        None => ours.await,
    };
    comparison.expire();
    teller.tell(&comparison, env.monotonic());
    let ours = match summary {
        Ok(summary) => Some(summary),
        Err(error @ Error::Setting { .. }) => return Err(error),
        Err(error) => {
            error!(error = %Chain(&error), "our side cannot be read any more");
            None
        }
    };
    let report = Report::new(Ended {
        from,
        to,
        at: env.now(),
        news: comparison.news(),
        untold: teller.untold,
        ours,
        receiver: receiving.counts.stats(),
    });
    let mut text = Vec::new();
    let printed = report.print(args.json, &mut text);
    let told = tokio::select! {
        told = teller.end(text) => told.and(printed),
        // Nobody is obliged to read.
        () = async { stop.cancelled().await; env.sleep(GRACE).await } => {
            Err(std::io::ErrorKind::TimedOut.into())
        }
    };
    if args.forward && !stop.is_cancelled() {
        info!(
            "the comparison is over; requests are still passed on to Fluentd until this is stopped"
        );
        stop.cancelled().await;
    }
    receiving.end().await?;
    match told {
        Ok(()) => Ok(report.exit()),
        Err(error) => {
            error!(%error, "the report could not be printed");
            Ok(Exit::Failure)
        }
    }
}

fn comparison(
    settings: &Settings,
    args: &Args,
    from: i64,
    to: Option<i64>,
    env: &Arc<dyn Env>,
) -> Comparison {
    let ingest = &settings.ingest;
    let set = |list: &[String]| list.iter().cloned().collect();
    let rules = Rules {
        from,
        to,
        types: set(&ingest.types),
        skip_event_types: set(&ingest.skip_event_types),
        skip_session_types: set(&ingest.skip_session_types),
        recordings: parts::engine(settings).reads_recordings(),
        show_values: args.show_values,
    };
    let bounds = Bounds {
        patience: args.patience,
        recording_patience: args.session_patience,
        ..Bounds::default()
    };
    Comparison::new(rules, bounds, Arc::clone(env))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
