//! Decoding in the module: one call an event, and batches of 64.

use anyhow::Result;
use criterion::Criterion;
use ev_bench::events;
use ev_bench::measure::guest::{Guest, module};
use ev_bench::record::{Work, record};
use ev_core::Output;
use ev_wasm_host::Limits;

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let module = module()?;
    let scanned = Guest::new(&module, Limits::default())?;
    let unscanned = Guest::new(&module, Limits { json_scan: false, ..Limits::default() })?;
    for set in events::sets()? {
        let events = set.raw();
        for (case, guest, batch) in [
            ("batch-64", &scanned, 64),
            ("call-an-event", &scanned, 1),
            ("batch-64-unscanned", &unscanned, 64),
        ] {
            let mut out = Output::default();
            record(&mut criterion, ("module", case, set.name), Work::of(&set), || {
                guest.pass(&events, batch, &mut out);
            });
        }
    }
    criterion.final_summary();
    Ok(())
}
