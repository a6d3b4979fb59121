//! What all groups share: the filters, the counts, what is told, and how much is held.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use ev_core::Timestamp;

use super::progress::Progress;
use super::{Bounds, Moment, Rules, Side};
use crate::event::{About, Event};
use crate::finding::{Finding, FindingKind};
use crate::json::{Digest, Fingerprint, Spelling, Tree, differences};
use crate::tally::{Sign, Tally};

/// How far an event may lie in the future and still say how far its side has come.
const FUTURE_SECS: i64 = 60;
/// Announced recordings that are remembered.
const MAX_ANNOUNCED: usize = 100_000;

/// A copy of an event that has no partner yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) number: u64,
    pub(super) arrived: Duration,
    pub(super) time: Option<Timestamp>,
    /// The newest audit event that its side had shown when it came.
    shown: Option<Timestamp>,
    pub(super) print: Fingerprint,
    /// The recording that it is from.
    session: Option<Digest>,
    about: About,
    body: Option<Bytes>,
    /// It has waited long enough, and others of its group have not.
    pub(super) is_expired: bool,
}

impl Waiting {
    pub(super) fn new(
        number: u64,
        event: Event,
        arrived: Duration,
        shown: Option<Timestamp>,
    ) -> Box<Self> {
        let session = event.session();
        let Event { time, print, about, body, .. } = event;
        Box::new(Self {
            number,
            arrived,
            time,
            shown,
            print,
            session,
            about,
            body: Some(body),
            is_expired: false,
        })
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.session.is_some()
    }

    fn body_len(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }
}

/// Why an event has no partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// It should have one: a finding.
    Only,
    /// The partner came before there was a comparison.
    Before,
    /// Nobody knows: it had to be let go.
    Unjudged,
}

#[derive(Debug)]
pub(super) struct Books {
    rules: Rules,
    pub(super) bounds: Bounds,
    pub(super) tally: Tally,
    pub(super) findings: Vec<Finding>,
    /// Copies that wait.
    pub(super) waiting: usize,
    /// Bytes of their bodies.
    held: usize,
    ours: Progress,
    theirs: Progress,
    /// The time of the first audit event that the other handler showed: what happened before it
    /// was sent before we listened.
    first_theirs: Option<Timestamp>,
    /// When the recordings that we know of were announced.
    announced: HashMap<Digest, Option<Timestamp>>,
    announced_order: VecDeque<Digest>,
}

impl Books {
    pub(super) fn new(rules: Rules, bounds: Bounds) -> Self {
        let (a, b) = (bounds.patience, bounds.recording_patience);
        let progress = || Progress::new(a.min(b), a.max(b));
        Self {
            rules,
            bounds,
            tally: Tally::default(),
            findings: Vec::new(),
            waiting: 0,
            held: 0,
            ours: progress(),
            theirs: progress(),
            first_theirs: None,
            announced: HashMap::new(),
            announced_order: VecDeque::new(),
        }
    }

    pub(super) fn patience(&self, is_recorded: bool) -> Duration {
        if is_recorded { self.bounds.recording_patience } else { self.bounds.patience }
    }

    /// Counts an event that comes in; says whether it is to be compared.
    pub(super) fn admit(&mut self, side: Side, event: &Event, now: Moment) -> bool {
        self.tally.received[side] += 1;
        let kind = &event.about.kind;
        if event.is_recorded {
            if !self.rules.recordings || self.rules.skip_session_types.contains(kind) {
                self.tally.left_out[side] += 1;
                return false;
            }
            // Which recordings are compared is a question of when they were announced.
            return true;
        }
        if let Some(time) = event.time {
            if time <= now.wall.plus_seconds(FUTURE_SECS) {
                self.progress(side).note(time, now.since);
            }
            if side == Side::Theirs {
                self.first_theirs.get_or_insert(time);
            }
        }
        let Rules { from, to, .. } = self.rules;
        let second = event.time.map(Timestamp::seconds);
        if second.is_some_and(|second| second < from) {
            self.tally.before[side] += 1;
            return false;
        }
        if to.zip(second).is_some_and(|(to, second)| second >= to) {
            self.tally.after[side] += 1;
            return false;
        }
        if let Some(session) = event.announces
            && self.announced.insert(session, event.time).is_none()
        {
            self.announced_order.push_back(session);
            if self.announced_order.len() > MAX_ANNOUNCED
                && let Some(oldest) = self.announced_order.pop_front()
            {
                self.announced.remove(&oldest);
            }
        }
        let Rules { types, skip_event_types, .. } = &self.rules;
        if skip_event_types.contains(kind) || (!types.is_empty() && !types.contains(kind)) {
            self.tally.left_out[side] += 1;
            return false;
        }
        true
    }

    fn progress(&mut self, side: Side) -> &mut Progress {
        match side {
            Side::Ours => &mut self.ours,
            Side::Theirs => &mut self.theirs,
        }
    }

    pub(super) fn advance(&mut self, now: Duration) {
        self.ours.mark(now);
        self.theirs.mark(now);
    }

    /// How far a side had come at a moment.
    pub(super) fn reached(&self, side: Side, moment: Duration) -> Option<Timestamp> {
        match side {
            Side::Ours => self.ours.at(moment),
            Side::Theirs => self.theirs.at(moment),
        }
    }

