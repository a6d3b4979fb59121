//! Sends what is missing of an hour, and brings its row of the ledger up to date.
//!
//! What is sent goes the way of a replay: it is acknowledged, left out by a setting, or found to be
//! undeliverable, which is parked in the handler's state. Only when all of the hour is settled like
//! that, one transaction changes the row, the totals and the parked events. A crash in front of it
//! costs possible duplicates and nothing else.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use ev_config::Settings;
use ev_core::{
    Change, Claim, Env, Epoch, EventDigest, LaneId, LedgerHour, NewParked, SessionId,
    SessionLedger, SinkId, Source as _, SpanQuery, StateError, StateStore as _, Survey, Timestamp,
    Token, Totals,
};
use ev_pipeline::Status;
use ev_pipeline::ledger::{Hour, LedgerKey, Recording};
use ev_source::SearchSource;
use ev_state::{LedgerFacts, SqliteStore};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Check;
use super::compare::{Compared, Remedy};
use super::ids::Ids;
use super::picking::{Picked, Picking, Wanted};
use super::recordings;
use super::verdict::Verdict;
use crate::progress::{Facts, Progress};
use crate::replay::send::{Sender, Sent};
use crate::replay::source::SpanSource;
use crate::start::{Error, parts};
use crate::upstream::refused;

/// Undeliverable events of one hour that are parked, and their bytes at most: they are one
/// transaction.
const MAX_PARKED: usize = 10_000;
const MAX_PARKED_BYTES: u64 = 64 << 20;

/// Facts of parked events read in one go.
const CHUNK: usize = 1_000;

/// What was done about an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Repaired {
    /// Whether all of the hour was sent, as nobody can tell what was missing.
    pub(super) whole: bool,
    /// Acknowledged by the receiver.
    pub(super) sent: u64,
    /// Left out by `skip-event-types`.
    pub(super) filtered: u64,
    /// Sent again as nobody knows whether they had arrived.
    pub(super) possible_duplicates: u64,
    /// Undeliverable, and parked in the state now.
    pub(super) parked: u64,
    /// Why the hour differs still; `None` if it is equal now.
    pub(super) left: Option<String>,
}

impl Repaired {
    /// Nothing was sent.
    fn not(why: &str) -> Self {
        Self { left: Some(why.to_owned()), ..Self::default() }
    }
}

/// What is to be done about a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Again {
    /// Why the handler does not read it again; `None` if it does.
    pub(super) left: Option<&'static str>,
}

/// Opens the state for us alone.
///
/// # Errors
///
/// When a handler has it, or it cannot be used.
pub(super) fn store(storage: &Path) -> Result<SqliteStore, Error> {
    SqliteStore::open_existing(storage).map_err(|error| match error {
        StateError::InUse { .. } => refused(format!(
            "{error}; stop the handler first, it goes on where it stood when it is started again \
             (without `--repair` the comparison works while it runs)"
        )),
        other => other.into(),
    })
}

/// What a repair works with.
pub(super) struct Repair {
    store: SqliteStore,
    sink: SinkId,
    epoch: Epoch,
    totals: Totals,
    parked_bytes: u64,
    max_parked_events: u64,
    max_parked_bytes: u64,
    key: LedgerKey,
    first_hour: Option<i64>,
    /// Whether recordings are read that an event announces.
    recordings: bool,
    source: Arc<Mutex<SearchSource>>,
    ids: Arc<Mutex<Ids>>,
    survey: Survey,
    sender: Sender,
}

