//! Numbered changes: what the state must hold after the n-th one, and nothing else.

use bytes::Bytes;
use ev_core::testing::state::{claim, everything, parked, token, window};
use ev_core::{
    Advance, Attempt, Change, Epoch, EventDigest, LedgerHour, ParkReason, ParkedId, Settle, SinkId,
    Snapshot, StateStore, Timestamp, Totals,
};
use ev_state::SqliteStore;

/// Events that stay parked.
const PARKED: u64 = 12;

/// A store that is given changes 1, 2, 3 and so on.
pub(crate) struct Numbered {
    pub(crate) store: SqliteStore,
    sink: SinkId,
    epoch: Epoch,
    /// Number of the last change that was committed.
    pub(crate) last: u64,
}

impl Numbered {
    /// Goes on with what the store holds, which must be what some number of changes left.
    ///
    /// # Panics
    ///
    /// If it is anything else.
    #[track_caller]
    pub(crate) fn new(store: SqliteStore) -> Self {
        let snapshot = store.open_sink(&claim("main")).expect("the sink opens");
        let (sink, epoch) = (claim("main").sink, snapshot.epoch);
        let last = check(&store, &snapshot);
        Self { store, sink, epoch, last }
    }

    /// Commits the next change. Nothing is there when it fails, or all of it.
    pub(crate) fn commit(&mut self) -> Result<(), ev_core::StateError> {
        let n = self.last + 1;
        self.store.commit(&self.sink, self.epoch, &self.change(n))?;
        self.last = n;
        Ok(())
    }

    /// Checks that what the store holds now is what the commits that succeeded have left.
    #[track_caller]
    pub(crate) fn check(&mut self) {
        let snapshot = self.store.open_sink(&claim("main")).expect("the sink opens");
        self.epoch = snapshot.epoch;
        assert_eq!(check(&self.store, &snapshot), self.last);
    }

    /// The same without writing anything, so that it can be asked while nothing can be written.
    #[track_caller]
    pub(crate) fn check_parked(&self) {
        let rows = self.store.parked(&self.sink, &everything()).expect("readable");
        assert_eq!(rows.last().map(|row| row.event.digest), Some(digest(self.last)));
        assert_eq!(rows.len() as u64, self.last.min(PARKED));
    }

    /// A bit of everything that a commit of the engine has, of a size that differs.
    fn change(&self, n: u64) -> Change {
        let rows = self.store.parked(&self.sink, &everything()).expect("readable");
        let id = |number: u64| -> Option<ParkedId> {
            rows.iter().find(|row| row.event.digest == digest(number)).map(|row| row.id)
        };
        let attempt = id(n.wrapping_sub(1)).map(|id| Attempt {
            id,
            reason: ParkReason::DecoderFailed,
            detail: format!("tried by {n}"),
            decoder: "table".to_owned(),
            at: Timestamp::EPOCH,
        });
        let mut event = parked(&window(0), 0);
        (event.digest, event.bytes) = (digest(n), bytes(n));
        Change {
            open: vec![(window(0), token("0"))],
            settle: vec![Settle {
                lane: window(0),
                page: n,
                inner: vec![digest(n); 5],
                border: Vec::new(),
            }],
            advance: vec![Advance { lane: window(0), token: token(&n.to_string()), page: n }],
            park: vec![event],
            attempt: attempt.into_iter().collect(),
            resolve: n.checked_sub(PARKED).and_then(id).into_iter().collect(),
            ledger: vec![hour(n)],
            totals: Some(totals(n)),
            ..Change::default()
        }
    }
}

/// The number of the last change that `snapshot` and the parked events hold; all of it must be
/// there, and nothing of another.
#[track_caller]
fn check(store: &SqliteStore, snapshot: &Snapshot) -> u64 {
    let n = snapshot.totals.passed;
    let sink = claim("main").sink;
    let rows = store.parked(&sink, &everything()).expect("readable");
    let hours = store.ledger(&sink, i64::MIN..i64::MAX).expect("readable");
    if n == 0 {
        assert_eq!((snapshot.lanes.len(), rows.len(), hours.len()), (0, 0, 0), "a new state");
        return n;
    }
    assert_eq!(snapshot.totals, totals(n));
    assert_eq!(snapshot.lanes.len(), 1);
    let lane = &snapshot.lanes[0];
    assert_eq!((&lane.token, lane.page), (&token(&n.to_string()), n), "the resume point");
    assert_eq!(lane.recent, [digest(n); 5], "what was settled at it");
    let first = n.saturating_sub(PARKED) + 1;
    let expected: Vec<_> = (first..=n).map(|n| (digest(n), bytes(n))).collect();
    let found: Vec<_> =
        rows.iter().map(|row| (row.event.digest, row.event.bytes.clone())).collect();
    assert!(found == expected, "after {n} the events from {first} on are parked, whole");
    for (row, number) in rows.iter().zip(first..) {
        assert_eq!(row.attempts, u32::from(number < n), "event {number} after {n}");
    }
    let size: usize = expected.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(snapshot.parked_bytes, size as u64);
    let mut ledger: Vec<_> =
        (1..=n).filter(|k| k.is_multiple_of(HOUR)).chain([n]).map(hour).collect();
    ledger.dedup_by_key(|hour| hour.hour);
    assert_eq!(hours, ledger);
    n
}

/// Changes of one hour of the ledger.
const HOUR: u64 = 20;

fn hour(n: u64) -> LedgerHour {
    // Hours are counted from the change behind the last one of the hour before.
    let number = n.saturating_sub(1) / HOUR;
    LedgerHour {
        hour: i64::try_from(number).expect("small"),
        count: n,
        sum: digest(n).0,
        sketch: Bytes::from(n.to_string()),
    }
}

fn totals(n: u64) -> Totals {
    let parked = n.min(PARKED);
    Totals { passed: n, parked, resolved: n - parked, by_native: n - parked, ..Totals::default() }
}

fn digest(n: u64) -> EventDigest {
    EventDigest(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes())
}

/// From a few bytes to some pages.
fn bytes(n: u64) -> Bytes {
    let size = usize::try_from(n * 7919 % 20_011).expect("small");
    digest(n).0.iter().copied().cycle().take(size).collect()
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `limit`.
    pub(crate) fn roll(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The upper bits are the better ones.
        (self.0 >> 33) % limit.max(1)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).expect("is below 256")
    }
}
