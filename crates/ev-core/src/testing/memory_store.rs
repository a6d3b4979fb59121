//! A state store that lives as long as the process: for tests of the engine, and the model that
//! durable stores are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    AuthVersion, Change, Claim, Epoch, EventDigest, Flavour, Known, KnownQuery, LaneId, LaneRow,
    LedgerHour, ParkedEvent, ParkedGroup, ParkedId, ParkedQuery, Reading, SessionId, SessionLedger,
    SessionTrouble, Settle, SignedArtifact, SinkId, Snapshot, StateError, StateStore, Timestamp,
    Token, Totals, UserLock,
};

/// [`StateStore`] in memory. A clone is another handle on the same rows, as a second opening of
/// the same directory would be; dropping an engine and opening the sink again is a restart.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cluster: Option<String>,
    flavour: Option<Flavour>,
    sinks: BTreeMap<SinkId, SinkRows>,
    artifacts: BTreeMap<AuthVersion, SignedArtifact>,
    highest_version: Option<AuthVersion>,
    last_parked: i64,
    commits: u64,
    failing_commits: u32,
    failing_lookups: u32,
}

#[derive(Debug)]
struct SinkRows {
    epoch: i64,
    start_time: Timestamp,
    seen_version: Option<AuthVersion>,
    reading: Option<Reading>,
    due_locks: BTreeMap<String, UserLock>,
    lanes: BTreeMap<LaneId, Lane>,
    parked: BTreeMap<ParkedId, ParkedEvent>,
    parked_keys: BTreeSet<(LaneId, EventDigest)>,
    ledger: BTreeMap<i64, LedgerHour>,
    session_ledger: BTreeMap<SessionId, SessionLedger>,
    session_trouble: BTreeMap<SessionId, SessionTrouble>,
    totals: Totals,
}

#[derive(Debug)]
struct Lane {
    token: Token,
    page: u64,
    done: bool,
    settled: Vec<Settle>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of commits that succeeded.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Lets the next `count` commits fail, writing nothing, as a full disk would.
    pub fn fail_commits(&self, count: u32) {
        self.lock().failing_commits = count;
    }

    /// Lets the next `count` calls of [`StateStore::known`] fail, as a disk that cannot be read
    /// would.
    pub fn fail_lookups(&self, count: u32) {
        self.lock().failing_lookups = count;
    }

