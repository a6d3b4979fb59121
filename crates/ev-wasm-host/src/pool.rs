//! The instances that wait for the next call.

use std::sync::atomic::{AtomicU64, Ordering};

use try_lock::TryLock;

use crate::instance::Instance;

/// A fixed number of places, each empty or with an instance that has not misbehaved.
///
/// Whoever decodes holds the lock of a place meanwhile, so taking an instance and giving it back
/// is one lock and moves nothing. Nobody waits for a place, so the lock need not know how to wake
/// anybody: a call has one locked instruction.
#[derive(Default)]
pub(crate) struct Pool {
    places: Box<[Place]>,
    /// Events answered while no place was free.
    elsewhere: AtomicU64,
}

#[derive(Default)]
struct Place {
    held: TryLock<Held>,
    /// Events answered here. Written under the lock alone, read by anybody.
    events: AtomicU64,
}

#[derive(Default)]
struct Held {
    instance: Option<Instance>,
    /// Somebody is in a call, or panicked in one.
    in_call: bool,
}

impl Pool {
    /// With room for `places` instances.
    pub(crate) fn new(places: usize) -> Self {
        Self { places: (0..places).map(|_| Place::default()).collect(), ..Self::default() }
    }

    /// Events answered so far.
    pub(crate) fn events(&self) -> u64 {
        let here = self.places.iter().map(|place| place.events.load(Ordering::Relaxed));
        here.sum::<u64>() + self.elsewhere.load(Ordering::Relaxed)
    }

    /// Does `work`, which answers `events` events, with a place to itself: with or without an
    /// instance, and kept for the next one unless all places are in use. When it fails, the
    /// instance is dropped, and its memory with it.
    pub(crate) fn with<T, E>(
        &self,
        events: usize,
        work: impl FnOnce(&mut Option<Instance>) -> Result<T, E>,
    ) -> Result<T, E> {
        let events = events as u64;
        for place in &self.places {
            let held = place.held.try_lock_explicit(Ordering::Acquire, Ordering::Release);
            if let Some(mut held) = held {
                let result = held.with(work);
                if result.is_ok() {
                    let before = place.events.load(Ordering::Relaxed);
                    place.events.store(before.wrapping_add(events), Ordering::Relaxed);
                }
                return result;
            }
        }
        let result = work(&mut None);
        if result.is_ok() {
            self.elsewhere.fetch_add(events, Ordering::Relaxed);
        }
        result
    }
}

impl Held {
    fn with<T, E>(
        &mut self,
        work: impl FnOnce(&mut Option<Instance>) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.in_call {
            // Somebody panicked in the middle of a call: nobody knows in what state it is.
            self.instance = None;
        }
        self.in_call = true;
        let result = work(&mut self.instance);
        if result.is_err() {
            self.instance = None;
        }
        self.in_call = false;
        result
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_place_is_free_again_after_a_panic() {
        let pool = Pool::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            pool.with(1, |_| -> Result<(), ()> { panic!("in a call") })
        }));
        assert!(panicked.is_err());
        assert!(pool.places[0].held.try_lock().expect("free").in_call);
        let found = pool.with(2, |instance| Ok::<_, ()>(instance.is_some()));
        assert_eq!((found, pool.events()), (Ok(false), 2));
        assert!(!pool.places[0].held.try_lock().expect("free").in_call);
    }

    #[test]
    fn events_are_counted_wherever_they_were_answered() {
        let pool = Pool::new(1);
        let inner = pool.with(3, |_| pool.with(4, |_| Ok::<_, ()>(())));
        assert_eq!((inner, pool.events()), (Ok(()), 7));
        assert_eq!(pool.with(5, |_| Err::<(), _>("failed")), Err("failed"));
        assert_eq!(pool.events(), 7);
    }
}
