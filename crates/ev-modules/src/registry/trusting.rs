//! The trust file, read again when it changes, and what becomes of artifacts in use by then.
//!
//! Each minute the file is read. When it says something else, the new text counts from then on, as
//! after a restart: each artifact in use is verified anew by its envelope (revocation, keys,
//! `min_created`; its bytes were compared with the digest when it was loaded), and one that does
//! not pass is put out of use at once. Its events wait, as for any artifact that is not there yet.
//!
//! A file that cannot be read, or says what cannot be meant, changes nothing but a line in the
//! log: an editor that is half way through must not stop the handler, and whoever wants nobody
//! trusted can say so with a file that is right. Nothing is verified anew while the file stays as
//! it is, so a key that expires meanwhile does not put out of use what it signed.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use super::Inner;
use super::attempt::blocking;
use super::entry::Usable;
use crate::hex;
use crate::refusal::Refusal;
use crate::trust::Trust;
use crate::verify::verify_envelope;

/// How often the trust file is looked at.
const INTERVAL: Duration = Duration::from_secs(60);

/// When the file is looked at next, and what was wrong with it.
pub(super) struct TrustWatch {
    next: Option<Duration>,
    /// Told once, not each minute.
    told: Option<String>,
}

impl TrustWatch {
    pub(super) fn new(trust: &Trust, now: Duration) -> Self {
        let next = trust.is_from_file().then(|| now.saturating_add(INTERVAL));
        Self { next, told: None }
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.next
    }
}

impl Inner {
    /// Whose signatures count now.
    pub(super) fn trust(&self) -> Arc<Trust> {
        // A trust is replaced whole, so a panic elsewhere does not spoil it.
        Arc::clone(&self.trust.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the trust file if it is time.
    pub(super) async fn read_trust(&self, watch: &mut TrustWatch, now: Duration) {
        if watch.next.take_if(|at| *at <= now).is_none() {
            return;
        }
        watch.next = Some(now.saturating_add(INTERVAL));
        let before = self.trust();
        let wrong = match blocking(move || before.read_again()).await {
            Ok(Ok(changed)) => {
                watch.told = None;
                if let Some(trust) = changed {
                    self.replace_trust(trust, now);
                }
                return;
            }
            Ok(Err(error)) => ev_core::chain(&error),
            Err(error) => error.message,
        };
        if watch.told.as_ref() != Some(&wrong) {
            warn!(error = wrong, "trust file cannot be used: what it said before still counts");
            watch.told = Some(wrong);
        }
    }

    fn replace_trust(&self, trust: Trust, now: Duration) {
        info!(audit = "trust.changed", keys = trust.keys().len(), "trust file has changed");
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(trust);
        for (version, entry) in self.lock().entries.iter_mut() {
            let refusal = entry.in_use().and_then(|in_use| self.refusal(in_use));
            if let (Some(refusal), Some(in_use)) = (&refusal, entry.in_use()) {
                warn!(
                    audit = "artifact.distrusted",
                    %version,
                    decoder = %in_use.decoder.identity(),
                    sha256 = hex::encode(&in_use.held.sha256),
                    reason = refusal.reason(),
                    error = %refusal,
                    "decoder artifact in use is trusted no longer"
                );
                self.counts.refused();
            }
            entry.trust_changed(now, refusal.is_some());
        }
        self.bump();
    }

    /// Why an artifact that was loaded may not be used now.
    pub(super) fn refusal(&self, usable: &Usable) -> Option<Refusal> {
        let expectation = self.expectation(&usable.held.of);
        verify_envelope(&usable.envelope, &self.trust(), &expectation).err()
    }
}
