//! What Auth has: the log and the recordings.

use std::collections::BTreeSet;
use std::time::Duration;

use ev_core::Timestamp;

use super::{BASE, Draw, Logged, Poison, Recording, Trips};
use crate::event::Kind;
use crate::rng::Rng;

impl Draw {
    pub(super) fn recordings(&mut self) -> Vec<Recording> {
        let count = self.rng.pick(&[0, 1, 3, 6]);
        let one = |draw: &mut Self| {
            let events = u32::try_from(draw.rng.between(0, 60)).unwrap();
            let some =
                |draw: &mut Self| u32::try_from(draw.rng.between(0, u64::from(events))).unwrap();
            let there_at = match draw.rng.between(0, 19) {
                0 => None,
                1..=5 => Some(draw.time()),
                _ => Some(Duration::ZERO),
            };
            let breaks = draw.rng.chance(200).then(|| (some(draw), draw.time()));
            let hangs = draw.rng.chance(200).then(|| (some(draw), draw.time()));
            let poison =
                if draw.rng.chance(200) { BTreeSet::from([some(draw)]) } else { BTreeSet::new() };
            Recording { events, there_at, breaks, hangs, poison }
        };
        (0..count).map(|_| one(self)).collect()
    }

    pub(super) fn log(
        &mut self,
        start: i64,
        features_from: Option<Duration>,
        uploads: usize,
    ) -> Vec<Logged> {
        let past = self.rng.between(0, 700);
        let live = self.rng.between(20, 400);
        // Some come when all is calm: it goes on.
        let end = BASE + i64::try_from(self.calm_at.as_secs()).unwrap() + 120;
        let second = |rng: &mut Rng, from: i64, to: i64| {
            from + i64::try_from(rng.between(0, (to - from).unsigned_abs())).unwrap()
        };
        // Storages keep time more or less precisely.
        let precise = self.rng.chance(600);
        let nanos = |rng: &mut Rng| {
            if precise { u32::try_from(rng.between(0, 999)).unwrap() * 1_000_000 } else { 0 }
        };
        let mut times = Vec::new();
        for n in 0..past + live {
            let (from, to) = if n < past { (start, BASE) } else { (BASE, end) };
            let at = second(&mut self.rng, from, to);
            // Many of one time, more than a page.
            let same = if self.rng.chance(20) { self.rng.between(2, 60) } else { 1 };
            let nanos = nanos(&mut self.rng);
            times.extend((0..same).map(|_| Timestamp::new(at, nanos)));
        }
        let late_permille = if self.rng.chance(400) { self.rng.between(1, 60) } else { 0 };
        let disorder = if self.rng.chance(300) { 1500 } else { 0 };
        let mut log: Vec<(Timestamp, Duration)> = times
            .into_iter()
            .map(|time| {
                let mut delay = self.rng.millis(0, disorder);
                if self.rng.chance(late_permille) {
                    let most = self.rng.pick(&[60_000, 7_200_000]);
                    delay += self.rng.millis(1000, most);
                }
                (time, delay)
            })
            .collect();
        // By the time of arrival, as if the past were counted from its own beginning.
        let arrival = |(time, delay): &(Timestamp, Duration)| {
            let since = u64::try_from(time.seconds() - start).unwrap();
            Duration::new(since, time.subsec_nanos()) + *delay
        };
        log.sort_by_key(|event| (arrival(event), event.0));
        let past = Duration::from_secs(u64::try_from(BASE - start).unwrap());
        let last = past + self.calm_at + Duration::from_secs(180);
        let kinds = self.kinds();
        let poisons = if self.rng.chance(300) { self.rng.between(1, 20) } else { 0 };
        let trips = if self.rng.chance(300) { self.rng.between(1, 30) } else { 0 };
        let mut newest = None;
        let mut all: Vec<Logged> = Vec::with_capacity(log.len());
        for event in log {
            let arrival = arrival(&event).min(last);
            let stored_at = arrival.saturating_sub(past);
            let time = event.0;
            let late = !stored_at.is_zero() && newest.is_some_and(|newest| time < newest);
            newest = newest.max(Some(time));
            let features = features_from.is_some_and(|from| stored_at >= from);
            let kind = match self.rng.pick(&kinds) {
                Kind::NewField | Kind::NewType if !features => Kind::Login,
                kind => kind,
            };
            let poison = self.rng.chance(poisons).then(|| match self.rng.between(0, 2) {
                0 => Poison::TooLarge,
                1 => Poison::Refused { told: true },
                _ => Poison::Refused { told: false },
            });
            let trips = match self.rng.chance(trips) {
                false => Trips::Never,
                // Without a uid it may come in other bytes the next time, and is parked once more.
                true if kind != Kind::NoUid && self.rng.chance(300) => Trips::ForEver,
                true => Trips::UntilCalm,
            };
            all.push(Logged { kind, time, stored_at, late, poison, trips });
        }
        for session in 0..uploads.min(all.len()) {
            let which = self.rng.index(all.len());
            if !matches!(all[which].kind, Kind::Upload(_)) {
                let event = &mut all[which];
                event.kind = Kind::Upload(u32::try_from(session).unwrap());
                (event.poison, event.trips) = (None, Trips::Never);
            }
        }
        all
    }

    /// What sorts of events there are, the usual one several times.
    fn kinds(&mut self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Login; 6];
        let rare = [
            (Kind::NewField, 500),
            (Kind::NewType, 300),
            (Kind::NoUid, 400),
            (Kind::Malformed, 200),
            (Kind::Unprintable, 200),
            (Kind::Noise, 300),
        ];
        for (kind, permille) in rare {
            if self.rng.chance(permille) {
                kinds.push(kind);
            }
        }
        kinds
    }
}

/// In some seeds a few events are too large to be sent, each of a second of its own.
pub(super) fn gaps(log: &mut [Logged], rng: &mut Rng) {
    if log.is_empty() || !rng.chance(300) {
        return;
    }
    let mut seconds = BTreeSet::new();
    for _ in 0..rng.between(1, 6) {
        let event = &mut log[rng.index(log.len())];
        if !matches!(event.kind, Kind::Upload(_)) && seconds.insert(event.time.seconds()) {
            event.kind = Kind::TooLarge;
            (event.poison, event.trips) = (None, Trips::Never);
        }
    }
}

/// What goes on when all is calm, in the log and in recordings: as long as a receiver takes nothing
/// else, it proves nothing that it does not take one event.
pub(super) fn trickle(log: &mut Vec<Logged>, recordings: &mut Vec<Recording>, calm_at: Duration) {
    for n in 0..120u32 {
        let stored_at = calm_at + Duration::from_secs(200 + 20 * u64::from(n));
        let kind = if n % 12 == 11 {
            recordings.push(Recording {
                events: 4,
                there_at: Some(Duration::ZERO),
                breaks: None,
                hangs: None,
                poison: BTreeSet::new(),
            });
            Kind::Upload(u32::try_from(recordings.len() - 1).unwrap())
        } else {
            Kind::Login
        };
        let time = Timestamp::new(BASE + i64::try_from(stored_at.as_secs()).unwrap(), 0);
        let (late, poison, trips) = (false, None, Trips::Never);
        log.push(Logged { kind, time, stored_at, late, poison, trips });
    }
}
