//! Whose fault it is that a receiver does not take a batch: that of an event in it, or its own.
//!
//! An event is parked for the receiver's sake only when it is proved guilty. What counts as proof
//! is decided here, by what the receiver did with other requests in the meantime:
//!
//! - A batch is cut until the one event is left that is refused.
//! - A refusal of content (400, 413, 415, 422) is proof when the receiver has taken another
//!   request since it refused this event the last time.
//! - A 500 says less, as Fluentd also answers it while its buffers are full. It is proof when it
//!   comes again and again for the same event while nearly all others are taken.
//! - While one event alone is refused and nothing else is taken, the receiver is *stuck*: set up
//!   wrongly, or full. Then nothing is parked and nothing is cut, and it is asked slowly.

/// How often the same batch meets a 500 before it is cut.
const FAILURES_TO_CUT: u32 = 3;
/// How often a 500 has to come for an event, each time with others taken since the last, before
/// it counts as proof.
const CONVICTIONS: u32 = 5;
/// So many requests have to be taken for each that fails, or it may be an overload.
const TAKEN_PER_FAILURE: u64 = 4;
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
    /// Requests that failed.
    failed: u64,
    /// Requests that failed for no fault of theirs, as far as anybody can tell.
    unsuspected: u64,
    /// It refused or failed on a lone event, and took nothing since.
    stuck: bool,
    /// Events that may be parked without proof.
    trust: u32,
}

impl Record {
    /// A request was taken. If it was suspected, it was the receiver that failed on it, which
    /// speaks for all others under suspicion.
    pub(crate) fn took(&mut self, suspected: bool) {
        self.taken += 1;
        self.unsuspected += u64::from(suspected);
        self.stuck = false;
        self.trust = TRUST;
    }

    /// A request failed, whatever its content.
    pub(crate) fn failed(&mut self, suspected: bool) {
        self.failed += 1;
        self.unsuspected += u64::from(!suspected);
    }

    /// What both receivers of a sink did: a 500 says as much of one as of the other, since they
    /// are nearly always one program.
    fn with(&self, other: &Self) -> Counts {
        Counts {
            taken: self.taken + other.taken,
            failed: self.failed + other.failed,
            unsuspected: self.unsuspected + other.unsuspected,
        }
    }

    /// Whether it takes nothing at all, as far as anybody can tell.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck
    }
}

/// What was counted up to some moment.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    taken: u64,
    failed: u64,
    unsuspected: u64,
}

/// What else there is, beside the batch that is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    /// What the sink's other receiver did.
    pub(crate) other: &'a Record,
    /// Nothing else is there that could be sent.
    pub(crate) lonely: bool,
    /// Many events are under suspicion: so many are not guilty by chance, it may be an overload.
    pub(crate) crowd: bool,
}

/// What is held against a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// Failures of the kind that may be the content's fault.
    failures: u32,
    convictions: u32,
    /// How many requests the receiver had taken at the first of them.
    first: Option<u64>,
    /// What had been counted of both at the last one of the lone event, and what it had taken.
    last: Option<(Counts, u64)>,
}

