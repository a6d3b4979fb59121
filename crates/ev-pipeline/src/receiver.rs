//! What the engine knows of the two receivers that a sink may have: where the audit log goes, and
//! where recordings go. They may be set up differently, so each is judged by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ev_core::{BatchId, LaneId, Route};
use tracing::{error, info, warn};

use crate::batches::Parcel;
use crate::hold::FAILURES_TO_HOLD;
use crate::judge::Record;
use crate::pace::Pace;

/// Longest silence about a trouble that lasts.
const REPEAT_WARNING: Duration = Duration::from_secs(60);

/// More single events than this are not under suspicion by chance.
const MOST_SUSPECTS: usize = 64;

/// Batches that wait for their time.
pub(crate) type Waiting = BTreeMap<(Duration, BatchId), Parcel>;

/// One receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) record: Record,
    pub(crate) pace: Pace,
    /// Failed batches, by the time at which they are tried again. Each keeps its connection, so
    /// that a receiver in trouble is not met by ever more batches.
    pub(crate) delayed: Waiting,
    /// Those that wait for their trial: events under suspicion, and batches that others are tried
    /// in front of. They keep none: others have to go by, or there would be no proof.
    pub(crate) aside: Waiting,
    /// Requests under way.
    pub(crate) in_flight: usize,
    /// One of those is an event under suspicion.
    trial: bool,
    /// While it is stuck, nothing is sent before this but what keeps its connection.
    gate: Duration,
    /// How often it refused to take anything since it last did.
    refusals: u32,
    /// Since it last took something, requests have failed: since when, and how the last one did.
    troubled: Option<(Duration, String)>,
    trouble: Trouble,
}

/// How loud a trouble is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// It may pass by itself.
    No,
    /// Somebody has to look at it.
    Yes,
}

impl Receiver {
    fn new(most: usize, fixed: bool) -> Self {
        Self {
            record: Record::default(),
            pace: Pace::new(most, fixed),
            delayed: Waiting::new(),
            aside: Waiting::new(),
            in_flight: 0,
            trial: false,
            gate: Duration::ZERO,
            refusals: 0,
            troubled: None,
            trouble: Trouble::default(),
        }
    }

    fn has_slot(&self) -> bool {
        self.in_flight < self.pace.limit()
    }

    /// Whether the gate is open. While it is stuck, one request at a time.
    fn is_open(&self, now: Duration) -> bool {
        !self.record.is_stuck() || self.gate <= now && self.in_flight == 0
    }

    /// Whether it may get a batch that was not sent yet.
    pub(crate) fn may_get_new(&self, now: Duration) -> bool {
        self.in_flight + self.delayed.len() < self.pace.limit() && self.is_open(now)
    }

    /// The next failed batch that is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Parcel> {
        let due = self.has_slot() && is_due(&self.delayed, now);
        if due { self.delayed.pop_first().map(|(_, parcel)| parcel) } else { None }
    }

    /// The next event under suspicion whose trial is due.
    pub(crate) fn due_trial(&mut self, now: Duration) -> Option<Parcel> {
        let due = self.has_slot() && !self.trial && is_due(&self.aside, now) && self.is_open(now);
        if due { self.aside.pop_first().map(|(_, parcel)| parcel) } else { None }
    }

    /// When something may be sent that may not be sent now, if there is room for it.
    pub(crate) fn due_at(&self, now: Duration) -> Option<Duration> {
        if !self.has_slot() {
            return None;
        }
        let first = |waiting: &Waiting| waiting.keys().next().map(|(at, _)| *at);
        let (delayed, aside) = (first(&self.delayed), first(&self.aside));
        if self.record.is_stuck() {
            // Behind the gate, new batches may be waiting too.
            let open = Some(self.gate).filter(|gate| *gate > now);
            let aside = aside.filter(|_| self.in_flight == 0);
            let aside = aside.map(|at| at.max(self.gate));
            return delayed.into_iter().chain(open).chain(aside).min();
        }
        let aside = aside.filter(|_| !self.trial);
        delayed.into_iter().chain(aside).min()
    }

    /// Whether a request has failed since it last took something: since when, and how the last
    /// one did.
    pub(crate) fn troubled(&self) -> Option<(Duration, &str)> {
        self.troubled.as_ref().map(|(since, how)| (*since, how.as_str()))
    }

    /// A batch is on its way.
    pub(crate) fn begins(&mut self, parcel: &Parcel) {
        self.in_flight += 1;
        self.trial |= parcel.aside;
    }

    /// The answer to a batch is there.
    pub(crate) fn ended(&mut self, parcel: &Parcel) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if parcel.aside {
            self.trial = false;
        }
    }

    /// Tries a batch again at that time.
    pub(crate) fn delay(&mut self, parcel: Parcel, at: Duration) {
        let waiting = if parcel.aside { &mut self.aside } else { &mut self.delayed };
        waiting.insert((at, parcel.batch.id), parcel);
    }

    /// Nothing is taken: how long to wait before the next request. Slow to grow, as there may be a
    /// row of events that are really guilty in front of one that is not.
    pub(crate) fn refused_again(&mut self) -> u32 {
        self.refusals = self.refusals.saturating_add(1);
        self.refusals / 8
    }

    /// Whether it has refused more than once and taken nothing since.
    pub(crate) fn refuses_all(&self) -> bool {
        self.record.is_stuck() && self.refusals > 1
    }

    pub(crate) fn shut_until(&mut self, at: Duration) {
        self.gate = at;
    }

    /// It took a request that was sent at `sent`.
    pub(crate) fn took(&mut self, suspected: bool, sent: Duration, now: Duration, pressing: bool) {
        self.record.took(suspected);
        self.refusals = 0;
        self.pace.answered(sent, now, pressing);
        self.trouble.over();
        if self.troubled.take().is_some() {
            // Whatever waits for its return need not wait longer; the pace keeps it from being
            // overrun.
            for ((at, id), parcel) in std::mem::take(&mut self.delayed) {
                self.delayed.insert((at.min(now), id), parcel);
            }
            // Batches were only put aside so that others could be tried.
            for ((at, id), mut parcel) in std::mem::take(&mut self.aside) {
                if parcel.batch.entries.len() > 1 {
                    parcel.aside = false;
                    self.delayed.insert((at.min(now), id), parcel);
                } else {
                    self.aside.insert((at, id), parcel);
                }
            }
        }
    }

    /// An event that it refuses was parked. If nothing else is in trouble, that was all.
    pub(crate) fn parked(&mut self, detail: &str, parcel: &Parcel, now: Duration) {
        self.trouble.say("event refused and parked", Alarm::No, detail, parcel, now);
        if self.delayed.is_empty() && self.aside.is_empty() && self.in_flight == 0 {
            self.troubled = None;
            self.trouble.over();
        }
    }

    /// A request failed.
    pub(crate) fn failed(
        &mut self,
        kind: &'static str,
        alarm: Alarm,
        detail: &str,
        parcel: &Parcel,
        now: Duration,
    ) {
        let since = self.troubled.take().map_or(now, |(since, _)| since);
        self.troubled = Some((since, format!("{kind}: {detail}")));
        self.trouble.say(kind, alarm, detail, parcel, now);
    }
}

