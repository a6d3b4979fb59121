//! Which state is meant.

use std::path::PathBuf;

use anyhow::Result;
use ev_core::StateError;
use ev_state::{SqliteStore, StateReader};

use crate::config::Beside;

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
    pub(crate) fn storage(&self, beside: &Beside) -> Result<PathBuf> {
        match &self.storage {
            Some(storage) => Ok(storage.clone()),
            None => Ok(beside.settings()?.storage.clone()),
        }
    }

    /// The state, to be looked at beside a running handler.
    pub(crate) fn reader(&self, beside: &Beside) -> Result<(PathBuf, StateReader)> {
        let storage = self.storage(beside)?;
        let reader = StateReader::open(&storage)?;
        Ok((storage, reader))
    }

    /// The state, for us alone.
    pub(crate) fn store(&self, beside: &Beside) -> Result<(PathBuf, SqliteStore)> {
        let storage = self.storage(beside)?;
        let store = SqliteStore::open_existing(&storage).map_err(|error| match error {
            StateError::InUse { .. } => anyhow::anyhow!(
                "{error}; stop the handler first, it goes on where it stood when it is started \
                 again (`parked list`, `show` and `export` work while it runs)"
            ),
            other => other.into(),
        })?;
        Ok((storage, store))
    }
}
