use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What a module may use. The defaults fit our own modules with room to spare: they need 240 KB of
/// module, 1.2 MiB of memory and 0.2 to 9 ms per MiB of events. [`Limits::wasi`] are those for
/// modules of other toolchains.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest module that is looked at, in bytes. Default 4 MiB; compiling takes about a second
    /// for each.
    pub module_bytes: usize,
    /// Largest memory that a module may ask for at its start, in bytes. Default 8 MiB.
    pub initial_memory_bytes: usize,
    /// Memory of one instance, in bytes. Default 64 MiB.
    pub memory_bytes: usize,
    /// Elements in each table of an instance. Default 4,096.
    pub table_elements: usize,
    /// Tables of an instance. Default 1.
    pub tables: usize,
    /// Stack of a guest call, in bytes. Default 256 KiB, for every kind of module. The calling
    /// thread must have more than this left, or the process is aborted: decode on threads with
    /// 2 MiB.
    pub stack_bytes: usize,
    /// Longest answer to one call, in bytes. Default 32 MiB.
    pub answer_bytes: usize,
    /// Time for one call, whatever its size. Default 100 ms. A call ends at the latest two ticks
    /// of 10 ms behind its time.
    pub call_time: Duration,
    /// Further time for each MiB of the batch, or part of one. Default 50 ms.
    pub call_time_per_mib: Duration,
    /// Events in one call, at most. Default 64.
    pub batch_events: usize,
    /// Bytes of events in one call, unless a single event is larger. Default 256 KiB.
    pub batch_bytes: usize,
    /// An instance is replaced after so many events. Default 100,000.
    pub recycle_events: u64,
    /// An instance is replaced when its memory has grown beyond this, in bytes. Default 16 MiB.
    pub recycle_memory_bytes: usize,
    /// Idle instances kept for the next call. Default 4.
    pub idle_instances: usize,
    /// Whether each answer's JSON is read once, to prove that it is a single object whose top-level
    /// identity keys are the event's. Default yes. Off only for measuring what that costs: then
    /// JSON of any shape passes that is UTF-8 and begins and ends as an object does.
    pub json_scan: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_bytes: 4 * MIB,
            initial_memory_bytes: 8 * MIB,
            memory_bytes: 64 * MIB,
            table_elements: 4096,
            tables: 1,
            stack_bytes: 256 * KIB,
            answer_bytes: 32 * MIB,
            call_time: Duration::from_millis(100),
            call_time_per_mib: Duration::from_millis(50),
            batch_events: 64,
            batch_bytes: 256 * KIB,
            recycle_events: 100_000,
            recycle_memory_bytes: 16 * MIB,
            idle_instances: 4,
            json_scan: true,
        }
    }
}

impl Limits {
    /// For modules that import WASI: what a Go reactor needs. Its module has up to 15 MB, nearly
    /// all of it the runtime, and takes about a second per MiB to compile; its memory settles at
    /// 12 MiB, a large part of it there from the start; it needs 33 times as long for an event,
    /// and 12,000 table elements.
    pub fn wasi() -> Self {
        Self {
            module_bytes: 32 * MIB,
            initial_memory_bytes: 32 * MIB,
            memory_bytes: 256 * MIB,
            table_elements: 30_000,
            tables: 2,
            call_time: Duration::from_millis(500),
            call_time_per_mib: Duration::from_millis(500),
            // Starting anew costs the runtime's start, and a heap may grow before it is collected.
            recycle_memory_bytes: 128 * MIB,
            ..Self::default()
        }
    }

    /// Time for a call with `bytes` of question.
    pub(crate) fn time_for(&self, bytes: usize) -> Duration {
        let mib = u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX);
        self.call_time.saturating_add(self.call_time_per_mib.saturating_mul(mib))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_grows_with_the_batch() {
        let limits = Limits::default();
        assert_eq!(limits.time_for(0), Duration::from_millis(100));
        assert_eq!(limits.time_for(1), Duration::from_millis(150));
        assert_eq!(limits.time_for(MIB), Duration::from_millis(150));
        assert_eq!(limits.time_for(4 * MIB), Duration::from_millis(300));
    }
}
