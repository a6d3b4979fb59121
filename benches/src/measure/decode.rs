//! The native decoder against the baselines.

use std::hint::black_box;

use anyhow::{Result, ensure};
use ev_core::{Decoder as _, Flavour, Mode, Output};
use ev_decode::{Answer, NativeDecoder, Options, Scratch, Transcoder, bare_walk};
use ev_oracle::Schema;

use super::newest;
use crate::bars::Unit;
use crate::baselines::{Reflect, copy, typed_json};
use crate::events::{self, EventSet};
use crate::report::Report;
use crate::rounds::{self, Case, Effort};
use crate::stats::Figure;

/// Everything for each set.
pub(super) fn run(sets: &[EventSet], effort: Effort, report: &mut Report) -> Result<()> {
    let reflect = Reflect::new()?;
    let oracle = Schema::new(&events::descriptors()?)?;
    for set in sets {
        let finished = finished(set, &oracle)?;
        let mut cases = cases(set, &reflect, &finished);
        cases.push(reflect_go(set, &oracle));
        let times = rounds::run(cases, effort);
        let native = times.of("native");
        report.held("reflect-serde", set.name, Figure::ratio(times.of("reflect-serde"), native));
        report.held("reflect-go", set.name, Figure::ratio(times.of("reflect-go"), native));
        report.held("bare-walk", set.name, Figure::ratio(native, times.of("bare-walk")));
        let mut told = |id, what: &str, figure| {
            report.told(id, what, set.name, Unit::Times, figure);
        };
        let typed = Figure::ratio(times.of("typed"), native);
        told("typed", "native faster than prost structs + serde_json", typed);
        let input = Figure::ratio(native, times.of("copy-input"));
        told("copy-input", "native against a copy of the input", input);
        let output = Figure::ratio(native, times.of("copy-output"));
        told("copy-output", "native against a copy of its output", output);
        let pages = Figure::ratio(times.of("native-pages"), native);
        told("native-pages", "native, pages of 64 against single events", pages);
        let formed = Figure::ratio(times.of("native-struct"), native);
        told("native-struct", "native, flavour struct against go", formed);
        for (case, rounds) in times.cases() {
            report.time(case, set.name, rounds, set.events.len(), set.wire_bytes());
        }
    }
    Ok(())
}

/// What each event becomes, after proof that the independent writer makes the same bytes of it.
fn finished(set: &EventSet, oracle: &Schema) -> Result<Vec<Vec<u8>>> {
    let transcoder = Transcoder::new(newest(), Flavour::Go, Options::default());
    let mut scratch = Scratch::new();
    let mut finished = Vec::new();
    for event in &set.events {
        let mut json = Vec::new();
        let answer = transcoder.decode_one(&mut scratch, event, Mode::Strict, &mut json);
        ensure!(matches!(answer, Answer::Decoded(_)), "not decoded in `{}`: {answer:?}", set.name);
        let mut expected = Vec::new();
        oracle.reflect(event, &mut expected)?;
        ensure!(json == expected, "an event of `{}` has other bytes than expected", set.name);
        finished.push(json);
    }
    Ok(finished)
}

fn cases<'a>(set: &'a EventSet, reflect: &'a Reflect, finished: &'a [Vec<u8>]) -> Vec<Case<'a>> {
    let events = &set.events;
    let mut out = Vec::new();
    let copy_input = Case::new("copy-input", move || {
        for event in events {
            copy(black_box(event), &mut out);
            black_box(&out);
        }
    });
    let mut out = Vec::new();
    let copy_output = Case::new("copy-output", move || {
        for json in finished {
            copy(black_box(json), &mut out);
            black_box(&out);
        }
    });
    let table = newest();
    let walk = Case::new("bare-walk", move || {
        for event in events {
            black_box(bare_walk(&table, black_box(event)));
        }
    });
    let mut out = Vec::new();
    let typed = Case::new("typed", move || {
        for event in events {
            out.clear();
            black_box(typed_json(black_box(event), &mut out).is_ok());
        }
    });
    let mut out = Vec::new();
    let reflect_serde = Case::new("reflect-serde", move || {
        for event in events {
            out.clear();
            black_box(reflect.json(black_box(event), &mut out).is_ok());
        }
    });
    vec![
        native("native", set, Flavour::Go),
        native("native-struct", set, Flavour::Struct),
        pages(set),
        walk,
        copy_input,
        copy_output,
        typed,
        reflect_serde,
    ]
}

fn reflect_go<'a>(set: &'a EventSet, oracle: &'a Schema) -> Case<'a> {
    let mut out = Vec::new();
    Case::new("reflect-go", move || {
        for event in &set.events {
            out.clear();
            black_box(oracle.reflect(black_box(event), &mut out).is_ok());
        }
    })
}

/// One event after the other into one buffer that is emptied in between.
pub(super) fn native<'a>(name: &'static str, set: &'a EventSet, flavour: Flavour) -> Case<'a> {
    let transcoder = Transcoder::new(newest(), flavour, Options::default());
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    Case::new(name, move || {
        for event in &set.events {
            out.clear();
            let event = black_box(event);
            black_box(transcoder.decode_one(&mut scratch, event, Mode::Strict, &mut out));
        }
    })
}

/// Through the shared trait, a page at a time, as the engine does it.
fn pages(set: &EventSet) -> Case<'static> {
    let decoder = NativeDecoder::native(newest(), Flavour::Go, Options::default());
    let events = set.raw();
    let mut buffer = Vec::new();
    Case::new("native-pages", move || {
        for page in events.chunks(64) {
            let mut out = Output::with_buffer(std::mem::take(&mut buffer));
            black_box(decoder.decode(black_box(page), Mode::Strict, &mut out).is_ok());
            let (mut json, outcomes) = out.into_parts();
            black_box(outcomes);
            json.clear();
            buffer = json;
        }
    })
}
