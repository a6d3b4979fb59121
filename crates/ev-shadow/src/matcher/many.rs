//! A group without a `uid`: any number of events of one place and time, told apart by what they
//! say. Several may be equal.

use super::Side;
use super::books::{Alone, Books, Waiting};
use crate::json::{Digest, Spelling};

/// Copies of one side that wait at most, and verdicts that are remembered. A recording has one
/// event of each index; this bounds the work when somebody sends thousands without one.
const MAX_COPIES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Many {
    ours: Vec<Waiting>,
    theirs: Vec<Waiting>,
    /// Those without a partner, by what they say.
    alone: Vec<(Side, Digest, Alone)>,
    /// What pairs have said.
    paired: Vec<Digest>,
}

impl Many {
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Side, &Waiting)> {
        let ours = self.ours.iter().map(|copy| (Side::Ours, copy));
        ours.chain(self.theirs.iter().map(|copy| (Side::Theirs, copy)))
    }

    /// A copy that is not expired yet.
    pub(super) fn find(&self, side: Side, number: u64) -> Option<&Waiting> {
        let mut copies = self.waiting().filter(|(of, _)| *of == side).map(|(_, copy)| copy);
        copies.find(|copy| copy.number == number && !copy.is_expired)
    }

    fn side(&mut self, side: Side) -> &mut Vec<Waiting> {
        match side {
            Side::Ours => &mut self.ours,
            Side::Theirs => &mut self.theirs,
        }
    }

    /// Whether the copy now waits for a partner.
    pub(super) fn take(&mut self, side: Side, copy: Box<Waiting>, books: &mut Books) -> bool {
        let (value, other) = (copy.print.value, side.other());
        let partner = self.side(other).iter().position(|first| first.print.value == value);
        if let Some(at) = partner {
            let first = self.side(other).remove(at);
            books.release(&first);
            books.equal(first.print.spelling(&copy.print));
            self.note_pair(value);
            // It may be the one that the others have waited for.
            self.judge_all(books);
            return false;
        }
        let late = self.alone.iter().position(|(of, said, _)| *of == other && *said == value);
        if let Some(at) = late {
            let (of, _, alone) = self.alone.remove(at);
            books.withdraw(of, alone, &copy);
            books.equal(Spelling::default());
            self.note_pair(value);
            return false;
        }
        if self.side(side).len() >= MAX_COPIES {
            books.count_alone(side, Alone::Unjudged, &copy);
            return false;
        }
        let copy = books.hold(copy);
        self.side(side).push(*copy);
        true
    }

    pub(super) fn judge(
        &mut self,
        side: Side,
        number: u64,
        as_told: Option<Alone>,
        books: &mut Books,
    ) {
        let Some(at) = self.side(side).iter().position(|copy| copy.number == number) else {
            return;
        };
        match as_told {
            Some(alone) => {
                let copy = self.side(side).remove(at);
                books.release(&copy);
                self.settle(side, alone, &copy, books);
            }
            None => self.side(side)[at].is_expired = true,
        }
        self.judge_all(books);
    }

    /// Judges the rest together, once all of them have waited long enough: before that, nobody
    /// knows which two were one event.
    fn judge_all(&mut self, books: &mut Books) {
        if self.waiting().any(|(_, copy)| !copy.is_expired) {
            return;
        }
        let mut ours = std::mem::take(&mut self.ours).into_iter();
        let mut theirs = std::mem::take(&mut self.theirs);
        for copy in ours.as_slice().iter().chain(&theirs) {
            books.release(copy);
        }
        // We read from the log how often there is an event, so one more of theirs is a repeat.
        theirs.retain(|copy| {
            let repeats = self.paired.contains(&copy.print.value);
            if repeats {
                books.duplicate(Side::Theirs, copy);
            }
            !repeats
        });
        let mut theirs = theirs.into_iter();
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => break,
                (Some(our), Some(their)) => books.differ(Side::Theirs, &their, Some(&our)),
                (Some(copy), None) => self.settle_alone(Side::Ours, &copy, books),
                (None, Some(copy)) => self.settle_alone(Side::Theirs, &copy, books),
            }
        }
    }

    fn settle_alone(&mut self, side: Side, copy: &Waiting, books: &mut Books) {
        let alone = books.alone(side, copy);
        self.settle(side, alone, copy, books);
    }

    fn settle(&mut self, side: Side, alone: Alone, copy: &Waiting, books: &mut Books) {
        books.count_alone(side, alone, copy);
        if self.alone.len() < MAX_COPIES {
            self.alone.push((side, copy.print.value, alone));
        }
    }

    fn note_pair(&mut self, value: Digest) {
        if self.paired.len() < MAX_COPIES && !self.paired.contains(&value) {
            self.paired.push(value);
        }
    }
}
