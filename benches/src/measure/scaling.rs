//! Whether cost grows linearly with an event, and by how much hostile encodings cost more.

use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use ev_core::{Flavour, Mode};
use ev_decode::{Answer, Options, Scratch, Transcoder};

use super::newest;
use crate::events::hostile::{self, Pair};
use crate::events::shapes::{SHAPES, Shape, Shapes};
use crate::events::{self, EventSet};
use crate::report::Report;
use crate::rounds::{self, Case, Effort, Times};
use crate::stats::Figure;

/// Names of the sizes of a shape, smallest first; the first is the event without content.
const SIZES: [&str; 7] = ["empty", "size-1", "size-2", "size-3", "size-4", "size-5", "size-6"];

/// Every shape over its sizes, then every hostile encoding.
pub(super) fn run(sets: &[EventSet], effort: Effort, report: &mut Report) -> Result<()> {
    let effort = effort.turns(3);
    let shapes = Shapes::new()?;
    for shape in SHAPES {
        linear(shape, &shapes, effort, report)?;
    }
    let schema = events::schema()?;
    let one_of = schema.get_message_by_name("events.OneOf").context("no `events.OneOf`")?;
    let ordinary = sets.iter().find(|set| set.name == "medium").context("no medium events")?;
    for pair in hostile::pairs(&shapes, ordinary, &one_of) {
        let plain = decoded("plain", &pair.plain, pair.mode)?;
        let hostile = decoded("hostile", &pair.hostile, pair.mode)?;
        let times = rounds::run(vec![plain, hostile], effort);
        report.held("hostile", pair.name, against(&pair, &times));
    }
    Ok(())
}

fn against(pair: &Pair, times: &Times) -> Figure {
    let per_byte = |case, events: &[Vec<u8>]| {
        let bytes = precise(events.iter().map(Vec::len).sum());
        times.of(case).iter().map(|seconds| seconds / bytes).collect::<Vec<_>>()
    };
    Figure::ratio(&per_byte("hostile", &pair.hostile), &per_byte("plain", &pair.plain))
}

/// Time per byte of content at each size, against the least. What the event costs without content
/// is measured too and taken off: it is the same at each size.
fn linear(shape: &Shape, shapes: &Shapes, effort: Effort, report: &mut Report) -> Result<()> {
    ensure!(shape.sizes.len() < SIZES.len(), "more sizes than names");
    let sizes = [&[0], shape.sizes].concat();
    let events: Vec<_> = sizes.iter().map(|size| shape.events(shapes, *size)).collect();
    let cases = events.iter().zip(SIZES).map(|(event, name)| decoded(name, event, Mode::Strict));
    let times = rounds::run(cases.collect::<Result<_>>()?, effort);

    // Seconds an event, and its bytes.
    let seconds = |at: usize| {
        let count = precise(events[at].len());
        times.of(SIZES[at]).iter().map(move |seconds| seconds / count).collect::<Vec<_>>()
    };
    let bytes =
        |at: usize| precise(events[at].iter().map(Vec::len).sum()) / precise(events[at].len());
    let empty = seconds(0);
    let mut points = Vec::new();
    for (at, size) in sizes.iter().enumerate().skip(1) {
        let content = bytes(at) - bytes(0);
        let per_byte = |(with, without): (&f64, &f64)| (with - without) / content;
        let per_byte = seconds(at).iter().zip(&empty).map(per_byte).collect();
        points.push(Point { size: precise(*size), per_byte });
        let set = format!("{} {size}", shape.name);
        let total = events[at].iter().map(Vec::len).sum();
        report.time("linear", &set, times.of(SIZES[at]), events[at].len(), total);
    }
    report.held("linear", shape.name, worst(&points, shape.sorted));
    Ok(())
}

/// One size of a shape.
struct Point {
    size: f64,
    /// Seconds a byte of content, in each round.
    per_byte: Vec<f64>,
}

/// The largest ratio of a size's time per byte to the least of any size. Where entries are sorted,
/// a larger size may cost more by the ratio of the logarithms.
fn worst(points: &[Point], sorted: bool) -> Figure {
    let median = |point: &Point| Figure::median_of(&point.per_byte).value;
    let Some(least) = points.iter().min_by(|a, b| median(a).total_cmp(&median(b))) else {
        return Figure::exact(f64::NAN);
    };
    let allowed = |point: &Point| {
        if sorted { (point.size.ln() / least.size.ln()).max(1.0) } else { 1.0 }
    };
    let ratio = |point: &Point| {
        Figure::ratio(&point.per_byte, &least.per_byte).scaled(1.0 / allowed(point))
    };
    let ratios = points.iter().map(ratio);
    ratios.max_by(|a, b| a.value.total_cmp(&b.value)).unwrap_or(Figure::exact(f64::NAN))
}

/// Decodes some events; they were decoded once before.
fn decoded<'a>(name: &'static str, events: &'a [Vec<u8>], mode: Mode) -> Result<Case<'a>> {
    let transcoder = Transcoder::new(newest(), Flavour::Go, Options::default());
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    for event in events {
        out.clear();
        let answer = transcoder.decode_one(&mut scratch, event, mode, &mut out);
        let good = matches!(answer, Answer::Decoded(_) | Answer::Unknown { known: true, .. });
        ensure!(good, "not decoded: {answer:?}");
    }
    Ok(Case::new(name, move || {
        for event in events {
            out.clear();
            black_box(transcoder.decode_one(&mut scratch, black_box(event), mode, &mut out));
        }
    }))
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn precise(size: usize) -> f64 {
    size as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(f64, f64)]) -> Vec<Point> {
        values.iter().map(|&(size, value)| Point { size, per_byte: vec![value] }).collect()
    }

    #[test]
    fn the_worst_size_counts_wherever_it_is() {
        let check = |values: &[(f64, f64)], expected: f64| {
            assert_eq!(worst(&points(values), false).value, expected, "{values:?}");
        };
        check(&[(10.0, 3.0), (100.0, 2.0), (1000.0, 2.0)], 1.5);
        check(&[(10.0, 2.0), (100.0, 4.0), (1000.0, 8.0)], 4.0);
        check(&[(10.0, 2.0), (100.0, 5.0), (1000.0, 2.5)], 2.5);
        assert!(worst(&[], false).value.is_nan());
    }

    #[test]
    fn sorting_may_cost_a_logarithm_and_no_more() {
        let worst = |values: &[(f64, f64)]| worst(&points(values), true).value;
        assert!((worst(&[(10.0, 1.0), (100.0, 2.0), (1000.0, 3.0)]) - 1.0).abs() < 1e-9);
        assert!((worst(&[(10.0, 1.0), (100.0, 10.0)]) - 5.0).abs() < 1e-9, "quadratic");
        assert!((worst(&[(10.0, 3.0), (100.0, 1.0)]) - 3.0).abs() < 1e-9, "nothing for the small");
    }
}
