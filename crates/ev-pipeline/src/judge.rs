//! Whose fault it is that a receiver does not take a batch: that of an event in it, or its own.
//!
//! An event is parked for the receiver's sake only when it is proved guilty. What counts as proof
//! is decided here, by what the receiver did with other requests in the meantime:
//!
//! - A batch is cut until the one event is left that is refused.
//! - A refusal of content (400, 413, 415, 422) is proof when the receiver has taken another
//!   request since it refused this event the last time. One that refuses everything is set up
//!   wrongly: then nothing is parked and the resume point stands.
//! - A 500 says less, as Fluentd also answers it while its buffers are full. It is proof when it
//!   comes again and again for the same event while others are taken, and none of the others meets
//!   with trouble in between. When one event alone fails and nothing is taken either, the receiver
//!   is full, and cutting further would be of no use.

/// How often the same batch meets a 500 before it is cut.
const FAILURES_TO_CUT: u32 = 3;
/// How often a 500 has to come for an event, each time with others taken since the last, before
/// it counts as proof.
const CONVICTIONS: u32 = 5;
/// How often a lone event is refused before it may be parked although nothing else is there that
/// could be tried.
const LONELY_REFUSALS: u32 = 6;
/// How many events may be parked without proof until something is taken again.
const TRUST: u32 = 3;

/// What a receiver did so far.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Requests that it took.
    taken: u64,
    /// Requests under no suspicion that failed.
    troubles: u64,
    /// A lone event failed and nothing was taken since.
    full: bool,
    /// Events that may be parked without proof.
    trust: u32,
}

impl Record {
    /// A request was taken.
    pub(crate) fn took(&mut self) {
        self.taken += 1;
        self.full = false;
        self.trust = TRUST;
    }

    /// A request failed that is under no suspicion.
    pub(crate) fn trouble(&mut self) {
        self.troubles += 1;
    }
}

/// What is held against a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// Failures of the kind that may be the content's fault.
    failures: u32,
    convictions: u32,
    /// What the receiver's record said at the last of them.
    last: Option<(u64, u64)>,
}

impl Case {
    /// Of a part of a batch that was cut: where the whole stood.
    pub(crate) fn of_part(&self) -> Self {
        Self { failures: self.failures.min(FAILURES_TO_CUT - 1), ..Self::default() }
    }
}

/// What the receiver says of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// It refuses an event: this one, if it says so.
    Refused(Option<usize>),
    /// It failed, perhaps because of an event.
    Failed,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// Send the entries before this one, it alone or it and all behind it, and so on.
    Cut(Cut),
    /// Send it again after a pause.
    Retry,
    /// Send it again after a pause, others meanwhile.
    SetAside,
    /// It is one event, and it is guilty.
    Park,
}

/// Where to cut a batch of several entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// In the middle.
    Half,
    /// This entry alone, and what is before and behind it.
    Around(usize),
}

