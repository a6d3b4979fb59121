//! What commands share that read Auth's log beside a running handler.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use ev_config::Settings;
use ev_core::{Env, Source as _, SourceError, Survey};
use ev_source::TypedSource;

use crate::start::{Error, parts};

/// How long Auth is waited for at the beginning. Later it is waited for as long as it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The settings that `start` would have.
pub(crate) fn settings(configs: &[OsString]) -> anyhow::Result<Settings> {
    let mut args = vec![OsString::from("start")];
    for config in configs {
        args.extend(["--config".into(), config.clone()]);
    }
    let cwd = std::env::current_dir()?;
    let env = |name: &str| std::env::var_os(name);
    let matches = ev_config::start_command().try_get_matches_from(args)?;
    Ok(ev_config::load(&matches, &env, &cwd)?.settings)
}

/// A source that has reached Auth.
///
/// # Errors
///
/// What only an operator can mend, and that Auth did not answer within a minute.
pub(crate) async fn connect(
    settings: &Settings,
    env: &Arc<dyn Env>,
) -> Result<(TypedSource, Survey), Error> {
    let mut source = parts::source(settings, Arc::clone(env))?;
    let survey = tokio::select! {
        survey = source.survey() => survey?,
        () = env.sleep(PATIENCE) => {
            return Err(refused(format!("auth did not answer within {} s", PATIENCE.as_secs())));
        }
    };
    Ok((source, survey))
}

/// Why nothing can be done, although the settings are right.
pub(crate) fn refused(message: String) -> Error {
    Error::Source(SourceError::Operator { message, source: None })
}

/// A reader of the report that has gone away has not been told.
pub(crate) fn told(result: std::io::Result<()>) -> Result<(), Error> {
    result.map_err(|error| refused(format!("failed to print the report: {error}")))
}