impl Repair {
    /// Takes the sink's rows over.
    ///
    /// # Errors
    ///
    /// When settings or the state cannot be used.
    pub(super) async fn start(
        settings: &Settings,
        sink: SinkId,
        store: SqliteStore,
        facts: &LedgerFacts,
        check: &Check,
        survey: Survey,
        env: &Arc<dyn Env>,
    ) -> Result<Self, Error> {
        let (source, ids) = (check.source.clone(), check.ids.clone());
        let snapshot = store.open_sink(&Claim {
            sink: sink.clone(),
            cluster: survey.cluster.clone(),
            flavour: parts::flavour(settings),
            start_time: Timestamp::new(facts.start_seconds, 0),
        })?;
        let config = parts::engine(settings);
        let (max_parked_events, max_parked_bytes) =
            (config.max_parked_events, config.max_parked_bytes);
        let recordings = config.reads_recordings();
        let sender = {
            let mut source = source.lock().await;
            let (artifacts, flavour) = (source.artifacts(), snapshot.flavour);
            let mut sender =
                Sender::start(settings, &sink.0, config, &survey, flavour, artifacts, env)?;
            sender.choose_road(settings, &mut source, &survey.version).await?;
            sender
        };
        Ok(Self {
            store,
            sink,
            epoch: snapshot.epoch,
            totals: snapshot.totals,
            parked_bytes: snapshot.parked_bytes,
            max_parked_events,
            max_parked_bytes,
            key: LedgerKey::new(&facts.key),
            first_hour: facts.first_hour,
            recordings,
            source,
            ids,
            survey,
            sender,
        })
    }

    /// Repairs an hour, as far as that can be done; `None` if there is nothing to repair.
    ///
    /// `seconds` are those of the hour that count, `row` is what it was compared with.
    ///
    /// # Errors
    ///
    /// When something cannot go on that waiting does not mend. Nothing was written then.
    pub(super) async fn hour(
        &mut self,
        compared: &Compared,
        row: Option<&LedgerHour>,
        seconds: Range<i64>,
        stop: &CancellationToken,
        progress: &mut Progress,
    ) -> Result<Option<Repaired>, Error> {
        if matches!(compared.verdict, Verdict::Equal | Verdict::Open) {
            return Ok(None);
        }
        let remedy = compared.remedy();
        if let Some(why) = why_not(compared, remedy, self.first_hour) {
            return Ok(Some(Repaired::not(why)));
        }
        let only = (remedy == Remedy::Named).then(|| compared.missing_ids.clone());
        let (sent, picked) = self.send(seconds, only.clone(), stop, progress).await?;
        let totals = &sent.summary.totals;
        let mut repaired = Repaired {
            whole: remedy == Remedy::Whole,
            sent: totals.delivered + totals.resolved,
            filtered: totals.filtered,
            possible_duplicates: sent.possible_duplicates,
            parked: 0,
            left: None,
        };
        if !sent.complete {
            repaired.left = Some("stopped before all of it was sent".to_owned());
            return Ok(Some(repaired));
        }
        if only.is_none() && picked.unidentified > 0 {
            repaired.left = Some("events without an id cannot be counted".to_owned());
            return Ok(Some(repaired));
        }
        let Some(parks) = self.to_park(&sent)? else {
            repaired.left = Some("no room for the events that cannot be delivered".to_owned());
            return Ok(Some(repaired));
        };
        repaired.parked = parks.len() as u64;
        repaired.left = left_over(compared, only.as_ref(), &picked);
        let base = only.is_some().then_some(row).flatten();
        self.settle(compared.hour, base, &picked, totals, parks).await?;
        info!(
            hour = %Timestamp::new(compared.hour.saturating_mul(LedgerHour::SECONDS), 0),
            whole = repaired.whole,
            sent = repaired.sent,
            filtered = repaired.filtered,
            parked = repaired.parked,
            "an hour of the ledger is repaired"
        );
        Ok(Some(repaired))
    }

