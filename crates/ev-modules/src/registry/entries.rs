//! What is known of all versions that were asked for, and whose turn it is.
//!
//! ```text
//!              asked for                   attempt: good artifact and a place
//!  unknown ───────────────▶ without decoder ───────────────────────────────▶ in use
//!     ▲                       │         ▲                                       │
//!     │ the map is full and   │         │ asked for again    another wants the place, and this
//!     │ it was not asked for  │         │                    one is idle or has had its turn
//!     └───────────────────────┘       dormant ◀─────────────────────────────────┘
//! ```
//!
//! A decoder may hold some MiB, so that only so many are in use; what is known without one is
//! small, so that many more versions keep their pauses between attempts. A version that is put out
//! of use sleeps until it is asked for: if it woke by itself, versions that nobody needs would take
//! each other's places for ever.
//!
//! Auth says its version, so somebody who has taken it over could name a new one each minute. The
//! more versions there are, the longer the pauses between the attempts for each.

use std::collections::BTreeMap;
use std::time::Duration;

use ev_core::AuthVersion;

use super::entry::{Entry, Task};

/// Versions that are remembered.
pub(super) const MAX_VERSIONS: usize = 256;

/// Decoders in use. Also the versions that are tried at the pace of the settings; twice as many
/// are tried half as often.
pub(super) const MAX_IN_USE: usize = 32;

/// A version that was not asked for in this time needs no decoder now. Whoever has parked events
/// asks for their versions each half minute while that may help.
const IDLE: Duration = Duration::from_secs(120);

/// So long a decoder stays in use though others wait for its place.
const TURN: Duration = Duration::from_secs(600);

/// All versions that were asked for and are not embedded.
#[derive(Default)]
pub(super) struct Entries {
    by_version: BTreeMap<AuthVersion, Entry>,
    asked: u64,
    tried: u64,
}

/// What asking for a version has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was not known, or is known no longer.
    New,
    /// It was put out of use and is wanted again.
    Woken,
    /// Nothing.
    Again,
}

impl Entries {
    /// The entry of a version that is asked for. `None` when there is no room for another: all
    /// were asked for a short time ago. None of them is forgotten for it, or they would drive each
    /// other out in turns, and each come back without its pauses.
    pub(super) fn ask(
        &mut self,
        version: &AuthVersion,
        now: Duration,
        new: impl FnOnce() -> Entry,
    ) -> Option<(&mut Entry, Asked)> {
        let known = self.by_version.contains_key(version);
        if !known && self.by_version.len() >= MAX_VERSIONS {
            let idle = self.by_version.iter().filter(|(_, entry)| {
                entry.in_use().is_none() && !entry.is_busy() && is_past(entry.asked_at, IDLE, now)
            });
            let oldest = idle.min_by_key(|(_, entry)| entry.asked)?.0.clone();
            self.by_version.remove(&oldest);
        }
        self.asked += 1;
        let entry = self.by_version.entry(version.clone()).or_insert_with(new);
        (entry.asked, entry.asked_at) = (self.asked, now);
        let asked = match (known, entry.wake(now)) {
            (false, _) => Asked::New,
            (true, true) => Asked::Woken,
            (true, false) => Asked::Again,
        };
        Some((entry, asked))
    }

    pub(super) fn get(&self, version: &AuthVersion) -> Option<&Entry> {
        self.by_version.get(version)
    }

    pub(super) fn get_mut(&mut self, version: &AuthVersion) -> Option<&mut Entry> {
        self.by_version.get_mut(version)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_version.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&AuthVersion, &mut Entry)> {
        self.by_version.iter_mut()
    }

    /// By how much all pauses are longer because of the number of versions: 1 for a few.
    pub(super) fn crowd(&self) -> u32 {
        let crowd = self.by_version.len().div_ceil(MAX_IN_USE).max(1);
        u32::try_from(crowd).unwrap_or(u32::MAX)
    }

    /// Takes up attempts that are due, the least recently tried version first: however many hang,
    /// each has its turn, and a new one is first.
    pub(super) fn due(&mut self, now: Duration, room: usize) -> Vec<(AuthVersion, Task)> {
        let is_due = |entry: &Entry| entry.next_attempt().is_some_and(|at| at <= now);
        let due = self.by_version.iter().filter(|(_, entry)| is_due(entry));
        let mut due: Vec<_> = due
            .map(|(version, entry)| (entry.tried, entry.next_attempt(), version.clone()))
            .collect();
        due.sort_unstable();
        let place_at = self.place_at();
        let mut started = Vec::new();
        for (.., version) in due {
            if started.len() == room {
                break;
            }
            let Some(entry) = self.by_version.get_mut(&version) else { continue };
            // There was no place for what it would load, and there still is none.
            if entry.waits_for_place() && place_at > now {
                entry.wait_for_place(place_at);
                continue;
            }
            self.tried += 1;
            entry.tried = self.tried;
            started.extend(entry.start_attempt(now).map(|task| (version, task)));
        }
        started
    }