    /// The lanes of a sink as they are now. Takes no lease, so whoever has it keeps it.
    pub fn lanes(&self, sink: &SinkId) -> Vec<LaneRow> {
        let state = self.lock();
        let rows = state.sinks.get(sink).into_iter().flat_map(|rows| &rows.lanes);
        rows.map(|(lane, row)| row.stored(lane)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the first and the last row of a change, so a poisoned lock does
        // not mean half a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryStore {
    fn open_sink(&self, claim: &Claim) -> Result<Snapshot, StateError> {
        let mut state = self.lock();
        if let Some(cluster) = state.cluster.as_ref().filter(|name| **name != claim.cluster) {
            return Err(mismatch(format!(
                "belongs to cluster `{cluster}`, not to `{}`",
                claim.cluster
            )));
        }
        if let (Some(ours), Some(asked)) = (state.flavour, claim.flavour)
            && ours != asked
        {
            return Err(mismatch(format!("holds the JSON flavour `{ours}`, not `{asked}`")));
        }
        let flavour = state.flavour.or(claim.flavour).unwrap_or(Flavour::Go);
        state.cluster = Some(claim.cluster.clone());
        state.flavour = Some(flavour);
        let rows = state.sinks.entry(claim.sink.clone()).or_insert_with(|| SinkRows {
            epoch: 0,
            start_time: Timestamp::new(claim.start_time.seconds(), 0),
            seen_version: None,
            reading: None,
            due_locks: BTreeMap::new(),
            lanes: BTreeMap::new(),
            parked: BTreeMap::new(),
            parked_keys: BTreeSet::new(),
            ledger: BTreeMap::new(),
            session_ledger: BTreeMap::new(),
            session_trouble: BTreeMap::new(),
            totals: Totals::default(),
        });
        rows.epoch += 1;
        Ok(Snapshot {
            epoch: Epoch(rows.epoch),
            flavour,
            start_time: rows.start_time,
            seen_version: rows.seen_version.clone(),
            reading: rows.reading,
            due_locks: rows.due_locks.values().cloned().collect(),
            lanes: rows.lanes.iter().map(|(lane, row)| row.stored(lane)).collect(),
            totals: rows.totals,
            ledger_key: *b"key of a memory ",
            session_trouble: rows.session_trouble.values().cloned().collect(),
            parked_bytes: rows.parked.values().map(|row| row.event.bytes.len() as u64).sum(),
        })
    }

    fn commit(&self, sink: &SinkId, epoch: Epoch, change: &Change) -> Result<(), StateError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let rows = state
            .sinks
            .get_mut(sink)
            .ok_or_else(|| refused(format!("sink `{}` is not open", sink.0)))?;
        if rows.epoch != epoch.0 {
            return Err(StateError::Fenced { ours: epoch.0, newest: rows.epoch });
        }
        // Whatever may refuse a change is asked before the first row is touched.
        rows.check(change)?;
        if state.failing_commits > 0 {
            state.failing_commits -= 1;
            return Err(storage("commit failed because the test asked for it".to_owned()));
        }
        rows.apply(change, &mut state.last_parked);
        state.commits += 1;
        Ok(())
    }

    fn known(&self, sink: &SinkId, query: &KnownQuery) -> Result<Known, StateError> {
        let mut state = self.lock();
        if state.failing_lookups > 0 {
            state.failing_lookups -= 1;
            return Err(storage("looking failed because the test asked for it".to_owned()));
        }
        let Some(rows) = state.sinks.get(sink) else {
            return Ok(Known { known: vec![false; query.digests.len()], page: query.page });
        };
        let mut found = BTreeSet::new();
        let mut first = None;
        for (id, lane) in &rows.lanes {
            let (start, is_first) = match *id {
                LaneId::Window { start, pass } => (Some(start), pass == 0),
                _ => (None, false),
            };
            let is_own = start.is_some() && query.window == start;
            let is_near = start.is_some_and(|start| query.neighbours.contains(&start));
            let is_whole = is_own || query.others.contains(id);
            if !is_whole && !is_near {
                continue;
            }
            for row in &lane.settled {
                let inner = is_whole.then_some(&row.inner).into_iter().flatten();
                for digest in inner.chain(&row.border).filter(|d| query.digests.contains(d)) {
                    found.insert(*digest);
                    if is_own && is_first {
                        first = first.min(Some(row.page)).or(Some(row.page));
                    }
                }
            }
        }
        let known = query.digests.iter().map(|digest| found.contains(digest)).collect();
        Ok(Known { known, page: first.unwrap_or(query.page) })
    }

    fn parked(&self, sink: &SinkId, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, StateError> {
        Ok(self.lock().parked(sink, query, |_| true))
    }

    fn parked_groups(&self, sink: &SinkId) -> Result<Vec<(ParkedGroup, u64)>, StateError> {
        let state = self.lock();
        let Some(rows) = state.sinks.get(sink) else { return Ok(Vec::new()) };
        let mut groups = BTreeMap::new();
        for row in rows.parked.values() {
            *groups.entry(ParkedGroup::of(&row.event)).or_default() += 1;
        }
        Ok(groups.into_iter().collect())
    }

    fn parked_in(
        &self,
        sink: &SinkId,
        group: &ParkedGroup,
        query: &ParkedQuery,
    ) -> Result<Vec<ParkedEvent>, StateError> {
        Ok(self.lock().parked(sink, query, |row| ParkedGroup::of(&row.event) == *group))
    }

    fn ledger(&self, sink: &SinkId, hours: Range<i64>) -> Result<Vec<LedgerHour>, StateError> {
        let state = self.lock();
        let rows = state.sinks.get(sink).into_iter().flat_map(|rows| rows.ledger.values());
        Ok(rows.filter(|row| hours.contains(&row.hour)).cloned().collect())
    }

    fn session_ledger(
        &self,
        sink: &SinkId,
        session: &SessionId,
    ) -> Result<Option<SessionLedger>, StateError> {
        let state = self.lock();
        Ok(state.sinks.get(sink).and_then(|rows| rows.session_ledger.get(session)).cloned())
    }

    fn artifact(&self, version: &AuthVersion) -> Result<Option<SignedArtifact>, StateError> {
        Ok(self.lock().artifacts.get(version).cloned())
    }

    fn put_artifact(
        &self,
        version: &AuthVersion,
        artifact: &SignedArtifact,
    ) -> Result<(), StateError> {
        self.lock().artifacts.insert(version.clone(), artifact.clone());
        Ok(())
    }

    fn highest_version(&self) -> Result<Option<AuthVersion>, StateError> {
        Ok(self.lock().highest_version.clone())
    }

    fn put_highest_version(&self, version: &AuthVersion) -> Result<(), StateError> {
        self.lock().highest_version = Some(version.clone());
        Ok(())
    }
}

impl State {
    /// Parked events that fit, within the bounds of the query.
    fn parked(
        &self,
        sink: &SinkId,
        query: &ParkedQuery,
        fits: impl Fn(&ParkedEvent) -> bool,
    ) -> Vec<ParkedEvent> {
        let Some(rows) = self.sinks.get(sink) else { return Vec::new() };
        let mut bytes = 0usize;
        let mut found = Vec::new();
        for event in rows.parked.values().filter(|row| fits(row)) {
            if query.after.is_some_and(|after| event.id <= after) {
                continue;
            }
            bytes = bytes.saturating_add(event.event.bytes.len());
            if found.len() >= query.limit || (!found.is_empty() && bytes > query.max_bytes) {
                break;
            }
            found.push(event.clone());
        }
        found
    }
}

impl SinkRows {
    /// Refuses a change that names a lane which is neither there nor opened by it.
    fn check(&self, change: &Change) -> Result<(), StateError> {
        let settled = change.settle.iter().map(|settle| &settle.lane);
        let advanced = change.advance.iter().map(|advance| &advance.lane);
        for lane in settled.chain(advanced).chain(&change.done) {
            let opened = || change.open.iter().any(|(opened, _)| opened == lane);
            if !self.lanes.contains_key(lane) && !opened() {
                return Err(refused(format!("lane `{lane}` is not in the state")));
            }
        }
        Ok(())
    }

    /// Applies the parts of a change in the order that [`Change`] documents.
    fn apply(&mut self, change: &Change, last_parked: &mut i64) {
        for (lane, token) in &change.open {
            self.lanes.entry(lane.clone()).or_insert_with(|| Lane {
                token: token.clone(),
                page: 0,
                done: false,
                settled: Vec::new(),
            });
        }
        for settle in &change.settle {
            if let Some(lane) = self.lanes.get_mut(&settle.lane) {
                lane.settled.push(settle.clone());
            }
        }
        for advance in &change.advance {
            if let Some(lane) = self.lanes.get_mut(&advance.lane) {
                lane.token = advance.token.clone();
                lane.page = advance.page;
            }
        }
        for lane in &change.done {
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.done = true;
            }
        }
        for event in &change.park {
            if self.parked_keys.insert((event.lane.clone(), event.digest)) {
                *last_parked += 1;
                let id = ParkedId(*last_parked);
                let row = ParkedEvent { id, event: event.clone(), attempts: 0, last_attempt: None };
                self.parked.insert(id, row);
            }
        }
        for attempt in &change.attempt {
            if let Some(row) = self.parked.get_mut(&attempt.id) {
                row.event.reason = attempt.reason;
                row.event.detail.clone_from(&attempt.detail);
                row.event.decoder.clone_from(&attempt.decoder);
                row.attempts = row.attempts.saturating_add(1);
                row.last_attempt = Some(attempt.at);
            }
        }
        for id in &change.resolve {
            if let Some(row) = self.parked.remove(id) {
                self.parked_keys.remove(&(row.event.lane, row.event.digest));
            }
        }
        for lane in &change.forget {
            self.lanes.remove(lane);
        }
        for row in &change.ledger {
            self.ledger.insert(row.hour, row.clone());
        }
        for row in &change.session_ledger {
            self.session_ledger.insert(row.session.clone(), row.clone());
        }
        for row in &change.session_trouble {
            self.session_trouble.insert(row.session.clone(), row.clone());
        }
        for session in &change.session_cleared {
            self.session_trouble.remove(session);
        }
        if let Some(totals) = change.totals {
            self.totals = totals;
        }
        if let Some(version) = &change.seen_version {
            self.seen_version = Some(version.clone());
        }
        self.reading = change.reading.or(self.reading);
        let due = change.lock.iter().map(|lock| (lock.name.clone(), lock.clone()));
        self.due_locks.extend(due);
        change.locked.iter().for_each(|name| drop(self.due_locks.remove(name)));
    }
}

impl Lane {
    fn stored(&self, lane: &LaneId) -> LaneRow {
        let is_recent = |settle: &&Settle| !self.done && settle.page >= self.page;
        let recent = self.settled.iter().filter(is_recent);
        LaneRow {
            lane: lane.clone(),
            token: self.token.clone(),
            page: self.page,
            done: self.done,
            recent: recent.flat_map(|row| row.inner.iter().chain(&row.border)).copied().collect(),
        }
    }
}

fn mismatch(message: String) -> StateError {
    StateError::Mismatch { path: PathBuf::from("memory"), message }
}

fn refused(message: String) -> StateError {
    StateError::Refused { message }
}

fn storage(message: String) -> StateError {
    StateError::Storage { message, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_contract() {
        crate::testing::state::contract(|| Box::new(MemoryStore::new()));
    }

    #[test]
    fn a_failing_commit_writes_nothing() {
        let store = MemoryStore::new();
        let claim = Claim {
            sink: SinkId("fluentd".into()),
            cluster: "example".into(),
            flavour: None,
            start_time: Timestamp::EPOCH,
        };
        let epoch = store.open_sink(&claim).expect("a new store opens").epoch;
        let change = Change { seen_version: Some(AuthVersion::new("1")), ..Change::default() };
        store.fail_commits(1);
        assert!(store.commit(&claim.sink, epoch, &change).is_err());
        assert_eq!(store.open_sink(&claim).expect("opens again").seen_version, None);
        assert_eq!(store.commits(), 0);
    }
}
