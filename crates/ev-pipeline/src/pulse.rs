//! That the engine turns, for whoever watches over it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Beats whenever the engine turns.
///
/// It turns whenever something happens, and at the latest when it is asked something
/// ([`crate::Inspector::status`]): so one that is asked every second and does not beat for much
/// longer than any page takes to be decoded hangs. It beats while it waits for a state that cannot
/// be used too, since nobody would be helped by a restart then.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    beats: AtomicU64,
    state_trouble: Mutex<Option<String>>,
}

impl Pulse {
    /// How often it has beaten.
    pub fn beats(&self) -> u64 {
        self.0.beats.load(Ordering::Relaxed)
    }

    /// Why the state cannot be used, while that is waited for.
    pub fn state_trouble(&self) -> Option<String> {
        self.0.state_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn beat(&self) {
        self.0.beats.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_state_trouble(&self, trouble: Option<String>) {
        *self.0.state_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}
