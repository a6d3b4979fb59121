//! What becomes of a page: events that are known, filtered, decoded or parked.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use ev_core::{
    AuthVersion, Choice, Cost, Decoder, DecoderKind, EventDigest, Facts, Form, Gap, LaneGap,
    LaneId, Mode, NewParked, Outcome, Output, Page, ParkReason, RawEvent, Route, SessionId, Span,
    Timestamp, UnknownPolicy,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::Error;
use crate::batches::{Origin, Ticket};
use crate::digest::sha256;
use crate::engine::Core;
use crate::lanes::Slot;
use crate::plan::{Item, New, What, items};
use crate::tally::Settled;
use crate::watch::Told;

/// Type of the events that announce a recording.
pub const SESSION_UPLOAD: &str = "session.upload";

/// Key added to the JSON of an event of which only a part is known. Both flavours have it last.
const INCOMPLETE_MARK: &[u8] = b"\"ev_incomplete\":true";

/// Events of a page on which the decoder may fail before the rest is parked without being tried.
/// Each may take as long as a guest's deadline, and nothing else is looked at meanwhile.
const MAX_FAILURES: u32 = 5;

/// A decoder and how to use it.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) decoder: Arc<dyn Decoder>,
    pub(crate) mode: Mode,
    pub(crate) inexact: bool,
}

impl Way {
    /// The way to decode, or `None` while there is none.
    pub(crate) fn of(choice: Choice) -> Option<Self> {
        match choice {
            Choice::Exact(decoder) => Some(Self { decoder, mode: Mode::Strict, inexact: false }),
            Choice::Pending => None,
            Choice::Inexact { decoder, unknown } => {
                let mode = match unknown {
                    UnknownPolicy::Park => Mode::Strict,
                    UnknownPolicy::Incomplete => Mode::KnownPart,
                };
                Some(Self { decoder, mode, inexact: true })
            }
        }
    }

    /// Whether Auth is shown to have another schema than this decoder, which was taken for exact.
    fn is_outgrown_by(&self, answers: &[Answer]) -> bool {
        let is_unknown =
            |answer: &Answer| matches!(answer, Answer::Outcome(Outcome::Unknown { .. }));
        !self.inexact && answers.iter().any(is_unknown)
    }

    pub(crate) fn kind(&self) -> DecoderKind {
        self.decoder.identity().kind
    }

    /// What is stored with an event that this could not decode.
    pub(crate) fn name(&self) -> String {
        let identity = self.decoder.identity();
        let digest = identity.artifact_sha256.unwrap_or(identity.schema_sha256);
        let short: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{identity} {short}")
    }
}

/// The answer for one event, the decoder's own failure included.
pub(crate) enum Answer {
    Outcome(Outcome),
    /// The decoder failed on this event alone.
    Failed(String),
    /// The decoder failed on so many others that this one was not tried.
    Untried,
}

impl Answer {
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Outcome(outcome) => Some(outcome),
            Self::Failed(_) | Self::Untried => None,
        }
    }
}

/// Events with their answers, and the buffer with the JSON of those that have some.
pub(crate) struct Decoded {
    pub(crate) events: Vec<RawEvent>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) failure: Option<ev_core::DecoderError>,
}

/// Why an event cannot be sent now.
pub(crate) struct Trouble {
    pub(crate) reason: ParkReason,
    pub(crate) detail: String,
    /// What has tried.
    pub(crate) decoder: String,
}