fn is_due(waiting: &Waiting, now: Duration) -> bool {
    waiting.keys().next().is_some_and(|(at, _)| *at <= now)
}

/// Keeps the log readable while a receiver is in trouble: one line when the kind of trouble
/// changes, then one a minute, and one when it is over. A receiver that takes one request and
/// fails on the next, for as long as you like, costs two lines a minute.
#[derive(Debug, Default)]
struct Trouble {
    /// What was said last, and when; also when that is over.
    kind: Option<&'static str>,
    said: Duration,
    /// Somebody was told of it, and not yet of its end.
    open: bool,
    failures: u64,
}

impl Trouble {
    fn say(
        &mut self,
        kind: &'static str,
        alarm: Alarm,
        detail: &str,
        parcel: &Parcel,
        now: Duration,
    ) {
        if !self.failed(kind, alarm, now) {
            return;
        }
        let (events, attempts, failures) = (parcel.tickets.len(), parcel.attempts, self.failures);
        match alarm {
            Alarm::No => {
                warn!(kind, detail, events, attempts, failures, "delivery failed, trying again");
            }
            Alarm::Yes => {
                error!(
                    kind,
                    detail,
                    events,
                    attempts,
                    failures,
                    "delivery stands still until this is mended"
                );
            }
        }
    }

    /// Whether that is worth a line.
    fn failed(&mut self, kind: &'static str, alarm: Alarm, now: Duration) -> bool {
        self.failures += 1;
        // Kinds may alternate for as long as the trouble lasts: then a line a minute has to do,
        // but an alarm is never kept back by something less.
        let recently = now.saturating_sub(self.said) < REPEAT_WARNING;
        if recently && self.kind.is_some() && (self.kind == Some(kind) || alarm == Alarm::No) {
            return false;
        }
        self.kind = Some(kind);
        self.said = now;
        self.open = true;
        true
    }

    fn over(&mut self) {
        if std::mem::take(&mut self.open) {
            info!(failures = self.failures, "delivery works again");
            self.failures = 0;
        }
    }
}

/// Both receivers.
#[derive(Debug)]
pub(crate) struct Receivers {
    audit: Receiver,
    sessions: Receiver,
    most: usize,
}

impl Receivers {
    /// Of a sink that takes at most so many requests at one time.
    pub(crate) fn new(most: usize, fixed: bool) -> Self {
        let most = most.max(1);
        Self { audit: Receiver::new(most, fixed), sessions: Receiver::new(most, fixed), most }
    }

    pub(crate) fn of(&self, route: &Route) -> &Receiver {
        match route {
            Route::Audit => &self.audit,
            Route::Session(_) => &self.sessions,
        }
    }

    /// Where the audit log goes, and where recordings go.
    pub(crate) fn both(&self) -> (&Receiver, &Receiver) {
        (&self.audit, &self.sessions)
    }

    pub(crate) fn of_mut(&mut self, route: &Route) -> &mut Receiver {
        match route {
            Route::Audit => &mut self.audit,
            Route::Session(_) => &mut self.sessions,
        }
    }

