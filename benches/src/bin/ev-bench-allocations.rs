//! Counts heap allocations of the native decoder in steady state. A program of its own, because
//! its allocator counts, which costs time.

#![allow(clippy::print_stdout, reason = "its answer")]

use allocation_counter::measure;
use anyhow::Result;
use ev_bench::events;
use ev_bench::measure::Counted;
use ev_core::{Decoder as _, Flavour, Mode, Output};
use ev_decode::{NativeDecoder, Options, Scratch, Transcoder};

fn main() -> Result<()> {
    let newest = ev_decode::embedded().pop().expect("tables are embedded").table;
    let sets = events::sets()?;
    let transcoder = Transcoder::new(newest.clone(), Flavour::Go, Options::default());
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    let mut events_counted = 0_u32;
    let mut singly = || {
        for event in sets.iter().flat_map(|set| &set.events) {
            out.clear();
            transcoder.decode_one(&mut scratch, event, Mode::Strict, &mut out);
            events_counted += 1;
        }
    };
    // The first pass grows the buffers.
    singly();
    let single = measure(&mut singly).count_total;
    let per_event = precise(single) / f64::from(events_counted / 2);

    let decoder = NativeDecoder::native(newest, Flavour::Go, Options::default());
    let pages: Vec<_> = sets.iter().map(|set| set.raw()).collect();
    let mut buffer = Vec::new();
    let mut pages_counted = 0_u32;
    let mut paged = || {
        for page in pages.iter().flat_map(|events| events.chunks(64)) {
            let mut out = Output::with_buffer(std::mem::take(&mut buffer));
            let decoded = decoder.decode(page, Mode::Strict, &mut out);
            assert!(decoded.is_ok(), "a native decoder does not fail");
            (buffer, _) = out.into_parts();
            buffer.clear();
            pages_counted += 1;
        }
    };
    paged();
    let page = measure(&mut paged).count_total;
    let per_page = precise(page) / f64::from(pages_counted / 2);
    println!("{}", serde_json::to_string(&Counted { per_event, per_page })?);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}
