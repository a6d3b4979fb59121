//! Which state is meant.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use ev_config::Settings;
use ev_core::StateError;
use ev_state::{SqliteStore, StateReader};

/// Where the state is.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Place {
    /// Storage directory of the handler; without it that of the configuration (`--config`, and the
    /// variables that `start` reads)
    #[arg(long, value_name = "DIR")]
    pub(crate) storage: Option<PathBuf>,
}

impl Place {
    /// The storage directory.
    pub(crate) fn storage(&self, configs: &[OsString]) -> Result<PathBuf> {
        if let Some(storage) = &self.storage {
            return Ok(storage.clone());
        }
        Ok(Self::settings(configs)?.storage)
    }

    /// The settings that `start` would have.
    pub(crate) fn settings(configs: &[OsString]) -> Result<Settings> {
        let mut args = vec![OsString::from("start")];
        for config in configs {
            args.extend(["--config".into(), config.clone()]);
        }
        let cwd = std::env::current_dir().context("failed to tell the working directory")?;
        let env = |name: &str| std::env::var_os(name);
        let matches = ev_config::start_command().try_get_matches_from(args)?;
        let loaded = ev_config::load(&matches, &env, &cwd).context(
            "the storage directory is not known, as the configuration cannot be used; name the \
             directory with `--storage DIR`, or the file with `--config FILE`",
        )?;
        Ok(loaded.settings)
    }

    /// The state, to be looked at beside a running handler.
    pub(crate) fn reader(&self, configs: &[OsString]) -> Result<(PathBuf, StateReader)> {
        let storage = self.storage(configs)?;
        let reader = StateReader::open(&storage)?;
        Ok((storage, reader))
    }

    /// The state, for us alone.
    pub(crate) fn store(&self, configs: &[OsString]) -> Result<(PathBuf, SqliteStore)> {
        let storage = self.storage(configs)?;
        let store = SqliteStore::open_existing(&storage).map_err(|error| match error {
            StateError::InUse { .. } => anyhow::anyhow!(
                "{error}; stop the handler first, it goes on where it stood when it is started \
                 again (`list`, `show` and `export` work while it runs)"
            ),
            other => other.into(),
        })?;
        Ok((storage, store))
    }
}