    /// The receiver of a route, and the other one.
    pub(crate) fn with_other(&mut self, route: &Route) -> (&mut Receiver, &Receiver) {
        match route {
            Route::Audit => (&mut self.audit, &self.sessions),
            Route::Session(_) => (&mut self.sessions, &self.audit),
        }
    }

    /// Whether another request may begin at all.
    pub(crate) fn any_free(&self) -> bool {
        self.in_flight() < self.most
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.audit.in_flight + self.sessions.in_flight
    }

    /// The next failed batch of either that is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Parcel> {
        self.audit.due(now).or_else(|| self.sessions.due(now))
    }

    /// The next event under suspicion of either whose trial is due. Of one that is stuck only if
    /// `stuck`: something else may be taken, and would be the proof.
    pub(crate) fn due_trial(&mut self, now: Duration, stuck: bool) -> Option<Parcel> {
        let of = |receiver: &mut Receiver| {
            if receiver.record.is_stuck() == stuck { receiver.due_trial(now) } else { None }
        };
        of(&mut self.audit).or_else(|| of(&mut self.sessions))
    }

    /// When the next such batch is due, if there is room for it.
    pub(crate) fn due_at(&self, now: Duration) -> Option<Duration> {
        if !self.any_free() {
            return None;
        }
        self.audit.due_at(now).into_iter().chain(self.sessions.due_at(now)).min()
    }

    /// Whether nothing waits to be sent again but a few single events under suspicion. Many are an
    /// overload where each event is a request.
    pub(crate) fn only_suspects_left(&self) -> bool {
        let receivers = [&self.audit, &self.sessions];
        let under_way = |r: &Receiver| r.in_flight > usize::from(r.trial);
        let whole = |r: &Receiver| r.aside.values().any(|parcel| parcel.batch.entries.len() > 1);
        receivers.iter().all(|r| r.delayed.is_empty() && !under_way(r) && !whole(r))
            && (1..=MOST_SUSPECTS).contains(&receivers.iter().map(|r| r.aside.len()).sum())
    }

    /// Recordings of which a batch is under suspicion, or fails again and again.
    pub(crate) fn recordings_in_trouble(&self) -> BTreeSet<LaneId> {
        let Receiver { aside, delayed, .. } = &self.sessions;
        let delayed = delayed.values().filter(|parcel| parcel.attempts >= FAILURES_TO_HOLD);
        let lane = |parcel: &Parcel| match &parcel.batch.route {
            Route::Session(session) => Some(LaneId::Session(session.clone())),
            Route::Audit => None,
        };
        aside.values().chain(delayed).filter_map(lane).collect()
    }

    /// Whether no batch waits to be sent again.
    pub(crate) fn none_waiting(&self) -> bool {
        [&self.audit, &self.sessions].iter().all(|r| r.delayed.is_empty() && r.aside.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Around, Case, Charge, judge};

    /// How many lines there are for an hour in which each second brings a failure of one of these
    /// kinds in turn; `well`: and then a request that is taken.
    fn lines_in_an_hour(kinds: &[(&'static str, Alarm)], well: bool) -> u32 {
        let (mut trouble, mut lines) = (Trouble::default(), 0);
        for (second, (kind, alarm)) in (0..3600).zip(kinds.iter().cycle()) {
            lines += u32::from(trouble.failed(kind, *alarm, Duration::from_secs(second)));
            if well {
                lines += u32::from(trouble.open);
                trouble.over();
            }
        }
        lines
    }

    #[test]
    fn a_single_refusal_is_no_alarm() {
        let (mut receiver, mut case) = (Receiver::new(4, false), Case::default());
        let mut refuse = |receiver: &mut Receiver| {
            judge(
                &mut case,
                Charge::Refused(None),
                1,
                &mut receiver.record,
                Around {
                    other: &Record::default(),
                    lonely: false,
                    crowd: false,
                    refused_before: false,
                },
            );
            assert!(receiver.record.is_stuck());
            receiver.refused_again();
            receiver.refuses_all()
        };
        assert!(!refuse(&mut receiver), "nothing else was sent yet");
        assert!(refuse(&mut receiver));
        receiver.took(false, Duration::ZERO, Duration::ZERO, false);
        assert!(!receiver.refuses_all());
    }

    #[test]
    fn a_trouble_that_lasts_costs_a_line_a_minute() {
        let (one, two) = (("one", Alarm::No), ("two", Alarm::No));
        assert_eq!(lines_in_an_hour(&[one], false), 60);
        assert_eq!(lines_in_an_hour(&[one, two], false), 60);
    }

    #[test]
    fn a_trouble_that_comes_and_goes_costs_two_lines_a_minute() {
        let (one, loud) = (("one", Alarm::No), ("loud", Alarm::Yes));
        assert_eq!(lines_in_an_hour(&[one], true), 120);
        assert_eq!(lines_in_an_hour(&[loud], true), 120);
        // The alarm does not wait for the minute that the first line begins.
        assert_eq!(lines_in_an_hour(&[one, loud], true), 120 + 2);
    }
}
