//! Whether Auth is there, for whoever shows it.

use std::time::Duration;

use ev_core::AuthVersion;

use crate::living::Living;

/// Tells whether a [`crate::SearchSource`] that is in use elsewhere has a connection.
#[derive(Clone, Debug)]
pub struct AuthPresence(Living);

/// Why connections had to be made anew, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnects {
    /// Attempts that failed.
    pub failed: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Changed credentials.
    pub credentials: u64,
}

impl AuthPresence {
    pub(crate) fn new(living: Living) -> Self {
        Self(living)
    }

    /// The version that Auth reported on the living connection; `None` while there is none. Of
    /// several sources each must have one.
    pub fn version(&self) -> Option<AuthVersion> {
        self.0.up().map(|(_, version)| version).filter(|_| self.0.is_whole())
    }

    /// Why the last attempt to connect failed; `None` while there is a connection, and before the
    /// first attempt has ended.
    pub fn failure(&self) -> Option<String> {
        self.0.failure()
    }

    /// Since when there is no connection, or no answer came over the last one, by the monotonic
    /// clock; `None` while there is one, and before the first.
    pub fn lost_at(&self) -> Option<Duration> {
        self.0.lost_at()
    }

    /// Why the log cannot be read although there is a connection, and since when by the monotonic
    /// clock: Auth does not answer, or refuses.
    pub fn trouble(&self) -> Option<(Duration, String)> {
        self.0.trouble()
    }

    /// Why connections had to be made anew.
    pub fn reconnects(&self) -> Reconnects {
        self.0.reconnects()
    }
}