impl Core {
    /// Takes a page: afterwards each of its events is in a batch, settled, or known.
    ///
    /// # Errors
    ///
    /// When the state cannot be asked what is known; then nothing of the page was taken.
    pub(crate) async fn take_page(
        &mut self,
        page: Page,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let Page { lane, version, events, marks, repeats } = page;
        let Some(key) = self.book.key(&lane) else {
            debug!(%lane, "page of a lane that is closed");
            return Ok(());
        };
        self.summary.read += events.len() as u64;
        let route = match &lane {
            LaneId::Session(session) => Route::Session(session.clone()),
            LaneId::Window { .. } | LaneId::Chunk { .. } => Route::Audit,
        };
        let total = events.len();
        self.rates.scanned(&route, total);
        // Those of a page came by the same call.
        let form = events.first().map_or(Form::OneOf, |event| event.form);
        let page_bytes: usize = events.iter().map(|event| event.bytes.len()).sum();
        let repeated = self.summary.repeated;
        let places = self.places(key, &route);
        let sights = self.look_at(&places, &route, &events, repeats);
        let known = self.known_by_uid(&places, &sights, stop).await?;
        let mut marks = marks.into_iter().peekable();
        // In front of the page, so that what is known of it is known as part of this page.
        while let Some(mark) = marks.next_if(|mark| mark.after == 0) {
            self.book.mark(key, mark.token);
        }
        let (plan, fresh) = self.plan(key, &route, events, &sights, &known);
        let way = self.way(form, &version);
        let buffer = self.batches.take_buffer(&route);
        let decoded = match &way {
            Some(way) => self.decode(way, fresh, buffer).await,
            None => Decoded { events: fresh, answers: Vec::new(), buffer, failure: None },
        };
        if let Some(error) = &decoded.failure {
            self.decoders.report_failure(&version, error);
        }
        if way.as_ref().is_some_and(|way| way.is_outgrown_by(&decoded.answers)) {
            self.decoders.report_unknown(&version);
        }
        let Decoded { events, answers, mut buffer, .. } = decoded;
        let items = items(plan, events, answers);
        let known = self.known_by_place(&places, &items, repeats, stop).await?;
        let newest = items.iter().map(Item::second).max();

        let mut added = Vec::new();
        for Item { position, what } in items {
            while let Some(mark) = marks.next_if(|mark| mark.after <= position) {
                self.book.mark(key, mark.token);
            }
            let New { event, answer, seen, is_filtered, .. } = match what {
                What::New(new) => new,
                What::Known { digest, .. } => {
                    self.book.recognise(key, &digest);
                    self.book.leave_to_other(key, &digest);
                    self.summary.repeated += 1;
                    continue;
                }
            };
            if self.book.recognise(key, &seen.digest) || known.contains(&seen.digest) {
                self.book.leave_to_other(key, &seen.digest);
                self.summary.repeated += 1;
                continue;
            }
            let Some(slot) = self.book.take(key, seen.digest, seen.time) else { continue };
            if route == Route::Audit {
                self.rates.taken(seen.time.seconds());
            }
            let slot = match &route {
                Route::Audit => slot.prove(self.ledger.key.line(&seen)),
                Route::Session(_) => self.book.prove_recorded(slot, &self.ledger.key, &seen),
            };
            if is_filtered {
                self.rates.skipped(&route);
                self.settle_now(slot, Settled::Filtered);
                continue;
            }
            if let Some(Answer::Outcome(outcome)) = &answer {
                self.unknown.note(&event, outcome);
            }
            match place(answer, way.as_ref(), &mut buffer) {
                Ok((json, facts)) => {
                    let by = way.as_ref().map_or(DecoderKind::Native, Way::kind);
                    let inexact = way.as_ref().is_some_and(|way| way.inexact);
                    let announces = self.announces(&route, &event, &facts);
                    self.tell_taken(&route, seen.digest, &event, &facts);
                    let told = Told::of(&event, &facts);
                    let version = version.clone();
                    let origin = Origin::Lane { slot, event, version };
                    let second = facts.time.seconds();
                    added.push((json, Ticket { origin, by, inexact, announces, second, told }));
                }
                Err(trouble) => {
                    let digest = slot.digest(&event.bytes);
                    let parked = NewParked {
                        lane: lane.clone(),
                        digest,
                        form: event.form,
                        // Copied out, or it would keep its whole page alive.
                        bytes: Bytes::copy_from_slice(&event.bytes),
                        version: version.clone(),
                        reason: trouble.reason,
                        detail: trouble.detail,
                        decoder: trouble.decoder,
                        at: self.env.now(),
                    };
                    self.park(slot, parked);
                }
            }
        }
        for mark in marks.filter(|mark| mark.after <= total) {
            self.book.mark(key, mark.token);
        }
        if total > 0 {
            let newest = newest.unwrap_or(i64::MIN);
            self.book.looked_at(key, newest, self.summary.repeated > repeated);
        }
        own_rare_events(&mut added, page_bytes);
        let now = self.env.monotonic();
        self.batches.put_buffer(&route, buffer, added, now);
        self.changed();
        Ok(())
    }

