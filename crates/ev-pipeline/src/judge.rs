//! Whose fault it is that a receiver does not take a batch: that of an event in it, or its own.
//!
//! An event is parked for the receiver's sake only when it is proved guilty. What counts as proof
//! is decided here, by what the receiver did with other requests in the meantime:
//!
//! - A batch is cut until the one event is left that is refused.
//! - A refusal of content (400, 413, 415, 422) is proof when the receiver has taken another
//!   request since it refused this event the last time, or when it says what it never takes of such
//!   an event.
//! - A 500 says less, as Fluentd also answers it while its buffers are full. It is proof when it
//!   comes again and again for the same event while nearly all others are taken, and when it does
//!   so for many events, many others.
//! - While one event alone is refused and nothing else is taken, the receiver is *stuck*: set up
//!   wrongly, or full. Then nothing is parked, and it is asked slowly. Little is cut: but there may
//!   be a guilty event in every batch at hand, so one of them after the other is searched for a part
//!   that is taken.

/// How often the same batch meets a 500 before it is cut.
const FAILURES_TO_CUT: u32 = 3;
/// How often a 500 has to come for an event, each time with others taken since the last, before
/// it counts as proof.
const CONVICTIONS: u32 = 5;
/// So many requests have to be taken for each that fails, or it may be an overload.
const TAKEN_PER_FAILURE: u64 = 4;
/// So many have to be taken for a 500 to count when many events are under suspicion: as long as
/// little else is sent, they may all be an overload that began a moment ago.
const TAKEN_IN_A_CROWD: u64 = 8;
/// How often a lone event is refused before it may be parked although nothing else is there that
/// could be tried.
const LONELY_REFUSALS: u32 = 6;
/// How often a batch is refused while the receiver is stuck before a part of it is tried, and how
/// many batches and parts may be cut for that until something is taken again: in long standstills
/// all of them would be cut up.
const REFUSALS_TO_SEARCH: u32 = 2;
const SEARCHES: u32 = 64;
/// How many events may be parked without proof until something is taken again.
const TRUST: u32 = 3;

/// What a receiver did so far.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Requests that it took.
    taken: u64,
    /// Requests that failed for no fault of theirs, as far as anybody can tell.
    failed: u64,
    /// It refused or failed on a lone event, and took nothing since.
    stuck: bool,
    /// Events that may be parked without proof.
    trust: u32,
    /// How many batches were cut since it took something, to find some part that it takes.
    searches: u32,
}

impl Record {
    /// A request was taken. If it was suspected, it was the receiver that failed on it, which
    /// speaks for all others under suspicion.
    pub(crate) fn took(&mut self, suspected: bool) {
        self.taken += 1;
        self.failed += u64::from(suspected);
        self.stuck = false;
        self.trust = TRUST;
        self.searches = 0;
    }

    /// A request failed, whatever its content.
    pub(crate) fn failed(&mut self, suspected: bool) {
        // Events that may all be guilty prove nothing for each other.
        self.failed += u64::from(!suspected);
    }

    /// What both receivers of a sink did: a 500 says as much of one as of the other, since they
    /// are nearly always one program.
    fn with(&self, other: &Self) -> Counts {
        Counts { taken: self.taken + other.taken, failed: self.failed + other.failed }
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
}

/// What else there is, beside the batch that is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    /// What the sink's other receiver did.
    pub(crate) other: &'a Record,
    /// Nothing else is there that could be sent.
    pub(crate) lonely: bool,
    /// Many events are under suspicion: so many are not guilty by chance, and more has to be taken
    /// beside them to show that it is no overload.
    pub(crate) crowd: bool,
    /// The batch has an event that was parked as refused: that it fails says nothing of others.
    pub(crate) refused_before: bool,
}

/// What is held against a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// Failures of the kind that may be the content's fault.
    failures: u32,
    /// Those of them while nothing was taken.
    stuck: u32,
    convictions: u32,
    /// How many requests the receiver had taken at the first of them.
    first: Option<u64>,
    /// What it had taken at the last one of the lone event.
    last: Option<u64>,
    /// What had been counted of both receivers when that was weighed last.
    weighed: Option<Counts>,
    /// What it had taken when it refused the lone event last. A 500 is no refusal: a receiver that
    /// was full, and is set up wrongly later, has said of no event that it does not want it.
    refused: Option<u64>,
}

