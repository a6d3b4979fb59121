//! Counts of a comparison.

use std::ops::{Index, IndexMut};

use serde::Serialize;

use crate::json::Spelling;
use crate::matcher::Side;

/// A count for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sides {
    /// Of ours.
    pub ours: u64,
    /// Of the other handler's.
    pub theirs: u64,
}

/// In what bodies that say the same are spelt otherwise; one pair may be in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spellings {
    /// Blanks between the tokens.
    pub blanks: u64,
    /// The order of keys.
    pub key_order: u64,
    /// Numbers, by the same double.
    pub numbers: u64,
    /// Escapes in strings.
    pub escapes: u64,
}

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Bodies received, everything included.
    pub received: Sides,
    /// Events that say the same on both sides.
    pub equal: u64,
    /// Of those: byte for byte the same. Not known of a partner that came late.
    pub identical: u64,
    /// Of those: in what they are spelt otherwise.
    pub spelling: Spellings,
    /// Events whose bodies say different things.
    pub differs: u64,
    /// Of those: known by digest alone, so that nobody can say where.
    pub differs_by_digest_only: u64,
    /// Events that the other side never sent.
    pub only: Sides,
    /// Bodies that came again; harmless when the other handler sends them.
    pub duplicates: Sides,
    /// Events whose partner came later than the patience.
    pub late: u64,
    /// Bodies that are no JSON object.
    pub unreadable: Sides,
    /// Events from before the comparison began.
    pub before: Sides,
    /// Events from behind its end.
    pub after: Sides,
    /// Events that the settings leave out.
    pub left_out: Sides,
    /// Events that wait for their partner.
    pub open: Sides,
    /// Of those: longer than the patience; the other side has not come so far.
    pub overdue: Sides,
    /// Events that were let go while they waited, as there was no room.
    pub unjudged: Sides,
    /// Findings that were not told one by one, as there were too many.
    pub untold: u64,
}

impl Tally {
    /// Events that both sides have.
    pub fn compared(&self) -> u64 {
        self.equal + self.differs
    }

    /// Events with something wrong.
    pub fn findings(&self) -> u64 {
        self.differs + self.only.sum() + self.duplicates.ours + self.unreadable.sum()
    }

    pub(crate) fn count_equal(&mut self, spelling: Spelling, sign: Sign) {
        let add = |count: &mut u64, yes: bool| sign.apply(count, u64::from(yes));
        add(&mut self.equal, true);
        add(&mut self.identical, spelling.identical);
        add(&mut self.spelling.blanks, spelling.blanks);
        add(&mut self.spelling.key_order, spelling.order);
        add(&mut self.spelling.numbers, spelling.numbers);
        add(&mut self.spelling.escapes, spelling.strings);
    }
}

/// Whether something is counted, or was counted too early.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sign {
    Count,
    Withdraw,
}

impl Sign {
    pub(crate) fn apply(self, count: &mut u64, by: u64) {
        *count = match self {
            Self::Count => *count + by,
            Self::Withdraw => count.saturating_sub(by),
        };
    }
}

impl Sides {
    /// Both together.
    pub fn sum(self) -> u64 {
        self.ours + self.theirs
    }
}

impl Index<Side> for Sides {
    type Output = u64;

    fn index(&self, side: Side) -> &u64 {
        match side {
            Side::Ours => &self.ours,
            Side::Theirs => &self.theirs,
        }
    }
}

impl IndexMut<Side> for Sides {
    fn index_mut(&mut self, side: Side) -> &mut u64 {
        match side {
            Side::Ours => &mut self.ours,
            Side::Theirs => &mut self.theirs,
        }
    }
}
