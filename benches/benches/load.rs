//! From a received artifact to the first decoded event.

use anyhow::Result;
use criterion::Criterion;
use ev_bench::events;
use ev_bench::measure::load::{Fresh, Received, first_event};
use ev_bench::record::{Work, record};

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let received = Received::new()?;
    let fresh = Fresh::new()?;
    let event = first_event(&events::sets()?)?;
    let work = Work { events: 1, bytes: event.bytes.len() };
    record(&mut criterion, ("load", "module", "one"), work, || {
        assert!(received.load_module(&event).is_ok(), "a module of our own");
    });
    record(&mut criterion, ("load", "table", "one"), work, || {
        assert!(received.load_table(&event).is_ok(), "a table of our own");
    });
    record(&mut criterion, ("load", "instance", "one"), work, || {
        assert!(fresh.decode(&event).is_ok(), "a fresh instance decodes");
    });
    criterion.final_summary();
    Ok(())
}
