//! A group with a `uid`: one event, of which each side should have one copy.

use super::Side;
use super::books::{Alone, Books, Waiting};
use crate::json::{Digest, Spelling};

/// What is known of one event. Small, as many are remembered.
#[derive(Debug, Default)]
pub(super) struct One {
    /// What the first copy of each side says.
    ours: Option<Digest>,
    theirs: Option<Digest>,
    /// The copy that waits for its partner.
    waiting: Option<(Side, Box<Waiting>)>,
    verdict: Option<Verdict>,
    /// Whether a side has sent copies that say different things.
    is_odd: bool,
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Equal(Spelling),
    Differs,
    Alone(Side, Alone),
}

impl One {
    pub(super) fn waiting(&self) -> Option<(Side, &Waiting)> {
        self.waiting.as_ref().map(|(side, copy)| (*side, &**copy))
    }

    fn seen(&mut self, side: Side) -> &mut Option<Digest> {
        match side {
            Side::Ours => &mut self.ours,
            Side::Theirs => &mut self.theirs,
        }
    }

    /// Whether the copy now waits for a partner.
    pub(super) fn take(&mut self, side: Side, copy: Box<Waiting>, books: &mut Books) -> bool {
        let value = copy.print.value;
        if let Some(first) = *self.seen(side) {
            books.duplicate(side, &copy);
            if first != value {
                self.is_odd = true;
                if let Some(Verdict::Equal(spelling)) = self.verdict {
                    books.differ_after_all(side, &copy, spelling);
                    self.verdict = Some(Verdict::Differs);
                }
            }
            return false;
        }
        *self.seen(side) = Some(value);
        let Some(other) = *self.seen(side.other()) else {
            self.waiting = Some((side, books.hold(copy)));
            return true;
        };
        let first = self.waiting.take().map(|(_, first)| first);
        if let Some(first) = &first {
            books.release(first);
        }
        if let Some(Verdict::Alone(side, alone)) = self.verdict {
            books.withdraw(side, alone, &copy);
        }
        self.verdict = Some(if other == value && !self.is_odd {
            let spelling = first.map(|first| first.print.spelling(&copy.print));
            let spelling = spelling.unwrap_or_default();
            books.equal(spelling);
            Verdict::Equal(spelling)
        } else {
            books.differ(side, &copy, first.as_deref());
            Verdict::Differs
        });
        false
    }

    pub(super) fn judge(
        &mut self,
        side: Side,
        number: u64,
        as_told: Option<Alone>,
        books: &mut Books,
    ) {
        let Some((_, copy)) = self.waiting.take_if(|(_, copy)| copy.number == number) else {
            return;
        };
        books.release(&copy);
        let alone = as_told.unwrap_or_else(|| books.alone(side, &copy));
        books.count_alone(side, alone, &copy);
        self.verdict = Some(Verdict::Alone(side, alone));
    }
}
