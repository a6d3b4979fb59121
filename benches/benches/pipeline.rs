//! The whole program against fakes in the same process.

use anyhow::Result;
use criterion::Criterion;
use ev_bench::measure::pipeline::Stage;
use ev_bench::record::{Work, record};

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let stage = Stage::new(20_000, 0..usize::MAX, 72)?;
    let work = Work { events: stage.events, bytes: stage.bytes };
    for batch_mode in ["array", "single"] {
        record(&mut criterion, ("pipeline", batch_mode, "mixed"), work, || {
            assert!(stage.forward(batch_mode).is_ok(), "all events arrive");
        });
    }
    criterion.final_summary();
    Ok(())
}