    /// Sends those of the seconds' events that are wanted.
    async fn send(
        &self,
        span: Range<i64>,
        only: Option<BTreeSet<EventDigest>>,
        stop: &CancellationToken,
        progress: &mut Progress,
    ) -> Result<(Sent, Picked), Error> {
        let query = SpanQuery { from: span.start, to: span.end, types: Vec::new() };
        let reader = self.source.lock().await.span(query);
        let wanted = Wanted { span: span.clone(), only };
        let picking = Picking::new(reader, Arc::clone(&self.ids), self.key, wanted);
        let picked = picking.picked();
        let source = SpanSource::through(
            self.source.clone(),
            self.survey.clone(),
            span.clone(),
            Box::new(picking),
        );
        let note = |facts: &mut Facts, status: &Status| {
            facts.more = Some(format!("{} sent again", status.summary.sent));
        };
        let sent = self.sender.send(source, span, stop, progress, note).await;
        progress.facts.more = None;
        let sent = sent?;
        let picked = std::mem::take(&mut *picked.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((sent, picked))
    }

    /// What could not be delivered and is not parked yet; `None` if there is no room for it.
    fn to_park(&self, sent: &Sent) -> Result<Option<Vec<NewParked>>, StateError> {
        let (mut parks, mut bytes, mut fits) = (Vec::new(), 0, true);
        let mut ids = HashSet::new();
        sent.parked.for_each(|parked| {
            bytes += parked.event.bytes.len() as u64;
            fits &= parks.len() < MAX_PARKED && bytes <= MAX_PARKED_BYTES;
            if fits {
                ids.insert(parked.event.digest);
                parks.push(parked.event);
            }
            Ok(())
        })?;
        if !fits {
            return Ok(None);
        }
        let mut after = None;
        while !ids.is_empty() {
            let facts = self.store.parked_facts(after, CHUNK)?;
            let Some(last) = facts.last() else { break };
            after = Some(last.id);
            for known in facts.iter().filter(|facts| ids.remove(&facts.digest)) {
                parks.retain(|parked| parked.digest != known.digest);
            }
        }
        let bytes: u64 = parks.iter().map(|parked| parked.bytes.len() as u64).sum();
        let fits = self.totals.parked + parks.len() as u64 <= self.max_parked_events
            && self.parked_bytes + bytes <= self.max_parked_bytes;
        Ok((parks.is_empty() || fits).then_some(parks))
    }

    /// Writes that all of it is settled.
    async fn settle(
        &mut self,
        hour: i64,
        base: Option<&LedgerHour>,
        picked: &Picked,
        settled: &Totals,
        parks: Vec<NewParked>,
    ) -> Result<(), Error> {
        let mut sums = base.and_then(Hour::from_row).unwrap_or_default();
        sums.add(&picked.sums);
        let bytes: u64 = parks.iter().map(|parked| parked.bytes.len() as u64).sum();
        let totals = with(self.totals, settled, parks.len() as u64);
        let sessions = self.unread(picked)?;
        let change = Change {
            open: self.lanes(&sessions).await,
            session_ledger: sessions.into_iter().map(begun).collect(),
            park: parks,
            ledger: vec![sums.to_row(hour)],
            totals: Some(totals),
            ..Change::default()
        };
        self.store.commit(&self.sink, self.epoch, &change)?;
        self.totals = totals;
        self.parked_bytes += bytes;
        Ok(())
    }

    /// Recordings that are announced by what was picked and of which the ledger knows nothing.
    fn unread(&self, picked: &Picked) -> Result<Vec<SessionId>, StateError> {
        let mut unread = Vec::new();
        for session in picked.recordings.iter().filter(|_| self.recordings) {
            if self.store.session_ledger(&self.sink, session)?.is_none() {
                unread.push(session.clone());
            }
        }
        Ok(unread)
    }

    /// The lanes of recordings, from their beginning: the handler reads them when it is started.
    async fn lanes(&self, sessions: &[SessionId]) -> Vec<(LaneId, Token)> {
        let mut source = self.source.lock().await;
        let mut lanes = Vec::with_capacity(sessions.len());
        for session in sessions {
            let lane = LaneId::Session(session.clone());
            let token = source.open(&lane, None);
            source.close(&lane);
            lanes.push((lane, token));
        }
        lanes
    }

    /// Has the handler read a recording again of which Auth has what the ledger has not; `None` if
    /// there is nothing to repair. `hour` is the one in which it was announced.
    ///
    /// # Errors
    ///
    /// When the state cannot be written.
    pub(super) async fn recording(
        &mut self,
        hour: i64,
        compared: &recordings::Compared,
    ) -> Result<Option<Again>, Error> {
        let left = match compared.verdict {
            Verdict::Equal | Verdict::Open => return Ok(None),
            _ => why_not_again(compared, hour, self.first_hour),
        };
        if left.is_none() {
            let session = compared.session.clone();
            let change = Change {
                open: self.lanes(std::slice::from_ref(&session)).await,
                session_ledger: vec![begun(session)],
                ..Change::default()
            };
            self.store.commit(&self.sink, self.epoch, &change)?;
            info!(session = %compared.session, "the handler reads a recording again");
        }
        Ok(Some(Again { left }))
    }

    /// Ends what runs beside.
    ///
    /// # Errors
    ///
    /// If it had panicked.
    pub(super) async fn end(self) -> Result<(), Error> {
        self.sender.end().await
    }
}

/// Why nothing is sent of an hour that is not equal.
fn why_not(compared: &Compared, remedy: Remedy, first_hour: Option<i64>) -> Option<&'static str> {
    let before = first_hour.is_none_or(|first| compared.hour < first);
    match (compared.verdict, remedy) {
        (Verdict::NoRow, _) if before => {
            Some("it is from before the ledger begins; `ev-handler replay` sends it")
        }
        (Verdict::Unproved, _) => Some("events without an id cannot be compared"),
        (_, Remedy::Whole) if compared.unidentified > 0 => {
            Some("events without an id cannot be counted")
        }
        (_, Remedy::Nothing) if compared.untold => {
            Some("the ledger has more than auth, and nobody can tell what differs")
        }
        (_, Remedy::Nothing) => Some("nothing that auth has is missing"),
        _ => None,
    }
}