    /// Makes sure that there is a place for a decoder of this version. Returns the version that
    /// had to give up its own.
    ///
    /// # Errors
    ///
    /// When there is none; then from when on there may be one.
    pub(super) fn make_place(
        &mut self,
        version: &AuthVersion,
        now: Duration,
    ) -> Result<Option<AuthVersion>, Duration> {
        let has_one = self.get(version).is_some_and(|entry| entry.in_use().is_some());
        if has_one || self.in_use() < MAX_IN_USE {
            return Ok(None);
        }
        let free = self.by_version.iter_mut().filter(|(_, entry)| gives_place_at(entry) <= now);
        // One that nobody asks for goes before one that is merely longer there than others.
        let first = free.min_by_key(|(_, entry)| {
            (!is_past(entry.asked_at, IDLE, now), entry.in_use_since(), entry.asked)
        });
        match first {
            Some((version, entry)) => {
                entry.put_out_of_use(now, now.saturating_add(IDLE));
                Ok(Some(version.clone()))
            }
            None => Err(self.place_at()),
        }
    }

    fn in_use(&self) -> usize {
        self.iter().filter(|entry| entry.in_use().is_some()).count()
    }

    /// From when on there is a place.
    fn place_at(&self) -> Duration {
        if self.in_use() < MAX_IN_USE {
            return Duration::ZERO;
        }
        self.iter().map(gives_place_at).min().unwrap_or_default()
    }
}

/// From when on the decoder of a version may be put out of use for that of another. Not before the
/// end of an attempt, which is about to say more of it.
fn gives_place_at(entry: &Entry) -> Duration {
    match entry.in_use_since() {
        Some(since) if !entry.is_busy() => {
            since.saturating_add(TURN).min(entry.asked_at.saturating_add(IDLE))
        }
        _ => Duration::MAX,
    }
}

fn is_past(since: Duration, pause: Duration, now: Duration) -> bool {
    now.saturating_sub(since) >= pause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(entries: &mut Entries, version: &str, at: u64) -> Option<Asked> {
        let now = Duration::from_secs(at);
        let asked = entries.ask(&AuthVersion::new(version), now, || Entry::new(now, false));
        asked.map(|(_, asked)| asked)
    }

    fn due(entries: &mut Entries, at: u64, room: usize) -> Vec<String> {
        let due = entries.due(Duration::from_secs(at), room);
        due.into_iter().map(|(version, _)| version.to_string()).collect()
    }

    #[test]
    fn the_least_recently_tried_is_first() {
        let mut entries = Entries::default();
        for version in ["a", "b", "c", "d", "e"] {
            ask(&mut entries, version, 0);
        }
        let again = |entries: &mut Entries, version: &str, at: u64| {
            let entry = entries.get_mut(&AuthVersion::new(version)).unwrap();
            let outcome = super::super::entry::Outcome::Failed { offered: false };
            let now = Duration::from_secs(at);
            entry.attempt_ended(now, outcome, &super::super::Settings::default(), 1, |_| {
                Duration::ZERO
            });
        };
        assert_eq!(due(&mut entries, 0, 2), ["a", "b"]);
        assert_eq!(due(&mut entries, 0, 0), [""; 0]);
        // Due again, and at once.
        again(&mut entries, "a", 0);
        again(&mut entries, "b", 0);
        assert_eq!(due(&mut entries, 1, 2), ["c", "d"]);
        again(&mut entries, "d", 1);
        ask(&mut entries, "new", 2);
        assert_eq!(due(&mut entries, 2, 9), ["e", "new", "a", "b", "d"]);
        assert_eq!(due(&mut entries, 3, 9), [""; 0], "all are under way");
    }

    #[test]
    fn what_was_asked_for_is_not_forgotten_for_another() {
        let mut entries = Entries::default();
        for number in 0..MAX_VERSIONS {
            assert_eq!(ask(&mut entries, &number.to_string(), 0), Some(Asked::New));
        }
        // Attempts that are under way are not forgotten either.
        assert_eq!(due(&mut entries, 0, 2), ["0", "1"]);
        assert_eq!(ask(&mut entries, "one more", 119), None);
        assert_eq!(ask(&mut entries, "2", 119), Some(Asked::Again));
        assert_eq!(ask(&mut entries, "one more", 120), Some(Asked::New));
        assert_eq!(entries.iter().count(), MAX_VERSIONS);
        let known = |version| entries.get(&AuthVersion::new(version)).is_some();
        assert!(known("0") && known("1") && known("2") && known("one more"));
        assert!(!known("3"), "not asked for longest, and not tried");
    }

    #[test]
    fn a_crowd_is_tried_less_often() {
        let mut entries = Entries::default();
        assert_eq!(entries.crowd(), 1);
        for number in 0..MAX_VERSIONS {
            ask(&mut entries, &number.to_string(), 0);
            assert_eq!(entries.crowd() as usize, number / MAX_IN_USE + 1);
        }
    }
}
