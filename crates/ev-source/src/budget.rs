//! How many searches may be under way at once.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::tasks::Kind;

/// Answers that bring one more request.
const GROW_AFTER: u32 = 8;
/// Never fewer: one for the live window and one for what is behind it, so that neither has to wait
/// for the other's answers. Refused searches make pauses of their own.
const LEAST: usize = 2;

/// The request budget: everything wanted, until Auth says that it is too much; then it halves and
/// grows back slowly.
///
/// A clone is another handle on the same budget: whoever searches beside the lanes takes part.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Place>);

#[derive(Debug)]
struct Place {
    inner: Mutex<Inner>,
    /// There may be room again.
    room: Notify,
}

#[derive(Debug)]
struct Inner {
    /// What is wanted at most; at least two.
    wanted: usize,
    limit: usize,
    good: u32,
    /// Searches under way, and those that are not of the live window among them.
    searching: usize,
    catching_up: usize,
}

/// Leave for one search; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Budget,
    kind: Kind,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.budget.lock();
        inner.searching -= 1;
        inner.catching_up -= usize::from(self.kind != Kind::Live);
        drop(inner);
        self.budget.0.room.notify_waiters();
    }
}

impl Budget {
    pub(crate) fn new(wanted: usize) -> Self {
        let wanted = wanted.max(LEAST);
        let inner = Inner { wanted, limit: wanted, good: 0, searching: 0, catching_up: 0 };
        Self(Arc::new(Place { inner: Mutex::new(inner), room: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave for one more search, if there is room. One search is always left to the live window.
    pub(crate) fn begin(&self, kind: Kind) -> Option<Permit> {
        let mut inner = self.lock();
        let is_live = kind == Kind::Live;
        let room =
            inner.searching < inner.limit && (is_live || inner.catching_up + 1 < inner.limit);
        room.then(|| {
            inner.searching += 1;
            inner.catching_up += usize::from(!is_live);
            Permit { budget: self.clone(), kind }
        })
    }

    /// The same once there is room.
    pub(crate) async fn begin_when_free(&self, kind: Kind) -> Permit {
        loop {
            let mut room = pin!(self.0.room.notified());
            // Before the look, so that nothing is missed between the two.
            room.as_mut().enable();
            if let Some(permit) = self.begin(kind) {
                return permit;
            }
            room.await;
        }
    }

    /// An answer came.
    pub(crate) fn answered(&self) {
        let mut inner = self.lock();
        if inner.limit < inner.wanted {
            inner.good += 1;
            if inner.good >= GROW_AFTER {
                inner.good = 0;
                inner.limit += 1;
                drop(inner);
                self.0.room.notify_waiters();
            }
        }
    }

    /// Auth refused a search, which is under way no longer, because there were too many.
    pub(crate) fn refused(&self) {
        let mut inner = self.lock();
        inner.good = 0;
        inner.limit = (inner.limit.min(inner.searching + 1) / 2).max(LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(budget: &Budget) -> usize {
        budget.lock().limit
    }

    #[test]
    fn rule_03_it_halves_at_once_and_grows_back_slowly() {
        let budget = Budget::new(11);
        budget.answered();
        assert_eq!(limit(&budget), 11);
        let mut permits: Vec<_> = (0..7).filter_map(|_| budget.begin(Kind::Closed)).collect();
        budget.refused();
        assert_eq!(limit(&budget), 4);
        permits.truncate(3);
        budget.refused();
        permits.clear();
        budget.refused();
        assert_eq!(limit(&budget), LEAST, "two always");
        for _ in 0..9 * GROW_AFTER {
            budget.answered();
        }
        assert_eq!(limit(&budget), 11);
        for _ in 0..GROW_AFTER {
            budget.answered();
        }
        assert_eq!(limit(&budget), 11, "never more than wanted");
    }

    #[test]
    fn neither_the_live_window_nor_the_others_wait_for_each_other() {
        let budget = Budget::new(11);
        let other = budget.clone();
        let mut permits: Vec<_> = (0..20).filter_map(|_| other.begin(Kind::Closed)).collect();
        assert_eq!(permits.len(), 10, "the last one is the live window's");
        permits.extend(budget.begin(Kind::Live));
        assert_eq!(permits.len(), 11);
        assert!(budget.begin(Kind::Live).is_none());
        while limit(&budget) > LEAST {
            budget.refused();
        }
        assert!(budget.begin(Kind::Live).is_none(), "what is under way counts");
        permits.clear();
        let live = budget.begin(Kind::Live).expect("room for both");
        let closed = budget.begin(Kind::Closed).expect("room for both");
        assert!(budget.begin(Kind::Closed).is_none());
        drop((live, closed));
        let _closed = budget.begin(Kind::Closed).expect("room again");
        assert!(budget.begin(Kind::Closed).is_none() && budget.begin(Kind::Live).is_some());
    }
}
