//! When which fault begins and ends.

use std::time::Duration;

use ev_core::UnknownPolicy;

use super::{End, Ending, Mood, Offer};
use crate::rng::Rng;

pub(super) struct Draw {
    pub(super) rng: Rng,
    pub(super) calm_at: Duration,
}

impl Draw {
    /// Some time while faults are still allowed.
    pub(super) fn time(&mut self) -> Duration {
        let most = u64::try_from(self.calm_at.as_millis()).unwrap();
        self.rng.millis(0, most - 1)
    }

    /// Up to `most` stretches of up to `seconds`, in some seeds; all over when calm.
    pub(super) fn spans(
        &mut self,
        permille: u64,
        most: u64,
        seconds: u64,
    ) -> Vec<(Duration, Duration)> {
        if !self.rng.chance(permille) {
            return Vec::new();
        }
        let one = |draw: &mut Self| {
            let from = draw.time();
            (from, (from + draw.rng.millis(50, seconds * 1000)).min(draw.calm_at))
        };
        (0..self.rng.between(1, most)).map(|_| one(self)).collect()
    }

    pub(super) fn version_changes(&mut self) -> Vec<Duration> {
        if !self.rng.chance(500) {
            return Vec::new();
        }
        let mut changes: Vec<_> = (0..self.rng.between(1, 3)).map(|_| self.time()).collect();
        changes.sort_unstable();
        changes
    }

    pub(super) fn offers(&mut self) -> Vec<(Duration, Offer)> {
        let near = |rng: &mut Rng| {
            let policy =
                if rng.chance(500) { UnknownPolicy::Park } else { UnknownPolicy::Incomplete };
            Offer::Near(policy)
        };
        let first = match self.rng.between(0, 3) {
            0 | 1 => return vec![(Duration::ZERO, Offer::Exact)],
            2 => Offer::Pending,
            _ => near(&mut self.rng),
        };
        let mut offers = vec![(Duration::ZERO, first)];
        if first == Offer::Pending && self.rng.chance(500) {
            offers.push((self.time(), near(&mut self.rng)));
        }
        let last = self.time();
        offers.retain(|(from, _)| *from <= last);
        // Some never get it.
        if first == Offer::Pending || self.rng.chance(800) {
            offers.push((last, Offer::Exact));
        }
        offers
    }

    pub(super) fn moods(&mut self) -> Vec<(Duration, Mood)> {
        let mut moods = Vec::new();
        if self.rng.chance(150) {
            return moods;
        }
        // A seed has a few of them, some again and again.
        let mut all = vec![
            Mood::Busy { after_ms: None },
            Mood::Busy { after_ms: Some(self.rng.between(1, 90_000)) },
            Mood::Full,
            Mood::Refuses,
            Mood::Unreachable,
            Mood::Guilty { told: false },
            Mood::Guilty { told: true },
            Mood::Silent,
            Mood::Lossy,
            Mood::Flaky,
        ];
        let some: Vec<Mood> = (0..self.rng.between(1, 4))
            .map(|_| {
                let which = self.rng.index(all.len());
                all.swap_remove(which)
            })
            .collect();
        let mut now = Duration::ZERO;
        while now < self.calm_at {
            let mood = if self.rng.chance(500) { Mood::Well } else { self.rng.pick(&some) };
            moods.push((now, mood));
            let most = self.rng.pick(&[2_000, 60_000, 600_000]);
            now += self.rng.millis(100, most);
        }
        moods.push((self.calm_at, Mood::Well));
        moods
    }

    pub(super) fn clock(&mut self) -> Vec<(Duration, i64)> {
        let mut clock = Vec::new();
        if self.rng.chance(300) {
            for _ in 0..self.rng.between(1, 4) {
                let off = i64::try_from(self.rng.between(0, 2 * 86_400)).unwrap() - 86_400;
                clock.push((self.time(), off));
            }
            clock.sort_unstable();
            clock.push((self.calm_at, 0));
        }
        clock
    }

    pub(super) fn ends(&mut self) -> Vec<End> {
        let count = self.rng.pick(&[0, 1, 2, 4, 8, 16]);
        let mut times: Vec<_> = (0..count).map(|_| self.time()).collect();
        // While the past is being read most is going on.
        if count > 0 && self.rng.chance(500) {
            for at in &mut times {
                *at = self.rng.millis(0, 60_000);
            }
        }
        times.sort_unstable();
        let mut one = |at| {
            let how = match self.rng.between(0, 4) {
                0 => Ending::Stopped,
                1 => Ending::AtCommit {
                    nth: u32::try_from(self.rng.between(0, 9)).unwrap(),
                    durable: true,
                },
                2 => Ending::AtCommit {
                    nth: u32::try_from(self.rng.between(0, 9)).unwrap(),
                    durable: false,
                },
                _ => Ending::Killed { polls: u32::try_from(self.rng.between(0, 40)).unwrap() },
            };
            let most = if self.rng.chance(100) { 1_800_000 } else { 20_000 };
            End { at, how, pause: self.rng.millis(0, most) }
        };
        times.into_iter().map(&mut one).collect()
    }

    /// How long after its end a window is read again.
    pub(super) fn rescans(&mut self) -> Vec<i64> {
        let mut delays: Vec<i64> = (0..self.rng.pick(&[0, 1, 1, 2]))
            .map(|_| i64::try_from(self.rng.between(30, 900)).unwrap())
            .collect();
        delays.sort_unstable();
        delays
    }

    /// In some seeds the source fails where the process would have ended otherwise.
    pub(super) fn source_fails(&mut self, mut ends: Vec<End>) -> Vec<End> {
        if self.rng.chance(300) {
            for end in &mut ends {
                if self.rng.chance(300) {
                    end.how = Ending::SourceFails;
                }
            }
        }
        ends
    }
}
