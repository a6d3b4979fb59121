//! How many searches may be under way at once.

/// Answers that bring one more request.
const GROW_AFTER: u32 = 8;
/// Never fewer: one for the live window and one for what is behind it, so that neither has to wait
/// for the other's answers. Refused searches make pauses of their own.
const LEAST: usize = 2;

/// The request budget: everything wanted, until Auth says that it is too much; then it halves and
/// grows back slowly.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// What is wanted at most; at least two.
    wanted: usize,
    limit: usize,
    good: u32,
}

impl Budget {
    pub(crate) fn new(wanted: usize) -> Self {
        let wanted = wanted.max(LEAST);
        Self { wanted, limit: wanted, good: 0 }
    }

    /// Whether the live window may be searched while so many searches are under way.
    pub(crate) fn admits_live(&self, searching: usize) -> bool {
        searching < self.limit
    }

    /// Whether a closed window may be, when `closed` of those are of closed windows too: one
    /// search is always left to the live window.
    pub(crate) fn admits_closed(&self, searching: usize, closed: usize) -> bool {
        searching < self.limit && closed + 1 < self.limit
    }

    /// An answer came.
    pub(crate) fn answered(&mut self) {
        if self.limit < self.wanted {
            self.good += 1;
            if self.good >= GROW_AFTER {
                self.good = 0;
                self.limit += 1;
            }
        }
    }

    /// Auth refused a search because there were too many, `under_way` of them at the time.
    pub(crate) fn refused(&mut self, under_way: usize) {
        self.good = 0;
        self.limit = (self.limit.min(under_way) / 2).max(LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_at_once_and_grows_back_slowly() {
        let mut budget = Budget::new(11);
        budget.answered();
        assert_eq!(budget.limit, 11);
        budget.refused(8);
        assert_eq!(budget.limit, 4);
        budget.refused(4);
        budget.refused(1);
        budget.refused(1);
        assert_eq!(budget.limit, LEAST, "two always");
        for _ in 0..9 * GROW_AFTER {
            budget.answered();
        }
        assert_eq!(budget.limit, 11);
        for _ in 0..GROW_AFTER {
            budget.answered();
        }
        assert_eq!(budget.limit, 11, "never more than wanted");
    }

    #[test]
    fn neither_the_live_window_nor_the_others_wait_for_each_other() {
        let mut budget = Budget::new(11);
        assert!(budget.admits_closed(9, 9));
        assert!(!budget.admits_closed(10, 10), "the last one is the live window's");
        assert!(budget.admits_live(10));
        assert!(!budget.admits_live(11));
        while budget.limit > LEAST {
            budget.refused(11);
        }
        assert!(budget.admits_closed(0, 0) && budget.admits_closed(1, 0));
        assert!(!budget.admits_closed(1, 1) && budget.admits_live(1));
    }
}
