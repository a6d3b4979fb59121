//! The highest Auth version seen: noted at once, kept in the state by the registry's task.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use ev_core::{AuthVersion, StateStore};
use tracing::warn;

use super::Inner;
use super::attempt::blocking;
use crate::Error;
use crate::version::compare_versions;

/// The highest version of this and all earlier runs.
#[derive(Debug, Default)]
pub(super) struct Highest {
    seen: Option<AuthVersion>,
    /// When to write it to the state; `None` when it is written.
    write_at: Option<Duration>,
}

impl Highest {
    /// What the state keeps.
    pub(super) fn load(store: Option<&dyn StateStore>) -> Result<Self, Error> {
        let seen = match store {
            // An unreadable state must not pass for one that has seen nothing.
            Some(store) => store.highest_version()?,
            None => None,
        };
        Ok(Self { seen, write_at: None })
    }

    pub(super) fn seen(&self) -> Option<&AuthVersion> {
        self.seen.as_ref()
    }

    /// How the version compares with the highest so far (a first one is greater), which it becomes
    /// if it is greater.
    pub(super) fn note(&mut self, version: &AuthVersion) -> Ordering {
        let order =
            self.seen.as_ref().map_or(Ordering::Greater, |seen| compare_versions(version, seen));
        if order == Ordering::Greater {
            self.seen = Some(version.clone());
            self.write_at = Some(Duration::ZERO);
        }
        order
    }

    /// When it is to be written.
    pub(super) fn write_at(&self) -> Option<Duration> {
        self.write_at
    }
}

impl Inner {
    /// Writes the highest version to the state if that is due. A crash before it forgets a version
    /// that Auth names again at the next connection.
    pub(super) async fn keep_highest(&self, now: Duration) {
        let Some(store) = self.store.as_ref().map(Arc::clone) else { return };
        let version = {
            let mut shared = self.lock();
            let due = shared.highest.write_at.take_if(|at| *at <= now);
            match due.and(shared.highest.seen.clone()) {
                Some(version) => version,
                None => return,
            }
        };
        let error = match blocking(move || store.put_highest_version(&version)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => ev_core::chain(&error),
            Err(error) => error.message,
        };
        warn!(error, "highest Auth version cannot be kept");
        let again = now.saturating_add(self.settings.backoff.cap);
        self.lock().highest.write_at.get_or_insert(again);
    }
}
