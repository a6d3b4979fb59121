//! Native decoding, and other ways to do it.

use std::hint::black_box;

use anyhow::Result;
use criterion::Criterion;
use ev_bench::baselines::{Reflect, copy, typed_json};
use ev_bench::events::{self, EventSet};
use ev_bench::measure::{newest, unknown};
use ev_bench::record::{Work, record};
use ev_core::{Flavour, Mode};
use ev_decode::{Options, Scratch, Transcoder, bare_walk};
use ev_oracle::Schema;

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for set in events::sets()? {
        native(&mut criterion, &set)?;
        baselines(&mut criterion, &set)?;
    }
    criterion.final_summary();
    Ok(())
}

fn native(criterion: &mut Criterion, set: &EventSet) -> Result<()> {
    let (full, older) = unknown::decoders()?;
    let formed = Transcoder::new(newest(), Flavour::Struct, Options::default());
    for (case, transcoder, mode) in [
        ("go", &full, Mode::Strict),
        ("struct", &formed, Mode::Strict),
        ("unknown", &older, Mode::KnownPart),
    ] {
        let (mut scratch, mut out) = (Scratch::new(), Vec::new());
        each(criterion, "native", case, set, |event| {
            out.clear();
            black_box(transcoder.decode_one(&mut scratch, event, mode, &mut out));
        });
    }
    Ok(())
}

fn baselines(criterion: &mut Criterion, set: &EventSet) -> Result<()> {
    let mut out = Vec::new();
    let reflect = Reflect::new()?;
    each(criterion, "baseline", "reflect-serde", set, |event| {
        out.clear();
        black_box(reflect.json(event, &mut out).is_ok());
    });
    let oracle = Schema::new(&events::descriptors()?)?;
    each(criterion, "baseline", "reflect-go", set, |event| {
        out.clear();
        black_box(oracle.reflect(event, &mut out).is_ok());
    });
    each(criterion, "baseline", "typed", set, |event| {
        out.clear();
        black_box(typed_json(event, &mut out).is_ok());
    });
    each(criterion, "baseline", "copy-input", set, |event| {
        copy(event, &mut out);
        black_box(&out);
    });
    let table = newest();
    each(criterion, "baseline", "bare-walk", set, |event| {
        black_box(bare_walk(&table, event));
    });
    Ok(())
}

/// One pass over the set.
fn each(
    criterion: &mut Criterion,
    stage: &str,
    case: &str,
    set: &EventSet,
    mut one: impl FnMut(&[u8]),
) {
    record(criterion, (stage, case, set.name), Work::of(set), || {
        set.events.iter().for_each(|event| one(black_box(event)));
    });
}
