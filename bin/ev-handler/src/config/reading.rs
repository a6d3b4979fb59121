//! From the process's own surroundings to settings: one way for all commands.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::ArgMatches;
use ev_config::{ConfigError, Environment, Loaded, LogFormat, Settings, Whereabouts};
use tracing::warn;

use crate::audit::Auditor;
use crate::chain::Chain;
use crate::exit::Exit;
use crate::logging::{self, Level};
use crate::start::Error;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("failed to tell the working directory")]
    Cwd(#[source] std::io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Unusable {
    /// How a process that needs settings is to end.
    fn exit(&self) -> Exit {
        match self {
            Self::Config(error) if !error.may_pass() => Exit::Config,
            _ => Exit::Failure,
        }
    }

    /// Tells it, and how the process is to end.
    #[expect(clippy::print_stderr, reason = "there is no log before the settings are read")]
    fn tell(&self) -> Exit {
        eprintln!("error: {}", Chain(self));
        self.exit()
    }
}

/// Reads the settings that `start` would have, of a command that takes every one of its flags.
pub(crate) fn read(matches: &ArgMatches) -> Result<Loaded, Unusable> {
    read_with(matches, ev_config::load)
}

/// As [`read`]; what is wrong is told.
pub(crate) fn load(matches: &ArgMatches) -> Result<Loaded, Exit> {
    read(matches).map_err(|error| error.tell())
}

/// As [`load`], for a command that judges the settings: what is worth another start, as an identity
/// file that is not written yet, is wrong until then.
pub(crate) fn load_to_judge(matches: &ArgMatches) -> Result<Loaded, Exit> {
    read(matches).map_err(|error| match (error.tell(), error) {
        (_, Unusable::Config(_)) => Exit::Config,
        (exit, Unusable::Cwd(_)) => exit,
    })
}

/// As [`load`], for a command that takes `--config` and `--debug` of the flags.
pub(crate) fn load_beside(matches: &ArgMatches) -> Result<Loaded, Exit> {
    read_with(matches, ev_config::load_beside).map_err(|error| error.tell())
}

type Load = fn(&ArgMatches, &Environment<'_>, &Path) -> Result<Loaded, ConfigError>;

fn read_with(matches: &ArgMatches, load: Load) -> Result<Loaded, Unusable> {
    let cwd = std::env::current_dir().map_err(Unusable::Cwd)?;
    Ok(load(matches, &environment, &cwd)?)
}

fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Begins the log as the settings say, with what is odd about them.
pub(crate) fn begin_log(loaded: &Loaded) -> Level {
    begin(loaded, None)
}

/// The same for a command that does what an agent is to be told of: until the auditor is dropped.
///
/// # Errors
///
/// When nobody can be told.
pub(crate) fn begin_audited_log(loaded: &Loaded) -> Result<(Level, Option<Auditor>), Error> {
    match Auditor::begin(&loaded.settings) {
        Ok(mut auditor) => Ok((begin(loaded, auditor.as_mut()), auditor)),
        Err(error) => {
            begin(loaded, None);
            Err(error)
        }
    }
}

fn begin(loaded: &Loaded, mut auditor: Option<&mut Auditor>) -> Level {
    let Settings { log_format, debug, .. } = loaded.settings;
    let level = logging::init(log_format, debug, auditor.as_deref_mut().map(Auditor::layer));
    for finding in &loaded.warnings {
        warn!(setting = finding.setting, "{finding}");
    }
    if let Some(auditor) = auditor {
        auditor.tell();
    }
    level
}

/// The settings for a command that may do without, as it can be told where the state is.
pub(crate) struct Beside {
    loaded: Result<Loaded, Unusable>,
    /// Where there are none: whether flags or the environment say so.
    debug: bool,
    /// Where there are none: what is known of the handler all the same.
    whereabouts: Whereabouts,
}

impl Beside {
    /// Reads them. `matches` are those of a command that takes `--config` and `--debug`, or has
    /// commands that do.
    pub(crate) fn read(mut matches: &ArgMatches) -> Self {
        while let Some((_, inner)) = matches.subcommand() {
            matches = inner;
        }
        let loaded = read_with(matches, ev_config::load_beside);
        let whereabouts = match (&loaded, std::env::current_dir()) {
            (Err(_), Ok(cwd)) => ev_config::whereabouts(matches, &environment, &cwd),
            _ => Whereabouts::default(),
        };
        Self { loaded, debug: ev_config::is_debug(matches, &environment), whereabouts }
    }

    /// Begins the log.
    pub(crate) fn begin_log(&self) {
        match &self.loaded {
            Ok(loaded) => begin_log(loaded),
            Err(_) => logging::init(LogFormat::Text, self.debug, None),
        };
    }

    /// The same for a command that does what an agent is to be told of, where the settings name
    /// one: until the auditor is dropped.
    ///
    /// # Errors
    ///
    /// When nobody can be told.
    pub(crate) fn begin_audited_log(&self) -> Result<Option<Auditor>, Error> {
        match &self.loaded {
            Ok(loaded) => begin_audited_log(loaded).map(|(_, auditor)| auditor),
            Err(_) => {
                self.begin_log();
                Ok(None)
            }
        }
    }

    /// The storage directory, also where another setting is wrong: a handler that was started
    /// before that runs on.
    ///
    /// # Errors
    ///
    /// As [`Beside::settings`].
    pub(crate) fn storage(&self) -> Result<PathBuf> {
        match (&self.loaded, &self.whereabouts.storage) {
            (Err(_), Some(storage)) => Ok(storage.clone()),
            _ => Ok(self.settings()?.storage.clone()),
        }
    }

    /// Where the handler can be asked, if that is set.
    pub(crate) fn diag_addr(&self) -> Option<SocketAddr> {
        match &self.loaded {
            Ok(loaded) => loaded.settings.diag_addr,
            Err(_) => self.whereabouts.diag_addr,
        }
    }

    /// The settings.
    ///
    /// # Errors
    ///
    /// Why there are none, and what can be given instead.
    pub(crate) fn settings(&self) -> Result<&Settings> {
        self.loaded.as_ref().map(|loaded| &loaded.settings).map_err(|error| {
            anyhow!(
                "the storage directory is not known, as the configuration cannot be used; name \
                 the directory with `--storage DIR`, or the file with `--config FILE`: {}",
                Chain(error)
            )
        })
    }

    /// None, for tests of commands that are told the place.
    #[cfg(test)]
    pub(crate) fn nothing() -> Self {
        let loaded = Err(Unusable::Cwd(std::io::ErrorKind::NotFound.into()));
        Self { loaded, debug: false, whereabouts: Whereabouts::default() }
    }
}
