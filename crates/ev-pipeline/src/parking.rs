//! Rounds over the parked events: when a decoder has come or changed, and on a timer.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    Attempt, AuthVersion, Choice, EventDigest, Form, LaneId, Mode, ParkReason, ParkedEvent,
    ParkedGroup, ParkedId, ParkedQuery, RawEvent, Route, StateError, StateStore, Timestamp,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::Error;
use crate::batches::{Origin, Ticket};
use crate::engine::Core;
use crate::identity::Identity;
use crate::intake::{Answer, Trouble, Way, place};
use crate::lanes::start_of;
use crate::watch::Told;

/// Parked events looked at in one go, and their bytes at most.
const CHUNK_EVENTS: usize = 256;
const CHUNK_BYTES: usize = 1 << 20;

/// First pause before an event on which a decoder failed, or that the receiver refused, is tried
/// again, and how often the pause doubles: up to about an hour.
const FAILED_PAUSE_SECONDS: i64 = 60;
const FAILED_PAUSE_DOUBLINGS: u32 = 6;

/// A round that is under way.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Groups that are still to be looked at, the first one from behind `after` on; `None` before
    /// the state was asked which there are.
    groups: Option<VecDeque<ParkedGroup>>,
    after: Option<ParkedId>,
    resolved: usize,
    tried: usize,
    /// Whether there are events that the timer has to look at again.
    waiting: bool,
}

impl Round {
    /// Whether the state was not asked yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.groups.is_none()
    }
}

/// Whether an event parked for that reason may become decodable by the same decoder.
pub(crate) fn may_pass_by_itself(reason: ParkReason) -> bool {
    match reason {
        ParkReason::Unknown | ParkReason::Malformed | ParkReason::Unprintable | ParkReason::Gap => {
            false
        }
        ParkReason::Waiting | ParkReason::DecoderFailed | ParkReason::Refused => true,
    }
}

impl Core {
    pub(crate) fn round_due(&self, now: Duration) -> bool {
        self.round.is_none() && self.any_parked() && self.worth_a_round && self.next_round <= now
    }

    pub(crate) fn any_parked(&self) -> bool {
        self.summary.totals.parked > 0 || self.book.has_parks()
    }

    /// Starts over: what an unfinished round had already looked at may be decodable now.
    pub(crate) fn begin_round(&mut self) {
        self.next_round = self.env.monotonic() + self.config.park_retry;
        if self.any_parked() {
            self.worth_a_round = false;
            self.round = Some(Round::default());
        }
    }

    /// Looks at the next parked events of the round.
    ///
    /// A state that cannot be read now is no reason to stop anything else: the next round tries
    /// again.
    ///
    /// # Errors
    ///
    /// When the state cannot be asked what is known.
    pub(crate) async fn continue_round(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let Some(mut round) = self.round.take() else { return Ok(()) };
        let groups = match round.groups.take() {
            Some(groups) => groups,
            None => {
                let sink = self.sink_id.clone();
                let Some(found) = self.look(move |store| store.parked_groups(&sink)).await else {
                    return Ok(());
                };
                let groups: VecDeque<_> = found.into_iter().map(|(group, _)| group).collect();
                round.waiting = groups.iter().any(|group| may_pass_by_itself(group.reason));
                groups
            }
        };
        let groups = round.groups.insert(groups);
        // Raw bytes are read only of events that are worth a try.
        let next = loop {
            let Some(group) = groups.front() else { break None };
            if let Some(way) = self.way_for_group(group) {
                break Some((group.clone(), way));
            }
            groups.pop_front();
            round.after = None;
        };
        let Some((group, (way, chosen_for))) = next else {
            // Or what was parked meanwhile has to be looked at.
            self.worth_a_round |= round.waiting;
            if round.resolved > 0 {
                let Round { resolved, tried, .. } = round;
                info!(resolved, tried, "parked events can be decoded now");
            }
            return Ok(());
        };
        let query = ParkedQuery { after: round.after, limit: CHUNK_EVENTS, max_bytes: CHUNK_BYTES };
        let sink = self.sink_id.clone();
        let read = move |store: &dyn StateStore| store.parked_in(&sink, &group, &query);
        let Some(parked) = self.look(read).await else { return Ok(()) };
        let Some(last) = parked.last() else {
            groups.pop_front();
            round.after = None;
            self.round = Some(round);
            return Ok(());
        };
        round.after = Some(last.id);
        // Runs of one route are decoded together.
        let mut rest =
            parked.into_iter().filter(|p| !self.retrying.contains(&p.id)).collect::<Vec<_>>();
        while let Some(first) = rest.first() {
            let route = route_of(&first.event.lane);
            let end = rest.iter().position(|p| route_of(&p.event.lane) != route);
            let later = rest.split_off(end.unwrap_or(rest.len()));
            let run = std::mem::replace(&mut rest, later);
            round.tried += run.len();
            round.resolved += self.try_parked(&way, &chosen_for, &route, run, stop).await?;
        }
        self.round = Some(round);
        Ok(())
    }

