//! Whether Auth is there, for whoever shows it.

use ev_core::AuthVersion;

use crate::link::Shared;

/// Tells whether a [`crate::SearchSource`] that is in use elsewhere has a connection.
#[derive(Clone, Debug)]
pub struct AuthPresence(Shared);

impl AuthPresence {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(shared)
    }

    /// The version that Auth reported on the living connection; `None` while there is none.
    pub fn version(&self) -> Option<AuthVersion> {
        self.0.up().map(|(_, version)| version)
    }
}
