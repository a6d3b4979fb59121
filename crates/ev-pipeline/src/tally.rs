//! How settled events count in the state's sums.

use ev_core::{DecoderKind, NewParked, Totals};

use crate::ledger::Hours;

/// How an event was settled.
#[derive(Debug)]
pub(crate) enum Settled {
    Delivered {
        by: DecoderKind,
        inexact: bool,
    },
    Filtered,
    Parked(NewParked),
    /// There was no room to park it: it goes to [`crate::Overflow`].
    Exported(NewParked),
}

/// What the state is to be told of settled events.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// What is added to the sums.
    pub(crate) totals: Totals,
    pub(crate) parks: Vec<NewParked>,
    pub(crate) exports: Vec<NewParked>,
    /// What is added to the ledger.
    pub(crate) hours: Hours,
}

impl Passed {
    pub(crate) fn count(&mut self, how: Settled) {
        let totals = &mut self.totals;
        totals.passed += 1;
        match how {
            Settled::Delivered { by, inexact } => {
                totals.delivered += 1;
                count_decoder(totals, by, inexact);
            }
            Settled::Filtered => totals.filtered += 1,
            Settled::Parked(parked) => {
                totals.parked += 1;
                self.parks.push(parked);
            }
            Settled::Exported(exported) => {
                totals.given_up += 1;
                self.exports.push(exported);
            }
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        add_totals(&mut self.totals, &other.totals);
        self.parks.extend(other.parks);
        self.exports.extend(other.exports);
        self.hours.add(other.hours);
    }
}

/// Counts which kind of decoder wrote the JSON of a delivered event.
pub(crate) fn count_decoder(totals: &mut Totals, by: DecoderKind, inexact: bool) {
    match by {
        DecoderKind::Native => totals.by_native += 1,
        DecoderKind::Table => totals.by_table += 1,
        DecoderKind::Module => totals.by_module += 1,
    }
    totals.inexact += u64::from(inexact);
}

/// Adds what happened to the sums.
pub(crate) fn add_totals(sums: &mut Totals, more: &Totals) {
    sums.passed += more.passed;
    sums.delivered += more.delivered;
    sums.filtered += more.filtered;
    sums.parked += more.parked;
    sums.given_up += more.given_up;
    sums.by_native += more.by_native;
    sums.by_table += more.by_table;
    sums.by_module += more.by_module;
    sums.inexact += more.inexact;
    sums.sessions += more.sessions;
}