    /// Takes a gap: a record of it is parked in its place, once.
    ///
    /// # Errors
    ///
    /// As [`Core::take_page`].
    pub(crate) async fn take_gap(
        &mut self,
        gap: LaneGap,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let LaneGap { lane, version, gap: Gap { from, to, reason } } = gap;
        let Some(key) = self.book.key(&lane) else { return Ok(()) };
        self.summary.read += 1;
        // The same in whichever window or pass it is met.
        let digest = EventDigest::of(&sha256(format!("gap {from} {to}").as_bytes()));
        let nearby = self.book.nearby(key).map(|nearby| (key, nearby));
        let known = match &nearby {
            Some(_) => {
                let digests = BTreeSet::from([digest]);
                self.look_up(nearby.as_ref(), Vec::new(), digests, stop).await?
            }
            None => BTreeSet::new(),
        };
        if self.book.recognise(key, &digest) || !known.is_empty() {
            self.book.leave_to_other(key, &digest);
            self.summary.repeated += 1;
            return Ok(());
        }
        let at = Timestamp::new(from, 0);
        let Some(slot) = self.book.take(key, digest, at) else { return Ok(()) };
        let detail = format!("from {at} to {}: {reason}", Timestamp::new(to, 0));
        error!(%lane, detail, "a part of the log cannot be read, passing over it");
        let parked = NewParked {
            lane,
            digest,
            form: Form::OneOf,
            bytes: Bytes::new(),
            version,
            reason: ParkReason::Gap,
            detail,
            decoder: String::new(),
            at: self.env.now(),
        };
        self.park(slot, parked);
        self.changed();
        Ok(())
    }

    /// The way to decode events of that form that came from Auth of that version; `None` while
    /// there is none.
    fn way(&self, form: Form, version: &AuthVersion) -> Option<Way> {
        match form {
            Form::OneOf => Way::of(self.decoders.choose(version)),
            Form::Unstructured => Some(self.way_unstructured()),
        }
    }

    /// The way to decode events that Auth has made JSON of, whatever its version.
    pub(crate) fn way_unstructured(&self) -> Way {
        Way { decoder: self.unstructured.clone(), mode: Mode::Strict, inexact: false }
    }

    /// Decodes events behind what `buffer` holds, in place or on a thread of its own. If the
    /// decoder fails on all of them together, they are tried one by one.
    pub(crate) async fn decode(
        &self,
        way: &Way,
        events: Vec<RawEvent>,
        buffer: Vec<u8>,
    ) -> Decoded {
        let Way { decoder, mode, .. } = way.clone();
        match decoder.cost() {
            Cost::Inline => decode_all(&*decoder, mode, events, buffer),
            Cost::Blocking => {
                self.exec.run(move || decode_all(&*decoder, mode, events, buffer)).await
            }
        }
    }

    pub(crate) fn settle_now(&mut self, slot: Slot, how: Settled) {
        self.summary.settled(&how);
        self.change_events += 1;
        self.book.settle(slot, how);
    }

    /// The recording that an event of the audit log announces.
    pub(crate) fn announces(
        &self,
        route: &Route,
        event: &RawEvent,
        facts: &Facts,
    ) -> Option<SessionId> {
        if *route != Route::Audit || facts.kind.of(&event.bytes) != SESSION_UPLOAD.as_bytes() {
            return None;
        }
        SessionId::try_new(facts.session.of(&event.bytes))
            .inspect_err(|error| warn!(%error, "recording with an unusable session id is left out"))
            .ok()
    }
}

/// Copies events out of their page when they are the smaller part of it: each keeps the whole page
/// in memory until it is settled.
fn own_rare_events(added: &mut [(Span, Ticket)], page_bytes: usize) {
    let kept = |(_, ticket): &mut (Span, Ticket)| ticket.event_mut().map(|event| event.bytes.len());
    let kept: usize = added.iter_mut().filter_map(kept).sum();
    if kept < page_bytes / 2 {
        for event in added.iter_mut().filter_map(|(_, ticket)| ticket.event_mut()) {
            event.bytes = Bytes::copy_from_slice(&event.bytes);
        }
    }
}

