//! Events of any size, and hostile encodings beside the plain ones.

use std::hint::black_box;

use anyhow::{Context as _, Result};
use criterion::Criterion;
use ev_bench::events;
use ev_bench::events::hostile;
use ev_bench::events::shapes::{SHAPES, Shapes};
use ev_bench::measure::newest;
use ev_bench::record::{Work, record};
use ev_core::{Flavour, Mode};
use ev_decode::{Options, Scratch, Transcoder};

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let shapes = Shapes::new()?;
    for shape in SHAPES {
        for size in shape.sizes {
            let events = shape.events(&shapes, *size);
            let names = ("linear", shape.name, &*size.to_string());
            decode(&mut criterion, names, &events, Mode::Strict);
        }
    }
    let schema = events::schema()?;
    let one_of = schema.get_message_by_name("events.OneOf").context("no `events.OneOf`")?;
    let sets = events::sets()?;
    let ordinary = sets.iter().find(|set| set.name == "medium").context("no medium events")?;
    for pair in hostile::pairs(&shapes, ordinary, &one_of) {
        decode(&mut criterion, ("hostile", pair.name, "plain"), &pair.plain, pair.mode);
        decode(&mut criterion, ("hostile", pair.name, "hostile"), &pair.hostile, pair.mode);
    }
    criterion.final_summary();
    Ok(())
}

fn decode(criterion: &mut Criterion, names: (&str, &str, &str), events: &[Vec<u8>], mode: Mode) {
    let transcoder = Transcoder::new(newest(), Flavour::Go, Options::default());
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    let work = Work { events: events.len(), bytes: events.iter().map(Vec::len).sum() };
    record(criterion, names, work, || {
        for event in events {
            out.clear();
            black_box(transcoder.decode_one(&mut scratch, black_box(event), mode, &mut out));
        }
    });
}