    /// What the other side must have passed before it is missing a copy. An event of a recording is
    /// sent when its announcement is read, which is at the end of the session, hours behind the
    /// event. Of one whose announcement was not shown it is known that its sender had read it.
    pub(super) fn due(&self, copy: &Waiting) -> Option<Timestamp> {
        let Some(session) = copy.session else { return copy.time };
        let announced = self.announced.get(&session).copied().flatten();
        copy.time.max(announced.or(copy.shown))
    }

    pub(super) fn newest(&self, side: Side) -> Option<Timestamp> {
        match side {
            Side::Ours => self.ours.newest(),
            Side::Theirs => self.theirs.newest(),
        }
    }

    /// Keeps a copy; its body only if there is room. A copy of the bytes, because a body may be a
    /// slice of much more.
    pub(super) fn hold(&mut self, mut copy: Box<Waiting>) -> Box<Waiting> {
        self.waiting += 1;
        let room = self.held + copy.body_len() <= self.bounds.max_body_bytes;
        copy.body = copy.body.filter(|_| room).map(|body| Bytes::copy_from_slice(&body));
        self.held += copy.body_len();
        copy
    }

    /// Keeps it no longer.
    pub(super) fn release(&mut self, copy: &Waiting) {
        self.waiting -= 1;
        self.held -= copy.body_len();
    }

    pub(super) fn equal(&mut self, spelling: Spelling) {
        self.tally.count_equal(spelling, Sign::Count);
    }

    /// Two copies say different things. `first` is the one that waited, if it is still there.
    pub(super) fn differ(&mut self, side: Side, last: &Waiting, first: Option<&Waiting>) {
        self.tally.differs += 1;
        let mut finding = Finding::new(FindingKind::Differs, last.about.clone(), last.time);
        let bodies = last.body.as_deref().zip(first.and_then(|first| first.body.as_deref()));
        if let Some((last, first)) = bodies {
            let (ours, theirs) = if side == Side::Ours { (last, first) } else { (first, last) };
            // Both were read when they came.
            if let (Ok(ours), Ok(theirs)) = (Tree::read(ours), Tree::read(theirs)) {
                let (told, more) = differences(&ours, &theirs, self.rules.show_values);
                (finding.differences, finding.more_differences) = (told, more);
            }
        }
        finding.by_digest_only = finding.differences.is_empty();
        self.tally.differs_by_digest_only += u64::from(finding.by_digest_only);
        self.tell(finding);
    }

    /// A pair that was equal has a further copy that is not.
    pub(super) fn differ_after_all(&mut self, side: Side, last: &Waiting, was: Spelling) {
        self.tally.count_equal(was, Sign::Withdraw);
        self.differ(side, last, None);
    }

    pub(super) fn duplicate(&mut self, side: Side, copy: &Waiting) {
        self.tally.duplicates[side] += 1;
        let kind = match side {
            Side::Ours => FindingKind::OursTwice,
            Side::Theirs => FindingKind::Duplicate,
        };
        self.tell(Finding::new(kind, copy.about.clone(), copy.time));
    }

    pub(super) fn unreadable(&mut self, side: Side) {
        self.tally.received[side] += 1;
        self.tally.unreadable[side] += 1;
        let kind = match side {
            Side::Ours => FindingKind::OursUnreadable,
            Side::Theirs => FindingKind::TheirsUnreadable,
        };
        self.tell(Finding::new(kind, About::default(), None));
    }

    /// Why a copy without a partner has none.
    pub(super) fn alone(&self, side: Side, copy: &Waiting) -> Alone {
        let is_before = match (side, copy.session) {
            (Side::Ours, None) => self.is_before_theirs(copy.time),
            // A recording is sent when its announcement is.
            (Side::Ours, Some(session)) => {
                let announced = self.announced.get(&session).copied().flatten();
                self.is_before_theirs(announced)
            }
            (Side::Theirs, None) => false,
            // One that was announced before we began to read.
            (Side::Theirs, Some(session)) => {
                !self.announced.contains_key(&session)
                    && copy.time.is_some_and(|time| time.seconds() < self.rules.from)
            }
        };
        if is_before { Alone::Before } else { Alone::Only }
    }

    fn is_before_theirs(&self, time: Option<Timestamp>) -> bool {
        time.zip(self.first_theirs).is_some_and(|(time, first)| time < first)
    }

    /// Counts a copy that has no partner, and tells it if it should have one.
    pub(super) fn count_alone(&mut self, side: Side, alone: Alone, copy: &Waiting) {
        *self.count_of(side, alone) += 1;
        if alone == Alone::Only {
            let kind = match side {
                Side::Ours => FindingKind::OnlyOurs,
                Side::Theirs => FindingKind::OnlyTheirs,
            };
            self.tell(Finding::new(kind, copy.about.clone(), copy.time));
        }
    }

    /// The partner of a copy that was thought to be alone has come.
    pub(super) fn withdraw(&mut self, side: Side, alone: Alone, partner: &Waiting) {
        Sign::Withdraw.apply(self.count_of(side, alone), 1);
        if alone == Alone::Only {
            self.tally.late += 1;
            self.tell(Finding::new(FindingKind::Late, partner.about.clone(), partner.time));
        }
    }

    fn count_of(&mut self, side: Side, alone: Alone) -> &mut u64 {
        match alone {
            Alone::Only => &mut self.tally.only[side],
            Alone::Before => &mut self.tally.before[side],
            Alone::Unjudged => &mut self.tally.unjudged[side],
        }
    }

    fn tell(&mut self, finding: Finding) {
        if self.findings.len() < self.bounds.max_findings {
            self.findings.push(finding);
        } else {
            self.tally.untold += 1;
        }
    }
}
