//! The artifact of another version, where the policy allows it: the nearest newer one of the same
//! major that some place has.
//!
//! Whoever controls a place can withhold the exact artifact, and so choose among the newer ones of
//! the same major that are signed. That is what an operator accepts with the policy; nothing else
//! is taken on the word of a place: the artifact that comes must be signed for the version that was
//! chosen, and passes every other check too.

use std::cmp::Ordering;

use ev_core::AuthVersion;
use tracing::{info, warn};

use super::VersionPolicy;
use super::attempt::{Attempt, Found};
use super::entry::{Held, Usable};
use crate::envelope::Claims;
use crate::hex;
use crate::version::{compare_versions, is_newer_in_major};

/// Most fetches of an attempt. A folder need not hold anything that this program can use, so that
/// the next one is looked at; a place that lists many such must not keep it busy. The next attempt
/// goes on with those behind them, and after the last one they are all looked at again.
const MAX_TRIES: usize = 4;

/// A version that a place lists, and the index of the place.
type Candidate = (AuthVersion, usize);

fn order(a: &Candidate, b: &Candidate) -> Ordering {
    compare_versions(&a.0, &b.0).then_with(|| a.cmp(b))
}

impl Attempt<'_> {
    /// Asks for the nearest newer version that a place lists, and when there is nothing usable of
    /// it, for the next. As long as some are left for the next attempt it is not known whether
    /// there is one, as with a place that does not answer.
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
        candidates.sort_by(order);
        candidates.dedup();
        let begin = self.tried_near().map_or(0, |last| {
            candidates.partition_point(|candidate| order(candidate, &last) != Ordering::Greater)
        });
        let candidates =
            candidates.get(begin..).filter(|left| !left.is_empty()).unwrap_or(&candidates);
        let (now, later) = candidates.split_at(candidates.len().min(MAX_TRIES));
        for (of, place) in now {
            match self.ask(self.inner.sources[*place].as_ref(), of, held).await {
                Found::NotOffered => {}
                Found::Refused => refused = true,
                Found::Unreachable => unreachable = true,
                found => {
                    // The next time, a nearer one may be there.
                    self.set_tried_near(None);
                    return found;
                }
            }
        }
        self.set_tried_near(now.last().filter(|_| !later.is_empty()).cloned());
        if let Some((next, _)) = later.first() {
            let (version, tried, left) = (self.version, now.len(), later.len());
            info!(%version, tried, left, %next, "no usable artifact of the nearest newer versions: others are tried next");
        }
        match (refused, unreachable || !later.is_empty()) {
            (true, _) => Found::Refused,
            (false, true) => Found::Unreachable,
            (false, false) => Found::NotOffered,
        }
    }

    /// The last one that was tried in vain when there were others behind it.
    fn tried_near(&self) -> Option<Candidate> {
        self.inner.lock().entries.get(self.version)?.tried_near.clone()
    }

    fn set_tried_near(&self, last: Option<Candidate>) {
        if let Some(entry) = self.inner.lock().entries.get_mut(self.version) {
            entry.tried_near = last;
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
            audit = "artifact.accepted",
            version = %self.version,
            artifact_version = %usable.held.of,
            from,
            decoder = %usable.decoder.identity(),
            sha256 = hex::encode(&usable.held.sha256),
            "decoder artifact of a newer version accepted, as none of this version is offered"
        );
    }
}
