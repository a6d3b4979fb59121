//! What an operator can set, with the defaults.

use std::time::Duration;

use ev_core::{ArtifactKind, UnknownPolicy, abi};

use crate::manifest::TABLE_FORMAT;
use crate::verify::SizeLimits;

/// What the registry does and for how long it waits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How exact the JSON has to be.
    pub exactness: Exactness,
    /// How long events of a version wait for its artifact before the nearest table decodes them;
    /// 60 s. Under [`Exactness::KnownNative`] nothing waits.
    pub artifact_wait: Duration,
    /// What becomes of unknown events when no artifact is to be had. `None`, the default, is
    /// `incomplete` where the cluster offers none and none is configured, else `park`.
    pub unknown: Option<UnknownPolicy>,
    /// Whether an operator has named a place with artifacts, besides Auth itself.
    pub artifact_configured: bool,
    /// Which version of an artifact is taken; the exact one.
    pub version_policy: VersionPolicy,
    /// Whether artifacts of versions older than the newest one seen are used; always.
    ///
    /// The state keeps the highest one ([`ev_core::StateStore::highest_version`]), so that
    /// [`Downgrade::WithinMinor`] and [`Downgrade::Never`] hold over any number of restarts and
    /// downgrades. A version that Auth once named in error is not forgotten either; then
    /// [`Downgrade::Always`] is the way on.
    pub downgrade: Downgrade,
    /// Kinds to ask for, the preferred one first; table, then module.
    pub kinds: Vec<ArtifactKind>,
    /// Module ABI versions that the host speaks; the one there is.
    pub module_abis: Vec<u32>,
    /// Table format versions that the decoder reads; the one there is.
    pub table_formats: Vec<u32>,
    /// Largest artifacts to take.
    pub limits: SizeLimits,
    /// Bounds of the pause after a failed attempt; 1 s to 60 s.
    pub backoff: Backoff,
    /// Time for one attempt to fetch from one place; 30 s.
    pub fetch_timeout: Duration,
    /// How often a place that offered nothing is asked again; 60 s.
    pub recheck: Duration,
    /// How often it is asked whether there is another artifact for a version that has one; 1 h.
    pub refresh: Duration,
    /// So many failures of a decoder in less than [`Settings::failure_window`] fetch its artifact
    /// again; 3. Meanwhile its events wait, as for an artifact that is not there yet.
    pub failure_limit: usize,
    /// See [`Settings::failure_limit`], and how long a decoder that was fetched again must do
    /// without failing for all to be forgotten; 60 s.
    pub failure_window: Duration,
    /// Failures closer to one that counted than this do not count; 5 s. A burst of pages with
    /// events on which the decoder fails is one failure. With this at or above
    /// [`Settings::failure_window`] divided by the limit less one, the limit is never reached.
    pub failure_spacing: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            exactness: Exactness::Auth,
            artifact_wait: Duration::from_secs(60),
            unknown: None,
            artifact_configured: false,
            version_policy: VersionPolicy::Exact,
            downgrade: Downgrade::Always,
            kinds: vec![ArtifactKind::Table, ArtifactKind::Module],
            module_abis: vec![abi::ABI_VERSION],
            table_formats: vec![TABLE_FORMAT],
            limits: SizeLimits::default(),
            backoff: Backoff::default(),
            fetch_timeout: Duration::from_secs(30),
            recheck: Duration::from_secs(60),
            refresh: Duration::from_secs(3600),
            failure_limit: 3,
            failure_window: Duration::from_secs(60),
            failure_spacing: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// The policy for unknown events when no place offers an artifact.
    pub(super) fn unknown_without_artifact(&self) -> UnknownPolicy {
        self.unknown.unwrap_or(if self.artifact_configured {
            UnknownPolicy::Park
        } else {
            UnknownPolicy::Incomplete
        })
    }
}

/// How exact the JSON has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exactness {
    /// What Auth of that version would write: all its events wait for its artifact, and are
    /// decoded by it.
    #[default]
    Auth,
    /// Known events never wait: the nearest embedded table decodes them, whatever else is there,
    /// and only events that it does not know go to the artifact.
    ///
    /// One decoder does both, so all its events are counted as inexact and as native, those few
    /// too that the artifact has decoded exactly: the count of inexact events is an upper bound.
    /// An embedded table that a signed envelope names is exact here as well, and counted so.
    KnownNative,
}

/// Which version of an artifact is taken for a version of Auth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionPolicy {
    /// That very version.
    #[default]
    Exact,
    /// Where no place offers that very version, the nearest newer one of the same major, from a
    /// place that can list its versions ([`ev_core::ArtifactSource::versions`]; Auth's service
    /// cannot). Never an older one. Its manifest must name the version that was chosen, and what
    /// is decoded with it is counted as inexact. The exact one is asked for again at each
    /// [`Settings::recheck`], and replaces it.
    NearestNewerInMajor,
}

/// Whether artifacts of versions older than the newest one seen are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downgrade {
    /// Yes: downgrades of Auth are legitimate.
    #[default]
    Always,
    /// Only within the same major and minor version.
    WithinMinor,
    /// No.
    Never,
}

/// Pauses between attempts: a random part of a limit that doubles with every failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The limit after the first failure.
    pub base: Duration,
    /// The largest limit.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The limit after `failures` failures in a row, counted from 1.
    pub(super) fn limit(self, failures: u32) -> Duration {
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_cap() {
        let limits: Vec<_> = [1, 2, 3, 6, 7, 31, 32, 33, u32::MAX]
            .map(|n| Backoff::default().limit(n).as_secs())
            .into();
        assert_eq!(limits, [1, 2, 4, 32, 60, 60, 60, 60, 60]);
    }
}