    /// What the state says of parked events; `None`, and the round is over, when it cannot be read.
    async fn look<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&dyn StateStore) -> Result<T, StateError> + Send + 'static,
    ) -> Option<T> {
        let store = self.store.clone();
        match self.exec.run(move || read(&*store)).await {
            Ok(found) => Some(found),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "parked events cannot be read, trying again later");
                self.worth_a_round = true;
                None
            }
        }
    }

    /// How to decode the events of a group, if that is worth a try, and for which version of Auth
    /// that was chosen.
    fn way_for_group(&self, group: &ParkedGroup) -> Option<(Way, AuthVersion)> {
        let chosen = match group.form {
            Form::OneOf => self.way_for_parked(&group.version),
            Form::Unstructured => Some((self.way_unstructured(), group.version.clone())),
        };
        // Parked by an earlier run: the same decoder would not know them now either.
        if let Some((way, chosen_for)) = &chosen
            && group.reason == ParkReason::Unknown
            && *chosen_for == group.version
            && !way.inexact
            && way.name() == group.decoder
        {
            self.decoders.report_unknown(chosen_for);
        }
        chosen.filter(|(way, _)| is_worth_trying(group, way, &way.name()))
    }

    /// The decoder of the version under which the event was served. When that is not to be had,
    /// and Auth has moved on, the exact one of the version that Auth has now: what it writes is
    /// what Auth itself would write for the event today.
    ///
    /// With the version for which the decoder was chosen.
    fn way_for_parked(&self, version: &AuthVersion) -> Option<(Way, AuthVersion)> {
        let own = self.decoders.choose(version);
        if let (Choice::Inexact { .. }, Some(current)) = (&own, &self.version)
            && current != version
        {
            let newer = self.decoders.choose(current);
            if matches!(newer, Choice::Exact(_)) {
                return Way::of(newer).map(|way| (way, current.clone()));
            }
        }
        Way::of(own).map(|way| (way, version.clone()))
    }

    /// Decodes parked events and puts into batches what has become decodable. Returns how many
    /// those were.
    async fn try_parked(
        &mut self,
        way: &Way,
        chosen_for: &AuthVersion,
        route: &Route,
        run: Vec<ParkedEvent>,
        stop: &CancellationToken,
    ) -> Result<usize, Error> {
        let name = way.name();
        let shared_name: Arc<str> = name.as_str().into();
        let now = self.env.now();
        let run: Vec<ParkedEvent> =
            run.into_iter().filter(|parked| has_its_turn(parked, &name, now)).collect();
        if run.is_empty() {
            return Ok(0);
        }
        // A decoder that is known to fail on one of these is not told of again, or a single event
        // could have it declared failing for ever.
        let is_news = run.iter().all(|parked| parked.event.decoder != name);
        let events = run
            .iter()
            .map(|p| RawEvent { form: p.event.form, bytes: p.event.bytes.clone() })
            .collect();
        let buffer = self.batches.take_buffer(route);
        let decoded = self.decode(way, events, buffer).await;
        if let Some(error) = decoded.failure.as_ref().filter(|_| is_news) {
            // Not the version of the events, nor that of the decoder itself, which may be a near one.
            self.decoders.report_failure(chosen_for, error);
        }
        let mut buffer = decoded.buffer;
        let mut added = Vec::new();
        for ((parked, event), answer) in run.iter().zip(&decoded.events).zip(decoded.answers) {
            if matches!(answer, Answer::Untried) {
                // No attempt, so it has its turn when those that failed have to pause.
                continue;
            }
            match place(Some(answer), Some(way), &mut buffer) {
                Ok((json, facts)) => {
                    let seen = Identity::of_facts(event, &facts);
                    let before = Identity { digest: parked.event.digest, ..seen };
                    let old = self.ledger.key.line(&before);
                    let learned = match self.learn(parked, &seen, stop).await? {
                        Learned::Nothing => None,
                        Learned::Id(lane, digest) => Some((lane, digest)),
                        Learned::Repeated => {
                            self.book.hours().remove(&old);
                            self.drop_repeated(parked.id, event.bytes.len());
                            continue;
                        }
                    };
                    self.retrying.insert(parked.id);
                    // One that was refused has announced its recording when it was parked.
                    let refused = parked.event.reason == ParkReason::Refused;
                    let announces =
                        (!refused).then(|| self.announces(route, event, &facts)).flatten();
                    let decoder = shared_name.clone();
                    let origin = Origin::Parked {
                        id: parked.id,
                        lines: learned.as_ref().map(|_| (old, self.ledger.key.line(&seen))),
                        learned,
                        decoder,
                        bytes: event.bytes.len(),
                        refused,
                    };
                    // One that was refused was decoded and told of when it was taken.
                    if !refused {
                        self.tell_taken(route, seen.digest, event, &facts);
                    }
                    let told = Told::of(event, &facts);
                    let (by, inexact) = (way.kind(), way.inexact);
                    let second = facts.time.seconds();
                    let ticket = Ticket { origin, by, inexact, announces, second, told };
                    added.push((json, ticket));
                }
                Err(Trouble { reason, detail, decoder }) => {
                    // One that was refused stays so, whatever befalls it next: it has been told of
                    // and has announced its recording, and must not do so again.
                    let was_refused = parked.event.reason == ParkReason::Refused;
                    let reason = if was_refused { ParkReason::Refused } else { reason };
                    let (id, at) = (parked.id, self.env.now());
                    // Until that is committed, another round would find it as it was.
                    self.retrying.insert(id);
                    self.change.attempt.push(Attempt { id, reason, detail, decoder, at });
                }
            }
        }
        let resolved = added.len();
        let now = self.env.monotonic();
        self.batches.put_buffer(route, buffer, added, now);
        self.changed();
        debug!(version = %chosen_for, resolved, "tried parked events");
        Ok(resolved)
    }
}

