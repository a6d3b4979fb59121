//! Whether everything turns.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Beats while something turns.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// One beat.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has beaten.
    pub fn beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often each of some things of one kind has beaten, by their names.
type Read = Box<dyn Fn() -> Vec<(String, u64)> + Send + Sync>;

/// Notices when something that should beat does not any more.
///
/// Says nothing of peers: whoever waits for one beats meanwhile. So what it finds is mended by
/// nothing but a restart.
pub struct Watchdog {
    patience: Duration,
    watched: Vec<Watched>,
}

struct Watched {
    name: &'static str,
    read: Read,
    /// The count of each that was seen last, and since when.
    seen: Mutex<BTreeMap<String, (u64, Duration)>>,
}

impl Watchdog {
    /// One that waits so long for a beat before it calls something stalled.
    pub fn new(patience: Duration) -> Self {
        Self { patience, watched: Vec::new() }
    }

    /// Watches things of one kind, each for itself. `beats` tells how often each of those that have
    /// to beat now has beaten, by its name.
    #[must_use]
    pub fn watch(
        mut self,
        name: &'static str,
        beats: impl Fn() -> Vec<(String, u64)> + Send + Sync + 'static,
    ) -> Self {
        self.watched.push(Watched { name, read: Box::new(beats), seen: Mutex::default() });
        self
    }

    /// What has stalled, with how long ago it was seen to beat; `now` is a clock that never goes
    /// back. It has to be asked now and then, since only then does it look.
    pub fn stalled(&self, now: Duration) -> Vec<(&'static str, Duration)> {
        let late = |watched: &Watched| {
            let mut seen = watched.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::take(&mut *seen);
            for (name, beats) in (watched.read)() {
                // One that beats, or that was not there before, is seen now.
                let last = before.get(&name).filter(|(count, _)| *count == beats);
                seen.insert(name, (beats, last.map_or(now, |(_, since)| *since)));
            }
            let longest = seen.values().map(|(_, since)| now.saturating_sub(*since)).max();
            longest.filter(|age| *age > self.patience).map(|age| (watched.name, age))
        };
        self.watched.iter().filter_map(late).collect()
    }
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.watched.iter().map(|watched| watched.name).collect();
        f.debug_struct("Watchdog")
            .field("patience", &self.patience)
            .field("watched", &names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_beat_for_longer_than_its_patience_has_stalled() {
        let (pulse, other) = (Pulse::default(), Pulse::default());
        let (one, two) = (pulse.clone(), other.clone());
        let named = |name: &str, beats| (name.to_owned(), beats);
        let watchdog = Watchdog::new(Duration::from_secs(30))
            .watch("runtime", move || vec![named("it", one.beats())])
            .watch("engine", move || {
                let beats = two.beats();
                if beats < 10 { vec![named("it", beats)] } else { Vec::new() }
            });
        let at = |second| watchdog.stalled(Duration::from_secs(second));
        assert_eq!(at(0), []);
        assert_eq!(at(30), []);
        pulse.beat();
        assert_eq!(at(31), [("engine", Duration::from_secs(31))]);
        other.beat();
        assert_eq!(at(61), []);
        assert_eq!(at(62), [("runtime", Duration::from_secs(31))]);
        pulse.beat();
        // It need not beat any more.
        (0..10).for_each(|_| other.beat());
        assert_eq!(at(92), []);
        pulse.beat();
        assert_eq!(at(200), []);
    }

    #[test]
    fn one_of_several_that_hangs_is_noticed_however_often_it_has_beaten() {
        let (hung, slow) = (Pulse::default(), Pulse::default());
        (0..1000).for_each(|_| hung.beat());
        let (one, two) = (hung.clone(), slow.clone());
        let watchdog = Watchdog::new(Duration::from_secs(30)).watch("engine", move || {
            vec![("a".to_owned(), one.beats()), ("b".to_owned(), two.beats())]
        });
        for second in 0..=30 {
            slow.beat();
            assert_eq!(watchdog.stalled(Duration::from_secs(second)), []);
        }
        slow.beat();
        let stalled = watchdog.stalled(Duration::from_secs(31));
        assert_eq!(stalled, [("engine", Duration::from_secs(31))]);
    }
}
