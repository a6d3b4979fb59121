//! `ev-handler replay`: sends a span of Auth's log again, on purpose.
//!
//! Works beside a running handler: it has a state of its own for as long as it takes, and of the
//! handler's state it reads the cluster and the JSON flavour and nothing else.

mod report;
pub(crate) mod send;
pub(crate) mod source;

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use clap::ArgMatches;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use ev_config::Settings;
use ev_core::{Env, Flavour, StateError};
use ev_pipeline::{Status, TokioEnv};
use ev_state::StateReader;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::report::Report;
use self::send::Sender;
use self::source::SpanSource;
use crate::chain::Chain;
use crate::exit::Exit;
use crate::logging;
use crate::progress::{Facts, Progress};
use crate::start::{Error, outlet, parts};
use crate::upstream::{self, Span, refused, span_command, told};

/// Send a span of the audit log again, on purpose; works while the handler runs
///
/// Every event whose time is at or behind `--from` and in front of `--to` is sent as `start` would
/// send it, with the same `uid`, whether or not it was sent before. The handler's resume points,
/// parked events, totals and ledger stay as they are. Session recordings are not sent again, only
/// the events that announce them.
///
/// A receiver that is down is waited for. SIGINT and SIGTERM end it in order, and it says up to
/// which time everything was sent.
///
/// Exit status: 0 when every event of the span was delivered or is left out by a setting; 1 when
/// some could not be, or it was stopped; 2 when it could not begin, as the state or Auth cannot be
/// read; 78 when the configuration is wrong.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Begin of the span, for instance `2026-01-31T00:00:00Z`; events of that second are in it
    #[arg(long, value_name = "TIME", value_parser = ev_config::parse_time)]
    from: i64,
    /// End of the span; events of that second are not in it. At most now
    #[arg(long, value_name = "TIME", value_parser = ev_config::parse_time)]
    to: i64,
    /// Only these event types, separated by commas, exact names; also those that
    /// `skip-event-types` leaves out
    #[arg(
        long,
        value_name = "TYPES",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    types: Vec<String>,
    /// Where to send, of the receivers that are set; the first of these names without it
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(outlet::NAMES))]
    sink: Option<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command in the process's own terminal.
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    span_command(matches, async |settings: &Settings, args: &Args| {
        let work = async |stop: &_| replay(settings, args, stop, &mut logging::stdout()).await;
        upstream::until_signal(work).await.unwrap_or_else(|error| {
            error!(error = %Chain(&error), "the span was not sent, or not all of it");
            match error {
                Error::Setting { .. } => Exit::Config,
                Error::Engine(_) | Error::Task(_) => Exit::Failure,
                _ => Exit::Unchecked,
            }
        })
    })
}

impl Span for Args {
    fn seconds(&self) -> Range<i64> {
        self.from..self.to
    }
}

/// Sends the span and prints what became of it.
///
/// # Errors
///
/// When it could not begin, or not go on.
async fn replay(
    settings: &Settings,
    args: &Args,
    stop: &CancellationToken,
    out: &mut dyn Write,
) -> Result<Exit, Error> {
    let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
    let now = env.now().seconds();
    if args.from > now {
        return Err(refused("the span lies in the future".to_owned()));
    }
    // The second that is passing now is not over.
    let span = args.from..args.to.min(now.saturating_add(1));
    let kept = kept(settings)?;
    let (mut source, survey) = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(refused("stopped before auth was reached".to_owned())),
        reached = upstream::connect(settings, &env) => reached?,
    };
    let flavour = match &kept {
        Some((cluster, _)) if *cluster != survey.cluster => {
            let theirs = &survey.cluster;
            return Err(refused(format!(
                "auth is cluster `{theirs}`, the state is of `{cluster}`"
            )));
        }
        Some((_, flavour)) => *flavour,
        None => parts::flavour(settings).unwrap_or(Flavour::Go),
    };
    let config = engine(settings, &args.types);
    let sink = outlet::chosen(settings, args.sink.as_deref())?;
    let artifacts = source.artifacts();
    let mut sender = Sender::start(settings, sink, config, &survey, flavour, artifacts, &env)?;
    tokio::select! {
        biased;
        () = stop.cancelled() => return Err(refused("stopped before a road was chosen".to_owned())),
        chosen = sender.choose_road(settings, &mut source, &survey.version) => chosen?,
    }
    info!(sink, types = ?args.types, "sending a span of the log again");
    let cluster = survey.cluster.clone();
    let source = Arc::new(Mutex::new(source));
    let source = SpanSource::new(source, survey, span.clone(), args.types.clone());
    let mut progress = Progress::begin("sending again", &env);
    let end = span.end;
    let note = |facts: &mut Facts, status: &Status| {
        facts.events = status.summary.sent;
        facts.position = status.position_seconds;
        facts.left_seconds = facts.position.map(|position| end.saturating_sub(position));
    };
    let sent = sender.send(source, span.clone(), stop, &mut progress, note).await;
    drop(progress);
    let ended = sender.end().await;
    let report = Report::new(args, span, cluster, &sent?)?;
    told(report.print(out))?;
    ended?;
    Ok(report.exit())
}

/// How the engine behaves: a type that was asked for is sent.
fn engine(settings: &Settings, types: &[String]) -> ev_pipeline::Config {
    let mut config = parts::engine(settings);
    let asked: BTreeSet<&String> = types.iter().collect();
    config.skip_event_types.retain(|skipped| !asked.contains(skipped));
    config
}

/// Cluster and flavour of the handler's state, if it has one.
fn kept(settings: &Settings) -> Result<Option<(String, Flavour)>, Error> {
    let reader = match StateReader::open(&settings.storage) {
        Ok(reader) => reader,
        Err(error) if is_absent(&error) => {
            warn!(storage = %settings.storage.display(), "no handler has a state here");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let kept = reader.identity()?;
    match (&kept, parts::flavour(settings)) {
        (Some((_, kept)), Some(asked)) if *kept != asked => {
            Err(Error::setting("json-flavour", format!("`{asked}`, but the state has `{kept}`")))
        }
        _ => Ok(kept),
    }
}

fn is_absent(error: &StateError) -> bool {
    let StateError::Storage { source: Some(cause), .. } = error else { return false };
    let cause = cause.downcast_ref::<std::io::Error>();
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
}
