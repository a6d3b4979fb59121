//! What is to be said of an hour or a recording, and how often it was said.

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Auth has exactly what was settled.
    Equal,
    /// It has not.
    Differs,
    /// Auth has events, and the ledger knows nothing of them.
    NoRow,
    /// Nothing speaks against it, but not all of it could be read or told apart.
    Unproved,
    /// More of it may still be settled, so a difference proves nothing.
    Open,
}

impl Verdict {
    /// The word in reports.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Differs => "differs",
            Self::NoRow => "no-row",
            Self::Unproved => "unproved",
            Self::Open => "open",
        }
    }
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) compared: u64,
    pub(super) equal: u64,
    pub(super) differing: u64,
    pub(super) without_row: u64,
    pub(super) unproved: u64,
    pub(super) open: u64,
    /// Equal now, whatever was found.
    pub(super) repaired: u64,
}

impl Sums {
    pub(super) fn add(&mut self, verdict: Verdict) {
        self.compared += 1;
        *match verdict {
            Verdict::Equal => &mut self.equal,
            Verdict::Differs => &mut self.differing,
            Verdict::NoRow => &mut self.without_row,
            Verdict::Unproved => &mut self.unproved,
            Verdict::Open => &mut self.open,
        } += 1;
    }

    /// Adds one that is equal now.
    pub(super) fn add_repaired(&mut self) {
        self.compared += 1;
        self.repaired += 1;
    }

    /// Whether everything is proved that can be.
    pub(super) fn all_equal(&self) -> bool {
        self.differing + self.without_row + self.unproved == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_and_repaired_ones_are_no_finding_and_all_others_are() {
        let mut sums = Sums::default();
        sums.add(Verdict::Equal);
        sums.add(Verdict::Open);
        sums.add_repaired();
        assert!(sums.all_equal());
        assert_eq!((sums.compared, sums.equal, sums.open, sums.repaired), (3, 1, 1, 1));
        for finding in [Verdict::Differs, Verdict::NoRow, Verdict::Unproved] {
            let mut sums = sums;
            sums.add(finding);
            assert!(!sums.all_equal(), "{finding:?}");
        }
    }
}