impl Case {
    /// Of a part of a batch that was cut: where the whole stood.
    pub(crate) fn of_part(&self) -> Self {
        let failures = self.failures.min(FAILURES_TO_CUT - 1);
        Self { failures, stuck: self.stuck, first: self.first, ..Self::default() }
    }

    /// Weighs what was taken and what failed beside a lone event since that was done last, and says
    /// whether it was one time too often.
    fn is_proved(&mut self, now: Counts, crowd: bool) -> bool {
        let Some(then) = self.weighed else {
            self.weighed = Some(now);
            return false;
        };
        let (taken, failed) = (now.taken - then.taken, now.failed - then.failed);
        let least = if crowd { TAKEN_IN_A_CROWD } else { 1 };
        if taken >= least && taken >= failed.saturating_mul(TAKEN_PER_FAILURE) {
            self.convictions += 1;
        } else if failed > 0 && failed >= taken {
            self.convictions = 0;
        } else if crowd {
            // Not enough to tell.
            return false;
        }
        self.weighed = Some(now);
        self.convictions >= CONVICTIONS
    }
}

/// What the receiver says of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// It refuses an event: this one, if it says so.
    Refused(Option<usize>),
    /// It says what about an event keeps it from ever taking it.
    Never,
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
    // That is about an event, and says nothing of the receiver.
    if charge == Charge::Never {
        return if entries > 1 { Ruling::Cut(Cut::Half) } else { Ruling::Park };
    }
    if charge == Charge::Failed {
        record.failed(case.last.is_some() || around.refused_before);
        if case.failures < FAILURES_TO_CUT {
            return Ruling::Retry;
        }
    }
    if entries > 1 {
        if record.stuck {
            case.stuck = case.stuck.saturating_add(1);
            if case.stuck < REFUSALS_TO_SEARCH || record.searches == SEARCHES {
                // It must not hold up what may be taken.
                return Ruling::SetAside;
            }
            record.searches += 1;
        }
        return match charge {
            Charge::Refused(Some(index)) if index < entries => Ruling::Cut(Cut::Around(index)),
            Charge::Refused(_) | Charge::Never | Charge::Failed => Ruling::Cut(Cut::Half),
        };
    }
    // It was proved before, and what waits behind it are others like it: no trouble at all.
    if around.refused_before {
        return Ruling::Park;
    }
    let now = record.with(around.other);
    let last = case.last.replace(record.taken);
    record.stuck |= record.taken == first || last == Some(record.taken);
    let proved = match charge {
        Charge::Refused(_) => {
            case.refused.replace(record.taken).is_some_and(|taken| record.taken > taken)
        }
        Charge::Never => true,
        Charge::Failed => case.is_proved(now, around.crowd),
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
    const NOBODY: Record = Record { taken: 0, failed: 0, stuck: false, trust: 0, searches: 0 };
    const ALONE: Around<'static> =
        Around { other: &NOBODY, lonely: false, crowd: false, refused_before: false };
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
    fn what_was_proved_once_says_nothing_of_the_receiver() {
        let record = &mut Record::default();
        let around = Around { refused_before: true, ..ALONE };
        for charge in [REFUSED, Charge::Never, Charge::Failed] {
            let case = &mut Case { failures: FAILURES_TO_CUT, ..Case::default() };
            assert_eq!(judge(case, charge, 1, record, around), Ruling::Park, "{charge:?}");
        }
        assert!(!record.is_stuck());
    }

    #[test]
    fn what_is_never_taken_needs_no_other_proof() {
        let record = &mut Record::default();
        let mut rule = |entries| judge(&mut Case::default(), Charge::Never, entries, record, ALONE);
        assert_eq!(rule(8), Ruling::Cut(Cut::Half));
        assert_eq!(rule(1), Ruling::Park);
        // Who names an event may do so with every one.
        let named = Charge::Refused(Some(0));
        let ruling = judge(&mut Case::default(), named, 1, &mut Record::default(), ALONE);
        assert_eq!(ruling, Ruling::SetAside);
    }

    #[test]
    fn a_receiver_that_was_full_and_then_refuses_everything_proves_nothing() {
        let record = &mut Record::default();
        let mut cases = vec![Case::default(); 20];
        for case in &mut cases {
            for _ in 0..FAILURES_TO_CUT {
                rule(case, Charge::Failed, record);
            }
        }
        record.took(false);
        for case in &mut cases {
            assert_eq!(rule(case, REFUSED, record), Ruling::SetAside);
        }
        record.took(false);
        for case in &mut cases {
            assert_eq!(rule(case, REFUSED, record), Ruling::Park, "refused twice");
        }
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
    fn with_a_guilty_event_in_every_batch_some_part_is_found_that_is_taken() {
        let record = &mut Record::default();
        let (one, whole) = (&mut Case::default(), &mut Case::default());
        assert_eq!(rule(one, REFUSED, record), Ruling::SetAside);
        let mut refuse = |case: &mut Case, entries| judge(case, REFUSED, entries, record, ALONE);
        assert_eq!(refuse(whole, 500), Ruling::SetAside, "another one may be taken");
        assert_eq!(refuse(whole, 500), Ruling::Cut(Cut::Half));
        let mut part = whole.of_part();
        assert_eq!(refuse(&mut part, 250), Ruling::Cut(Cut::Half), "and so on at once");
        // Should nothing ever be taken, most batches stay whole.
        let mut cases = vec![Case::default(); 1000];
        let mut cuts = 0;
        for _ in 0..10 {
            let rulings = cases.iter_mut().map(|case| refuse(case, 500));
            cuts += rulings.filter(|ruling| *ruling == Ruling::Cut(Cut::Half)).count();
        }
        assert_eq!(cuts, 62);
        record.took(false);
        assert_eq!(rule(one, REFUSED, record), Ruling::Park);
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
    }

    #[test]
    fn what_is_tried_again_after_it_was_parked_is_no_sign_of_an_overload() {
        for refused_before in [false, true] {
            let (record, case) = (&mut Record::default(), &mut Case::default());
            let mut parked = false;
            for _ in 0..100 {
                record.took(false);
                // A batch of events that were parked is tried, and cut.
                let batch = &mut Case::default();
                let around = Around { refused_before, ..ALONE };
                for _ in 0..FAILURES_TO_CUT {
                    judge(batch, Charge::Failed, 2, record, around);
                }
                parked |= rule(case, Charge::Failed, record) == Ruling::Park;
            }
            assert_eq!(parked, refused_before);
        }
    }

    /// How many rounds it takes until the first of many events that fail for ever is parked, when
    /// of others so many are taken and so many fail in a round.
    fn rounds_of_a_crowd(taken: u32, failed: u32) -> Option<u64> {
        let record = &mut Record::default();
        let mut cases = vec![Case::default(); 20];
        let around = Around { crowd: true, ..ALONE };
        (0..1000).find(|_| {
            (0..taken).for_each(|_| record.took(false));
            (0..failed).for_each(|_| record.failed(false));
            let mut rulings =
                cases.iter_mut().map(|case| judge(case, Charge::Failed, 1, record, around));
            rulings.any(|ruling| ruling == Ruling::Park)
        })
    }

    #[test]
    fn many_under_suspicion_need_more_proof_and_are_not_held_for_ever() {
        // All of them are innocent as long as others fail too, or nothing is taken.
        for (taken, failed) in [(0, 0), (0, 3), (1, 1), (3, 1), (30, 10)] {
            assert_eq!(rounds_of_a_crowd(taken, failed), None, "{taken} of {}", taken + failed);
        }
        let least = TAKEN_IN_A_CROWD * u64::from(CONVICTIONS);
        let rounds = rounds_of_a_crowd(1, 0).expect("all others are taken, again and again");
        assert!((least..least + 10).contains(&rounds), "{rounds}");
    }
}
