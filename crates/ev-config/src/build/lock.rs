//! Locking users out after failed logins.

use super::Build;
use crate::settings::Lock;
use crate::value::Value;

impl Build<'_> {
    /// `None` when locking is off. Its other settings are then not judged, as nothing is done with
    /// them and the reference handler takes any. Where it cannot be read whether it is on, somebody
    /// means it to be.
    pub(super) fn lock(&mut self) -> Option<Lock> {
        if self.setting("lock-enabled").value == Some(Value::Bool(false)) {
            return None;
        }
        let failed_attempts = self.ranged("lock-failed-attempts-count", 1, i64::from(u32::MAX));
        let period = self.duration("lock-period", 1, i64::MAX);
        let lock_for = self.duration("lock-for", 0, i64::MAX);
        Some(Lock {
            failed_attempts: u32::try_from(failed_attempts).unwrap_or(1),
            period,
            lock_for: Some(lock_for).filter(|time| !time.is_zero()),
        })
    }
}
