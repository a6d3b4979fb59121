//! What guests take up, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What guests take up now, and how many instances there have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Instances that are there now, idle or at work.
    pub instances: usize,
    /// Linear memory of these, in bytes.
    pub memory_bytes: usize,
    /// Instances made so far.
    pub created: u64,
    /// Compiled modules that are there now.
    pub modules: usize,
}

/// The counts behind [`Usage`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    instances: AtomicUsize,
    memory_bytes: AtomicUsize,
    created: AtomicU64,
    modules: AtomicUsize,
}

impl Counts {
    pub(crate) fn read(&self) -> Usage {
        Usage {
            instances: self.instances.load(Ordering::Relaxed),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            created: self.created.load(Ordering::Relaxed),
            modules: self.modules.load(Ordering::Relaxed),
        }
    }
}

/// One compiled module, from its making to its end.
#[derive(Debug)]
pub(crate) struct CountedModule(Arc<Counts>);

impl CountedModule {
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        counts.modules.fetch_add(1, Ordering::Relaxed);
        Self(counts)
    }
}

impl Drop for CountedModule {
    fn drop(&mut self) {
        self.0.modules.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One instance, from its making to its end.
#[derive(Debug)]
pub(crate) struct CountedInstance {
    counts: Arc<Counts>,
    memory_bytes: usize,
}

impl CountedInstance {
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        counts.instances.fetch_add(1, Ordering::Relaxed);
        counts.created.fetch_add(1, Ordering::Relaxed);
        Self { counts, memory_bytes: 0 }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Its memory has this size now.
    pub(crate) fn set_memory_bytes(&mut self, bytes: usize) {
        self.counts.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.memory_bytes.fetch_sub(self.memory_bytes, Ordering::Relaxed);
        self.memory_bytes = bytes;
    }
}

impl Drop for CountedInstance {
    fn drop(&mut self) {
        self.set_memory_bytes(0);
        self.counts.instances.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_taken_off() {
        let counts = Arc::new(Counts::default());
        let module = CountedModule::new(Arc::clone(&counts));
        let mut one = CountedInstance::new(Arc::clone(&counts));
        let mut two = CountedInstance::new(Arc::clone(&counts));
        one.set_memory_bytes(10);
        two.set_memory_bytes(5);
        one.set_memory_bytes(30);
        let now = Usage { instances: 2, memory_bytes: 35, created: 2, modules: 1 };
        assert_eq!(counts.read(), now);
        drop((one, module));
        let now = Usage { instances: 1, memory_bytes: 5, created: 2, modules: 0 };
        assert_eq!(counts.read(), now);
        drop(two);
        assert_eq!(counts.read(), Usage { created: 2, ..Usage::default() });
    }
}
