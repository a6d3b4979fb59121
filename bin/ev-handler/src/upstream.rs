//! What commands share that read Auth's log beside a running handler.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, FromArgMatches};
use ev_config::Settings;
use ev_core::{Env, Road, Source as _, SourceError, Survey};
use ev_source::SearchSource;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::chain::Chain;
use crate::exit::Exit;
use crate::start::roads::Wish;
use crate::start::{Error, block_on, parts};
use crate::{config, signals};

/// How long Auth is waited for at the beginning. Later it is waited for as long as it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments that name a stretch of the log.
pub(crate) trait Span: FromArgMatches {
    /// Its first second, and the first one behind it.
    fn seconds(&self) -> Range<i64>;
}

/// Runs a command over a span with the settings that `start` would have, in the process's own
/// terminal and on a runtime of its own.
#[expect(clippy::print_stderr, reason = "there is no log before the settings are read")]
pub(crate) fn span_command<A: Span>(
    matches: &ArgMatches,
    work: impl AsyncFnOnce(&Settings, &A) -> Exit,
) -> Exit {
    let args = match A::from_arg_matches(matches) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Failure;
        }
    };
    if args.seconds().is_empty() {
        eprintln!("error: `--from` must be before `--to`");
        return Exit::Failure;
    }
    let loaded = match config::load_beside(matches) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    config::begin_log(&loaded);
    let settings = loaded.settings;
    let done = block_on(async { Ok(work(&settings, &args).await) });
    done.unwrap_or_else(|error| {
        error!(error = %Chain(&error), "nothing was done");
        Exit::Failure
    })
}

/// A source that has reached Auth.
///
/// # Errors
///
/// What only an operator can mend, and that Auth did not answer within a minute.
pub(crate) async fn connect(
    settings: &Settings,
    env: &Arc<dyn Env>,
) -> Result<(SearchSource, Survey), Error> {
    let mut source = parts::source(settings, Arc::clone(env))?;
    let survey = tokio::select! {
        survey = source.survey() => survey?,
        () = env.sleep(PATIENCE) => {
            return Err(refused(format!("auth did not answer within {} s", PATIENCE.as_secs())));
        }
    };
    // How well its events can be decoded is for whoever decodes them.
    if Wish::of(settings, parts::flavour(settings)) == Wish::Best
        && !source.roads().offered().await?.typed
    {
        source.take_road(Road::Unstructured)?;
    }
    Ok((source, survey))
}

/// Does `work` until it is done or a signal comes: it is to end soon once the token is cancelled.
///
/// # Errors
///
/// Those of the work, and that signals cannot be caught.
pub(crate) async fn until_signal(
    work: impl AsyncFnOnce(&CancellationToken) -> Result<Exit, Error>,
) -> Result<Exit, Error> {
    let stop = CancellationToken::new();
    match signals::until_signal(&stop, work(&stop)).await {
        Ok(Some(result)) => result,
        // Like a crash. Nothing is said of what was under way.
        Ok(None) => Ok(Exit::Failure),
        Err(error) => Err(Error::system("failed to catch signals", error)),
    }
}

/// Why nothing can be done, although the settings are right.
pub(crate) fn refused(message: String) -> Error {
    Error::Source(SourceError::Operator { message, source: None })
}

/// A reader of the report that has gone away has not been told.
pub(crate) fn told(result: std::io::Result<()>) -> Result<(), Error> {
    result.map_err(|error| refused(format!("failed to print the report: {error}")))
}