/// Decides. `lonely`: nothing else is there that could be sent.
pub(crate) fn judge(
    case: &mut Case,
    charge: Charge,
    entries: usize,
    record: &mut Record,
    lonely: bool,
) -> Ruling {
    case.failures = case.failures.saturating_add(1);
    if entries > 1 {
        return match charge {
            Charge::Refused(Some(index)) if index < entries => Ruling::Cut(Cut::Around(index)),
            Charge::Refused(_) => Ruling::Cut(Cut::Half),
            Charge::Failed if case.failures >= FAILURES_TO_CUT && !record.full => {
                Ruling::Cut(Cut::Half)
            }
            Charge::Failed => {
                record.trouble();
                Ruling::Retry
            }
        };
    }
    if charge == Charge::Failed && case.failures < FAILURES_TO_CUT {
        record.trouble();
        return Ruling::Retry;
    }
    let last = case.last.replace((record.taken, record.troubles));
    let taken_since = last.is_some_and(|(taken, _)| record.taken > taken);
    let quiet_since = last.is_some_and(|(_, troubles)| record.troubles == troubles);
    let proved = match charge {
        Charge::Refused(_) => taken_since,
        Charge::Failed => {
            if last.is_some() && !taken_since {
                record.full = true;
            }
            if taken_since && quiet_since {
                case.convictions += 1;
            } else if !quiet_since {
                case.convictions = 0;
            }
            case.convictions >= CONVICTIONS
        }
    };
    if proved {
        return Ruling::Park;
    }
    let refused = matches!(charge, Charge::Refused(_));
    if refused && lonely && record.trust > 0 && case.failures >= LONELY_REFUSALS {
        record.trust -= 1;
        return Ruling::Park;
    }
    Ruling::SetAside
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Charge = Charge::Refused(None);

    fn rule(case: &mut Case, charge: Charge, record: &mut Record) -> Ruling {
        judge(case, charge, 1, record, false)
    }

    #[test]
    fn a_refused_batch_is_cut_at_once() {
        let record = &mut Record::default();
        let mut cut = |charge, entries| judge(&mut Case::default(), charge, entries, record, false);
        assert_eq!(cut(REFUSED, 500), Ruling::Cut(Cut::Half));
        assert_eq!(cut(Charge::Refused(Some(7)), 500), Ruling::Cut(Cut::Around(7)));
        assert_eq!(cut(Charge::Refused(Some(500)), 500), Ruling::Cut(Cut::Half), "no such entry");
    }

    #[test]
    fn a_refused_event_is_guilty_once_another_was_taken() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        record.took();
        for _ in 0..100 {
            assert_eq!(rule(case, REFUSED, record), Ruling::SetAside, "before proves nothing");
        }
        record.took();
        assert_eq!(rule(case, REFUSED, record), Ruling::Park);
    }

    #[test]
    fn who_refuses_everything_gets_little_parked() {
        let record = &mut Record::default();
        record.took();
        let mut parked = 0;
        for _ in 0..1000 {
            let mut case = Case::default();
            for _ in 0..20 {
                if judge(&mut case, REFUSED, 1, record, true) == Ruling::Park {
                    parked += 1;
                    break;
                }
            }
        }
        assert_eq!(parked, TRUST);
        let record = &mut Record::default();
        let case = &mut Case::default();
        for _ in 0..100 {
            let ruling = judge(case, REFUSED, 1, record, true);
            assert_eq!(ruling, Ruling::SetAside, "it never took anything");
        }
    }

    #[test]
    fn a_batch_that_fails_is_cut_when_it_fails_again_and_again() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        let rule = |case: &mut Case, entries, record: &mut Record| {
            judge(case, Charge::Failed, entries, record, false)
        };
        assert_eq!(rule(case, 500, record), Ruling::Retry);
        assert_eq!(rule(case, 500, record), Ruling::Retry);
        assert_eq!(rule(case, 500, record), Ruling::Cut(Cut::Half));
        // Its parts do not have to begin anew.
        assert_eq!(rule(&mut case.of_part(), 250, record), Ruling::Cut(Cut::Half));
        // One event fails, twice, and nothing is taken: the receiver is full.
        let one = &mut case.of_part();
        assert_eq!(rule(one, 1, record), Ruling::SetAside);
        assert_eq!(rule(&mut case.of_part(), 250, record), Ruling::Cut(Cut::Half), "not yet");
        assert_eq!(rule(one, 1, record), Ruling::SetAside);
        assert_eq!(rule(&mut case.of_part(), 250, record), Ruling::Retry);
        record.took();
        assert_eq!(rule(&mut case.of_part(), 250, record), Ruling::Cut(Cut::Half));
    }

    #[test]
    fn an_event_that_fails_while_all_others_are_taken_is_guilty() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        for _ in 0..FAILURES_TO_CUT - 1 {
            assert_eq!(rule(case, Charge::Failed, record), Ruling::Retry);
        }
        assert_eq!(rule(case, Charge::Failed, record), Ruling::SetAside);
        for _ in 1..CONVICTIONS {
            record.took();
            assert_eq!(rule(case, Charge::Failed, record), Ruling::SetAside);
        }
        record.took();
        assert_eq!(rule(case, Charge::Failed, record), Ruling::Park);
    }

    #[test]
    fn an_overload_never_proves_anything() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        for _ in 0..1000 {
            // Some are taken and some are not.
            record.took();
            record.trouble();
            let ruling = rule(case, Charge::Failed, record);
            assert!(matches!(ruling, Ruling::Retry | Ruling::SetAside), "{ruling:?}");
        }
    }
}