/// Why a recording that is not equal is not read again.
fn why_not_again(
    compared: &recordings::Compared,
    hour: i64,
    first_hour: Option<i64>,
) -> Option<&'static str> {
    let recordings::Compared { verdict, auth, ledger, broken, .. } = compared;
    let before = first_hour.is_none_or(|first| hour < first);
    match verdict {
        Verdict::Unproved => Some("auth cannot send all of it"),
        _ if broken.is_some() => Some("auth cannot send all of it"),
        Verdict::NoRow if before => Some("it is from before the ledger begins"),
        _ if ledger.as_ref().is_some_and(|ledger| auth.count < ledger.count) => {
            Some("auth has fewer events of it than the ledger")
        }
        _ => None,
    }
}

/// The row of a recording of which nothing was settled yet.
fn begun(session: SessionId) -> SessionLedger {
    Recording::default().to_row(session, None)
}

/// What differs still when that was sent.
fn left_over(
    compared: &Compared,
    only: Option<&BTreeSet<EventDigest>>,
    picked: &Picked,
) -> Option<String> {
    let only = only?;
    let gone = only.iter().filter(|id| !picked.ids.contains(id)).count();
    if gone > 0 {
        return Some(format!("auth does not send {gone} of the missing events any more"));
    }
    let more = !compared.only_ledger.is_empty();
    more.then(|| "auth does not have what only the ledger has".to_owned())
}

