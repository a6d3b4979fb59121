//! What the criterion benches share: names and throughput.

use criterion::{BenchmarkId, Criterion, Throughput};

use crate::events::EventSet;

/// What one pass goes over.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Events.
    pub events: usize,
    /// Their bytes of wire.
    pub bytes: usize,
}

impl Work {
    /// One pass over a set.
    pub fn of(set: &EventSet) -> Self {
        Self { events: set.events.len(), bytes: set.wire_bytes() }
    }
}

/// Measures `pass` under the name `stage/case/size`, with events and bytes a second.
pub fn record(
    criterion: &mut Criterion,
    (stage, case, size): (&str, &str, &str),
    work: Work,
    mut pass: impl FnMut(),
) {
    let mut group = criterion.benchmark_group(format!("{stage}/{case}"));
    let (elements, bytes) = (work.events as u64, work.bytes as u64);
    group.throughput(Throughput::ElementsAndBytes { elements, bytes });
    // Some passes take a good part of a second; ten samples do for these.
    if work.events >= 10_000 || work.bytes > 4 << 20 {
        group.sample_size(10);
    }
    group.bench_function(BenchmarkId::from_parameter(size), |bencher| bencher.iter(&mut pass));
    group.finish();
}