/// The JSON of an event, or why it has to be parked. An incomplete one is written once more, with
/// its mark.
pub(crate) fn place(
    answer: Option<Answer>,
    way: Option<&Way>,
    buffer: &mut Vec<u8>,
) -> Result<(Span, Facts), Trouble> {
    let (reason, detail) = match answer {
        Some(Answer::Outcome(Outcome::Decoded { json, facts })) => return Ok((json, facts)),
        Some(Answer::Outcome(Outcome::Unknown {
            known: Some(known), facts: Some(facts), ..
        })) => {
            return Ok((mark_incomplete(buffer, known), facts));
        }
        Some(Answer::Outcome(outcome)) => explain(&outcome),
        Some(Answer::Failed(what)) => (ParkReason::DecoderFailed, what),
        Some(Answer::Untried) => {
            // Without a decoder's name, so that it is tried the next time, when those on which
            // the decoder fails have longer pauses.
            let detail = "not tried: the decoder failed too often on its page".to_owned();
            let reason = ParkReason::DecoderFailed;
            return Err(Trouble { reason, detail, decoder: String::new() });
        }
        None => (ParkReason::Waiting, String::new()),
    };
    Err(Trouble { reason, detail, decoder: way.map(Way::name).unwrap_or_default() })
}

/// Why an event without JSON is parked.
fn explain(outcome: &Outcome) -> (ParkReason, String) {
    match outcome {
        Outcome::Unknown { at, path, .. } => {
            (ParkReason::Unknown, format!("unknown field {path} at byte {at}"))
        }
        Outcome::Malformed { at, what } => (ParkReason::Malformed, format!("{what} at byte {at}")),
        Outcome::Unprintable { at, path, what, .. } => {
            (ParkReason::Unprintable, format!("{what} in {path} at byte {at}"))
        }
        Outcome::Decoded { .. } => (ParkReason::DecoderFailed, String::new()),
    }
}

/// Writes the object at `known` again at the end of the buffer, with the mark as its last member.
fn mark_incomplete(buffer: &mut Vec<u8>, known: Span) -> Span {
    let start = buffer.len();
    let inside = known.start as usize..(known.end as usize).saturating_sub(1);
    buffer.extend_from_within(inside);
    if known.len() > 2 {
        buffer.push(b',');
    }
    buffer.extend_from_slice(INCOMPLETE_MARK);
    buffer.push(b'}');
    let span = Span::new(start, buffer.len());
    buffer.push(b',');
    span
}

fn decode_all(
    decoder: &dyn Decoder,
    mode: Mode,
    events: Vec<RawEvent>,
    buffer: Vec<u8>,
) -> Decoded {
    let mut out = Output::with_buffer(buffer);
    let Err(error) = decoder.decode(&events, mode, &mut out) else {
        let (buffer, outcomes) = out.into_parts();
        let answers = outcomes.into_iter().map(Answer::Outcome).collect();
        return Decoded { events, answers, buffer, failure: None };
    };
    let mut answers = Vec::with_capacity(events.len());
    let (mut buffer, _) = out.into_parts();
    let mut failures = 0;
    for event in &events {
        if failures == MAX_FAILURES {
            answers.push(Answer::Untried);
            continue;
        }
        let mut one = Output::with_buffer(buffer);
        let result = decoder.decode(std::slice::from_ref(event), mode, &mut one);
        let (written, outcomes) = one.into_parts();
        buffer = written;
        let answer = match (result, outcomes.into_iter().next()) {
            (Ok(()), Some(outcome)) => Answer::Outcome(outcome),
            (Ok(()), None) => Answer::Failed("decoder gave no answer".to_owned()),
            (Err(error), _) => Answer::Failed(error.message),
        };
        failures += u32::from(matches!(answer, Answer::Failed(_)));
        answers.push(answer);
    }
    Decoded { events, answers, buffer, failure: Some(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_the_last_member() {
        let check = |json: &str, marked: &str| {
            let mut buffer = format!("{{\"before\":1}},{json},").into_bytes();
            let start = "{\"before\":1},".len();
            let span = mark_incomplete(&mut buffer, Span::new(start, start + json.len()));
            assert_eq!(std::str::from_utf8(span.of(&buffer)), Ok(marked));
            assert_eq!(buffer.last(), Some(&b','));
        };
        check(r#"{"a":{}}"#, r#"{"a":{},"ev_incomplete":true}"#);
        check("{}", r#"{"ev_incomplete":true}"#);
    }
}
