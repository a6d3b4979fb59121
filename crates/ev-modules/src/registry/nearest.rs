//! The artifact of another version, where the policy allows it: the nearest newer one of the same
//! major that some place has.
//!
//! Whoever controls a place can withhold the exact artifact, and so choose among the newer ones of
//! the same major that are signed. That is what an operator accepts with the policy; nothing else
//! is taken on the word of a place: the artifact that comes must be signed for the version that was
//! chosen, and passes every other check too.

use ev_core::AuthVersion;
use tracing::warn;

use super::VersionPolicy;
use super::attempt::{Attempt, Found};
use super::entry::{Held, Usable};
use crate::envelope::Claims;
use crate::hex;
use crate::version::{compare_versions, is_newer_in_major};

/// Most fetches of an attempt. A folder need not hold anything that this program can use, so that
/// the next one is looked at; a place that lists many such must not keep it busy.
const MAX_TRIES: usize = 4;

impl Attempt<'_> {
    /// Asks for the nearest newer version that a place lists, and when there is nothing usable of
    /// it, for the next.
    pub(super) async fn nearest(&self, held: Option<&Held>) -> Found {
        if self.inner.settings.version_policy == VersionPolicy::Exact {
            return Found::NotOffered;
        }
        let (mut refused, mut unreachable) = (false, false);
        let mut candidates = Vec::new();
        for (place, source) in self.inner.sources.iter().enumerate() {
            match self.in_time(source.as_ref(), source.versions()).await {
                Some(Some(listed)) => {
                    let newer = listed.into_iter().filter(|of| is_newer_in_major(of, self.version));
                    candidates.extend(newer.map(|of| (of, place)));
                }
                Some(None) => {}
                None => unreachable = true,
            }
        }
        candidates.sort_by(|(a, place_a), (b, place_b)| {
            compare_versions(a, b).then_with(|| a.cmp(b)).then_with(|| place_a.cmp(place_b))
        });
        candidates.dedup();
        for (of, place) in candidates.into_iter().take(MAX_TRIES) {
            match self.ask(self.inner.sources[place].as_ref(), &of, held).await {
                Found::NotOffered => {}
                Found::Refused => refused = true,
                Found::Unreachable => unreachable = true,
                found => return found,
            }
        }
        match (refused, unreachable) {
            (true, _) => Found::Refused,
            (false, true) => Found::Unreachable,
            (false, false) => Found::NotOffered,
        }
    }

    /// Which version an artifact that was kept for this one must be of: this one, or where the
    /// policy allows it the one that it says.
    pub(super) fn kept_version(&self, envelope: &[u8]) -> AuthVersion {
        let allowed = self.inner.settings.version_policy == VersionPolicy::NearestNewerInMajor;
        Claims::read(envelope)
            .map(|claims| claims.manifest.auth_version)
            .filter(|of| allowed && is_newer_in_major(of, self.version))
            .unwrap_or_else(|| self.version.clone())
    }

    pub(super) fn log_nearest(&self, from: &str, usable: &Usable) {
        warn!(
            version = %self.version,
            artifact_version = %usable.held.of,
            from,
            decoder = %usable.decoder.identity(),
            sha256 = hex::encode(&usable.held.sha256),
            "decoder artifact of a newer version accepted, as none of this version is offered"
        );
    }
}
