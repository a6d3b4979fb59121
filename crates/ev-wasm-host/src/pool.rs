//! The instances that wait for the next call.

use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::instance::Instance;

/// A fixed number of places, each empty or with an instance that has not misbehaved.
///
/// Whoever decodes holds the lock of a place meanwhile, so taking an instance and giving it back
/// is one lock and moves nothing.
#[derive(Default)]
pub(crate) struct Pool {
    places: Box<[Mutex<Option<Instance>>]>,
}

impl Pool {
    /// With room for `places` instances.
    pub(crate) fn new(places: usize) -> Self {
        Self { places: (0..places).map(|_| Mutex::default()).collect() }
    }

    /// A place that nobody uses, with or without an instance; `None` when all are in use.
    pub(crate) fn place(&self) -> Option<MutexGuard<'_, Option<Instance>>> {
        self.places.iter().find_map(|place| match place.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(poisoned)) => {
                // Somebody panicked in the middle of a call: nobody knows in what state it is.
                let mut held = poisoned.into_inner();
                *held = None;
                place.clear_poison();
                Some(held)
            }
        })
    }
}