/// The sums with what was settled, of whose undeliverable events only `parked` were not parked
/// before.
fn with(sums: Totals, settled: &Totals, parked: u64) -> Totals {
    let delivered = settled.delivered + settled.resolved;
    Totals {
        passed: sums.passed + delivered + settled.filtered + parked,
        delivered: sums.delivered + delivered,
        filtered: sums.filtered + settled.filtered,
        parked: sums.parked + parked,
        by_native: sums.by_native + settled.by_native,
        by_table: sums.by_table + settled.by_table,
        by_module: sums.by_module + settled.by_module,
        inexact: sums.inexact + settled.inexact,
        ..sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(verdict: Verdict, hour: i64) -> Compared {
        let mut compared = Compared::plain(hour, verdict);
        compared.missing_ids = BTreeSet::from([EventDigest([1; 16]), EventDigest([2; 16])]);
        compared
    }

    #[test]
    fn an_hour_is_repaired_only_where_the_ledger_was_kept_and_all_ids_are_known() {
        let check = |compared: &Compared, first_hour, expected: Option<&str>| {
            let why = why_not(compared, compared.remedy(), first_hour);
            match (why, expected) {
                (None, None) => {}
                (Some(why), Some(part)) => assert!(why.contains(part), "{why}"),
                _ => panic!("{why:?}, not {expected:?}"),
            }
        };
        check(&compared(Verdict::Differs, 7), Some(3), None);
        check(&compared(Verdict::NoRow, 7), Some(3), None);
        check(&compared(Verdict::NoRow, 2), Some(3), Some("before the ledger"));
        check(&compared(Verdict::NoRow, 7), None, Some("before the ledger"));
        check(&compared(Verdict::Unproved, 7), Some(3), Some("cannot be compared"));
        let mut untold = Compared { untold: true, ..compared(Verdict::Differs, 7) };
        check(&untold, Some(3), None);
        untold.unidentified = 1;
        check(&untold, Some(3), Some("cannot be counted"));
        // What is known by name can be sent all the same.
        let named = Compared { unidentified: 1, ..compared(Verdict::Differs, 7) };
        check(&named, Some(3), None);
        let gone = Compared { missing_ids: BTreeSet::new(), ..compared(Verdict::Differs, 7) };
        check(&gone, Some(3), Some("nothing that auth has"));
    }

    #[test]
    fn a_recording_is_read_again_only_where_auth_has_more() {
        let recording = |count| Recording { count, ..Recording::default() };
        let plain = recordings::Compared {
            session: SessionId::try_new(b"s").expect("a valid session id"),
            verdict: Verdict::Differs,
            auth: recording(5),
            ledger: Some(recording(4)),
            broken: None,
        };
        let check = |compared: recordings::Compared, hour, first_hour, expected: Option<&str>| {
            let why = why_not_again(&compared, hour, first_hour);
            assert_eq!(why.is_some(), expected.is_some(), "{why:?}");
            let part = expected.unwrap_or_default();
            assert!(why.unwrap_or_default().contains(part), "{why:?}");
        };
        check(plain.clone(), 7, Some(3), None);
        let same = recordings::Compared { ledger: Some(recording(5)), ..plain.clone() };
        check(same, 7, Some(3), None);
        let fewer = recordings::Compared { ledger: Some(recording(6)), ..plain.clone() };
        check(fewer, 7, Some(3), Some("fewer"));
        let verdict = Verdict::NoRow;
        let no_row = recordings::Compared { ledger: None, verdict, ..plain.clone() };
        check(no_row.clone(), 7, Some(3), None);
        check(no_row.clone(), 2, Some(3), Some("before the ledger"));
        check(no_row.clone(), 7, None, Some("before the ledger"));
        let broken = Some("not found".to_owned());
        check(recordings::Compared { broken, ..no_row }, 7, Some(3), Some("cannot send"));
        let verdict = Verdict::Unproved;
        check(recordings::Compared { verdict, ..plain }, 7, Some(3), Some("cannot send"));
    }

    #[test]
    fn what_differs_still_is_told() {
        let only = BTreeSet::from([EventDigest([1; 16]), EventDigest([2; 16])]);
        let mut compared = compared(Verdict::Differs, 7);
        let mut picked = Picked::default();
        picked.ids.insert(EventDigest([1; 16]));
        let left = left_over(&compared, Some(&only), &picked).expect("one is gone");
        assert!(left.contains("1 of the missing events"), "{left}");
        picked.ids.insert(EventDigest([2; 16]));
        assert_eq!(left_over(&compared, Some(&only), &picked), None);
        compared.only_ledger.push("00".into());
        assert!(left_over(&compared, Some(&only), &picked).is_some());
        assert_eq!(left_over(&compared, None, &picked), None, "the row is what Auth has");
    }

    #[test]
    fn the_sums_balance_whatever_was_parked_before() {
        let sums = Totals {
            passed: 100,
            delivered: 90,
            parked: 4,
            dropped: 6,
            sessions: 3,
            ..Totals::default()
        };
        let settled = Totals {
            passed: 12,
            delivered: 6,
            resolved: 1,
            filtered: 2,
            parked: 3,
            by_native: 7,
            ..Totals::default()
        };
        assert!(sums.balances() && settled.balances());
        for parked in 0..=3 {
            let with = with(sums, &settled, parked);
            assert!(with.balances(), "{with:?}");
            assert_eq!((with.passed, with.parked), (109 + parked, 4 + parked));
            assert_eq!((with.delivered, with.by_native, with.sessions), (97, 7, 3));
        }
    }
}
