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
/// A clone is another handle on the same budget: whoever searches beside the lanes takes part. Where
/// there is only room for one of the two, lanes and others take turns, whoever comes back first.
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
    /// Those of them that are beside the lanes, and how many such wait for room.
    beside: usize,
    waiting: usize,
    /// A lane got no leave when it asked last.
    is_refused: bool,
    /// It was while there were searches beside: the next leave is the lane's.
    owed: bool,
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
        inner.beside -= usize::from(self.kind == Kind::Beside);
        drop(inner);
        self.budget.0.room.notify_waiters();
    }
}

impl Inner {
    /// Room for searches that are not of the live window.
    fn left(&self) -> usize {
        self.limit.saturating_sub(self.catching_up + 1)
    }
}

/// Somebody beside the lanes who waits for room, until dropped.
struct Waiting<'a>(&'a Budget);

impl<'a> Waiting<'a> {
    fn new(budget: &'a Budget) -> Self {
        budget.lock().waiting += 1;
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
        // A lane may have been refused for it.
        self.0.0.room.notify_waiters();
    }
}

impl Budget {
    pub(crate) fn new(wanted: usize) -> Self {
        let wanted = wanted.max(LEAST);
        let inner = Inner {
            wanted,
            limit: wanted,
            good: 0,
            searching: 0,
            catching_up: 0,
            beside: 0,
            waiting: 0,
            is_refused: false,
            owed: false,
        };
        Self(Arc::new(Place { inner: Mutex::new(inner), room: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave for one more search of a lane, if there is room. One search is always left to the live
    /// window.
    pub(crate) fn begin(&self, kind: Kind) -> Option<Permit> {
        let mut inner = self.lock();
        let is_live = kind == Kind::Live;
        // The last one is not taken from somebody beside who has none.
        let is_anothers =
            inner.left() == 1 && inner.waiting > 0 && inner.beside == 0 && !inner.owed;
        let has_room = is_live || inner.left() > 0 && !is_anothers;
        if inner.searching >= inner.limit || !has_room {
            inner.is_refused = true;
            inner.owed |= inner.beside > 0;
            return None;
        }
        inner.owed &= is_live;
        Some(self.permit(&mut inner, kind))
    }

    /// Leave for one search beside the lanes, once there is room.
    pub(crate) async fn begin_beside(&self) -> Permit {
        let _waiting = Waiting::new(self);
        loop {
            let mut room = pin!(self.0.room.notified());
            // Before the look, so that nothing is missed between the two.
            room.as_mut().enable();
            if let Some(permit) = self.try_beside() {
                return permit;
            }
            room.await;
        }
    }

    fn try_beside(&self) -> Option<Permit> {
        let mut inner = self.lock();
        let has_room = inner.searching < inner.limit && inner.left() > 0;
        let is_anothers = inner.owed && inner.left() == 1;
        (has_room && !is_anothers).then(|| self.permit(&mut inner, Kind::Beside))
    }

    /// All lanes have asked that can take something now, and whether one was refused: nothing is
    /// owed to those that do not ask.
    pub(crate) fn lanes_asked(&self, is_refused: bool) {
        let mut inner = self.lock();
        inner.is_refused = is_refused;
        if !is_refused && std::mem::take(&mut inner.owed) {
            drop(inner);
            self.0.room.notify_waiters();
        }
    }

    /// Resolves when there may be room again for a lane that was refused; never if none was.
    pub(crate) async fn may_be_free(&self) {
        let mut room = pin!(self.0.room.notified());
        room.as_mut().enable();
        if !self.lock().is_refused {
            std::future::pending().await
        }
        room.await;
    }

    fn permit(&self, inner: &mut Inner, kind: Kind) -> Permit {
        inner.searching += 1;
        inner.catching_up += usize::from(kind != Kind::Live);
        inner.beside += usize::from(kind == Kind::Beside);
        Permit { budget: self.clone(), kind }
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

    #[tokio::test]
    async fn lanes_and_others_take_turns_where_there_is_room_for_one() {
        use futures_util::FutureExt as _;

        let budget = Budget::new(11);
        while limit(&budget) > LEAST {
            budget.refused();
        }
        let lane = budget.begin(Kind::Closed).expect("room for one");
        let mut beside = Box::pin(budget.begin_beside());
        assert!(beside.as_mut().now_or_never().is_none());
        drop(lane);
        assert!(budget.begin(Kind::Closed).is_none(), "it is not this lane's turn");
        assert!(budget.begin(Kind::Live).is_some());
        let first = beside.await;
        // Both ask again, the one beside at once.
        assert!(budget.begin(Kind::Closed).is_none());
        let mut wake = Box::pin(budget.may_be_free());
        assert!(wake.as_mut().now_or_never().is_none());
        drop(first);
        let mut beside = Box::pin(budget.begin_beside());
        assert!(beside.as_mut().now_or_never().is_none());
        assert!(wake.as_mut().now_or_never().is_some(), "the lane is told");
        let lane = budget.begin(Kind::Closed).expect("its turn");
        budget.lanes_asked(false);
        drop(lane);
        let first = beside.as_mut().now_or_never().expect("and again");
        // A lane that asks no more is owed nothing.
        assert!(budget.begin(Kind::Closed).is_none());
        drop(first);
        let mut beside = Box::pin(budget.begin_beside());
        assert!(beside.as_mut().now_or_never().is_none());
        budget.lanes_asked(false);
        assert!(beside.as_mut().now_or_never().is_some());
        assert!(Box::pin(budget.may_be_free()).as_mut().now_or_never().is_none());
        // One beside that gives up leaves the room to the lanes.
        let lane = budget.begin(Kind::Closed).expect("room for one");
        let mut beside = Box::pin(budget.begin_beside());
        assert!(beside.as_mut().now_or_never().is_none());
        drop(lane);
        assert!(budget.begin(Kind::Closed).is_none());
        let mut wake = Box::pin(budget.may_be_free());
        assert!(wake.as_mut().now_or_never().is_none());
        drop(beside);
        assert!(wake.as_mut().now_or_never().is_some());
        assert!(budget.begin(Kind::Closed).is_some());
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
