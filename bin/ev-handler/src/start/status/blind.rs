//! Since when nobody knows what comes at Auth.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An Auth that does not answer is at last a connection that is lost, which has a beginning of its
/// own; what nobody knows goes on all the while.
#[derive(Debug, Default)]
pub(super) struct Blind(Mutex<Option<Duration>>);

impl Blind {
    /// Since when, where the present trouble began at that moment; `None` while there is none.
    /// Times are of a clock that never goes back.
    pub(super) fn since(&self, trouble: Option<Duration>) -> Option<Duration> {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *begun = trouble.map(|at| begun.map_or(at, |begun| begun.min(at)));
        *begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_that_turns_into_another_goes_on() {
        let (blind, at) = (Blind::default(), Duration::from_secs);
        assert_eq!(blind.since(None), None);
        assert_eq!(blind.since(Some(at(90))), Some(at(90)));
        assert_eq!(blind.since(Some(at(240))), Some(at(90)));
        assert_eq!(blind.since(None), None);
        assert_eq!(blind.since(Some(at(300))), Some(at(300)));
    }
}