/// The same decoder gives the same answer about the same bytes, unless it failed: that may have
/// been the machine's fault. What the receiver refuses is tried again too: its settings may have
/// changed.
fn is_worth_trying(group: &ParkedGroup, way: &Way, name: &str) -> bool {
    match group.reason {
        ParkReason::Gap => false,
        _ if group.decoder != name => true,
        ParkReason::Unknown => way.mode == Mode::KnownPart,
        reason => may_pass_by_itself(reason),
    }
}

/// Whether an event of such a group has its turn: after a pause that doubles with each attempt of
/// the same decoder.
fn has_its_turn(parked: &ParkedEvent, name: &str, now: Timestamp) -> bool {
    let event = &parked.event;
    match event.reason {
        ParkReason::DecoderFailed | ParkReason::Refused if event.decoder == name => {
            let pause = FAILED_PAUSE_SECONDS << parked.attempts.min(FAILED_PAUSE_DOUBLINGS);
            let last = parked.last_attempt.unwrap_or(event.at);
            // A clock that was ahead then must not hold it back until it is so late again.
            last > now || last.plus_seconds(pause) <= now
        }
        _ => true,
    }
}

/// What follows from the id of an event that is decoded at last.
enum Learned {
    /// It had that id when it was parked.
    Nothing,
    /// It is known by this id from now on.
    Id(LaneId, EventDigest),
    /// The event has been taken before, and is delivered or on its way.
    Repeated,
}

impl Core {
    /// The id of an event that had none when it was parked, because nobody could decode it then.
    async fn learn(
        &mut self,
        parked: &ParkedEvent,
        seen: &Identity,
        stop: &CancellationToken,
    ) -> Result<Learned, Error> {
        let (lane, digest) = (&parked.event.lane, seen.digest);
        if matches!(lane, LaneId::Session(_)) || digest == parked.event.digest {
            return Ok(Learned::Nothing);
        }
        // Its own id, from an attempt in vain to deliver it.
        if self.learned.get(&parked.id) == Some(&digest) {
            return Ok(Learned::Id(lane.clone(), digest));
        }
        let key = self.book.key(lane);
        let nearby = key.and_then(|key| Some((key, self.book.nearby(key)?)));
        // Another road may have brought it in a form in which it had its id from the beginning.
        let second = match seen.time {
            Timestamp::ZERO_YEAR_ONE => start_of(lane),
            time => Some(time.seconds()),
        };
        let mut others = second.map(|at| self.left_over.lanes_of(at..=at)).unwrap_or_default();
        if nearby.is_none() {
            others.extend(second.into_iter().flat_map(|second| self.book.around(second)));
        }
        let digests = BTreeSet::from([digest]);
        if !self.look_up(nearby.as_ref(), others, digests, stop).await?.is_empty() {
            return Ok(Learned::Repeated);
        }
        match key {
            Some(key) => self.book.learn(key, digest),
            None => self.left_over.learn(digest),
        }
        self.learned.insert(parked.id, digest);
        Ok(Learned::Id(lane.clone(), digest))
    }

    /// Takes a parked event back that was no new one.
    fn drop_repeated(&mut self, id: ParkedId, bytes: usize) {
        self.room.give_back(bytes);
        let totals = &mut self.summary.totals;
        totals.parked = totals.parked.saturating_sub(1);
        totals.passed = totals.passed.saturating_sub(1);
        // Until that is committed, a round would find it in the state once more.
        self.retrying.insert(id);
        self.change.resolve.push(id);
    }
}

fn route_of(lane: &LaneId) -> Route {
    match lane {
        LaneId::Session(session) => Route::Session(session.clone()),
        LaneId::Window { .. } | LaneId::Chunk { .. } => Route::Audit,
    }
}
