//! How long to wait before trying again.

use std::time::Duration;

use ev_core::Env;

/// First limit of a pause.
const BASE: Duration = Duration::from_millis(500);
/// Largest limit of a pause.
const CAP: Duration = Duration::from_secs(30);
/// Largest pause of the bulk export, whose storage is slower to recover.
const EXPORT_CAP: Duration = Duration::from_secs(90);

/// Pauses that grow: full jitter below a limit that doubles, so that many clients of an Auth that
/// comes back do not all come at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self, env: &dyn Env) -> Duration {
        let limit = BASE.saturating_mul(1 << self.failures.min(6)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        env.jitter(limit)
    }

    /// The next pause where hurry is of no use: at least half of the limit, at once the largest.
    pub(crate) fn slow(&mut self, env: &dyn Env) -> Duration {
        self.failures = self.failures.saturating_add(1);
        CAP / 2 + env.jitter(CAP / 2)
    }

    /// The next pause of what reads the bulk export: half jitter below a limit that doubles from
    /// 5.6 s to 90 s, and full jitter the first time.
    pub(crate) fn export(&mut self, env: &dyn Env) -> Duration {
        let limit = EXPORT_CAP / 16 * (1 << self.failures.min(4));
        let least = if self.failures == 0 { Duration::ZERO } else { limit / 2 };
        self.failures = self.failures.saturating_add(1);
        least + env.jitter(limit - least)
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// It works again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}
