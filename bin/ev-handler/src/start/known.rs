//! What is known of a run, for whoever shows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ev_core::{Road, SinkId, Survey, Timestamp};
use ev_locking::Lockout;
use ev_modules::Registry;
use ev_pipeline::{Inspector, Pulse, Summary};

/// What is known of a run, as far as it has come.
#[derive(Default)]
pub(crate) struct Facts {
    /// What Auth said of itself last.
    pub(crate) survey: Option<Survey>,
    pub(crate) registry: Option<Registry>,
    pub(crate) engines: Vec<Running>,
    /// How many engines have begun.
    begun: u64,
    pub(crate) lockout: Option<Lockout>,
}

/// An engine, that of one sink.
#[derive(Clone)]
pub(crate) struct Running {
    /// Tells engines apart: each that begins has a higher one than those before it.
    pub(crate) number: u64,
    pub(crate) sink: SinkId,
    pub(crate) inspector: Inspector,
    pub(crate) pulse: Pulse,
    pub(crate) road: Road,
    pub(crate) start_time: Timestamp,
    /// What engines before it have done in this run, by other roads.
    pub(crate) before: Option<Summary>,
}

/// Shares what is known of a run.
#[derive(Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Facts>>);

impl Known {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An engine begins, with that number, instead of the one that its sink had.
    pub(crate) fn begins(&self, make: impl FnOnce(u64) -> Running) {
        let mut facts = self.lock();
        facts.begun += 1;
        let running = make(facts.begun);
        facts.engines.retain(|other| other.sink != running.sink);
        facts.engines.push(running);
        facts.engines.sort_by(|one, other| one.sink.cmp(&other.sink));
    }
}