impl Case {
    /// Of a part of a batch that was cut: where the whole stood.
    pub(crate) fn of_part(&self) -> Self {
        let failures = self.failures.min(FAILURES_TO_CUT - 1);
        Self { failures, first: self.first, ..Self::default() }
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

/// Decides.
pub(crate) fn judge(
    case: &mut Case,
    charge: Charge,
    entries: usize,
    record: &mut Record,
    around: Around<'_>,
) -> Ruling {
    case.failures = case.failures.saturating_add(1);
    let first = *case.first.get_or_insert(record.taken);
    if charge == Charge::Failed {
        record.failed(case.last.is_some());
        if case.failures < FAILURES_TO_CUT {
            return Ruling::Retry;
        }
    }
    if entries > 1 {
        return match charge {
            // It must not hold up what may be taken.
            _ if record.stuck => Ruling::SetAside,
            Charge::Refused(Some(index)) if index < entries => Ruling::Cut(Cut::Around(index)),
            Charge::Refused(_) | Charge::Failed => Ruling::Cut(Cut::Half),
        };
    }
    let now = record.with(around.other);
    let last = case.last.replace((now, record.taken));
    record.stuck |= record.taken == first || last.is_some_and(|(_, taken)| record.taken == taken);
    let proved = match (charge, last) {
        (_, None) => false,
        (Charge::Refused(_), Some((_, taken))) => record.taken > taken,
        (Charge::Failed, Some((then, _))) => {
            let taken = now.taken - then.taken;
            // Its own failure is not one of the others. While few are under suspicion, those
            // may all be guilty, and prove nothing for each other.
            let failed = if around.crowd {
                (now.failed - then.failed).saturating_sub(1)
            } else {
                now.unsuspected - then.unsuspected
            };
            if taken > 0 && taken >= failed.saturating_mul(TAKEN_PER_FAILURE) {
                case.convictions += 1;
            } else if failed > 0 && failed >= taken {
                case.convictions = 0;
            }
            case.convictions >= CONVICTIONS
        }
    };
    if proved {
        return Ruling::Park;
    }
    let refused = matches!(charge, Charge::Refused(_));
    if refused && around.lonely && record.trust > 0 && case.failures >= LONELY_REFUSALS {
        record.trust -= 1;
        return Ruling::Park;
    }
    Ruling::SetAside
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Charge = Charge::Refused(None);
    const NOBODY: Record = Record { taken: 0, failed: 0, unsuspected: 0, stuck: false, trust: 0 };
    const ALONE: Around<'static> = Around { other: &NOBODY, lonely: false, crowd: false };
    const LONELY: Around<'static> = Around { lonely: true, ..ALONE };

    fn rule(case: &mut Case, charge: Charge, record: &mut Record) -> Ruling {
        judge(case, charge, 1, record, ALONE)
    }

    #[test]
    fn a_refused_batch_is_cut_at_once() {
        let record = &mut Record::default();
        let mut cut = |charge, entries| judge(&mut Case::default(), charge, entries, record, ALONE);
        assert_eq!(cut(REFUSED, 500), Ruling::Cut(Cut::Half));
        assert_eq!(cut(Charge::Refused(Some(7)), 500), Ruling::Cut(Cut::Around(7)));
        assert_eq!(cut(Charge::Refused(Some(500)), 500), Ruling::Cut(Cut::Half), "no such entry");
    }

    #[test]
    fn a_refused_event_is_guilty_once_another_was_taken() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        record.took(false);
        for _ in 0..100 {
            assert_eq!(rule(case, REFUSED, record), Ruling::SetAside, "before proves nothing");
        }
        record.took(false);
        assert_eq!(rule(case, REFUSED, record), Ruling::Park);
    }

    #[test]
    fn who_refuses_everything_gets_little_parked() {
        let record = &mut Record::default();
        record.took(false);
        let mut parked = 0;
        for _ in 0..1000 {
            let mut case = Case::default();
            for _ in 0..20 {
                if judge(&mut case, REFUSED, 1, record, LONELY) == Ruling::Park {
                    parked += 1;
                    break;
                }
            }
        }
        assert_eq!(parked, TRUST);
        let record = &mut Record::default();
        let case = &mut Case::default();
        for _ in 0..100 {
            let ruling = judge(case, REFUSED, 1, record, LONELY);
            assert_eq!(ruling, Ruling::SetAside, "it never took anything");
        }
    }

    #[test]
    fn a_batch_that_fails_is_cut_when_it_fails_again_and_again() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        let rule = |case: &mut Case, entries, record: &mut Record| {
            judge(case, Charge::Failed, entries, record, ALONE)
        };
        assert_eq!(rule(case, 500, record), Ruling::Retry);
        assert_eq!(rule(case, 500, record), Ruling::Retry);
        assert_eq!(rule(case, 500, record), Ruling::Cut(Cut::Half));
        // Its parts do not have to begin anew.
        assert_eq!(rule(&mut case.of_part(), 250, record), Ruling::Cut(Cut::Half));
        // One event fails, and nothing was taken: the receiver is full.
        assert_eq!(rule(&mut case.of_part(), 1, record), Ruling::SetAside);
        assert_eq!(rule(&mut case.of_part(), 250, record), Ruling::SetAside);
        record.took(false);
        assert_eq!(rule(&mut case.of_part(), 250, record), Ruling::Cut(Cut::Half));
    }

    #[test]
    fn who_refuses_the_first_event_too_is_not_sent_every_part() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        record.took(false);
        let mut refuse = |case: &mut Case, entries| judge(case, REFUSED, entries, record, ALONE);
        assert_eq!(refuse(case, 2), Ruling::Cut(Cut::Half));
        assert_eq!(refuse(&mut case.of_part(), 1), Ruling::SetAside);
        assert_eq!(refuse(&mut Case::default(), 500), Ruling::SetAside, "stuck");
    }

    #[test]
    fn an_event_that_fails_while_all_others_are_taken_is_guilty() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        for _ in 0..FAILURES_TO_CUT - 1 {
            assert_eq!(rule(case, Charge::Failed, record), Ruling::Retry);
        }
        assert_eq!(rule(case, Charge::Failed, record), Ruling::SetAside);
        for round in 1..=CONVICTIONS {
            for _ in 0..10 {
                record.took(false);
            }
            // Another one like it.
            record.failed(true);
            let expected = if round == CONVICTIONS { Ruling::Park } else { Ruling::SetAside };
            assert_eq!(rule(case, Charge::Failed, record), expected);
        }
    }

    #[test]
    fn an_overload_proves_nothing() {
        let (record, case) = (&mut Record::default(), &mut Case::default());
        for _ in 0..1000 {
            // Some are taken and some are not.
            record.took(false);
            record.failed(false);
            let ruling = rule(case, Charge::Failed, record);
            assert!(matches!(ruling, Ruling::Retry | Ruling::SetAside), "{ruling:?}");
        }
    }

    #[test]
    fn guilty_events_do_not_prove_each_other_innocent() {
        let record = &mut Record::default();
        let mut cases = [Case::default(), Case::default()];
        let mut parked = 0;
        for round in 0..40 {
            // Few others come: one for several trials of the two.
            if round % 3 == 0 {
                record.took(false);
            }
            for case in &mut cases {
                parked += usize::from(rule(case, Charge::Failed, record) == Ruling::Park);
            }
        }
        assert!(parked >= 2, "{parked}");
        // Many of them are no chance.
        let record = &mut Record::default();
        let mut cases = vec![Case::default(); 20];
        for _ in 0..100 {
            record.took(false);
            for case in &mut cases {
                let around = Around { crowd: true, ..ALONE };
                let ruling = judge(case, Charge::Failed, 1, record, around);
                assert_ne!(ruling, Ruling::Park);
            }
        }
    }
}
