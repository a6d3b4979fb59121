//! What it costs to notice that a schema does not know all of an event.

use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use ev_core::{Flavour, Mode};
use ev_decode::{Answer, Options, Scratch, Transcoder};

use super::newest;
use crate::bars::Unit;
use crate::events::EventSet;
use crate::report::Report;
use crate::rounds::{self, Case, Effort};
use crate::stats::Figure;

/// The pass with a table that knows all, against the pass with one that does not.
pub(super) fn run(sets: &[EventSet], effort: Effort, report: &mut Report) -> Result<()> {
    let (full, older) = decoders()?;
    for set in sets {
        let events = partly_known(set, &older);
        if events.is_empty() {
            continue;
        }
        let times = rounds::run(
            vec![
                case("full-strict", &full, Mode::Strict, &events),
                case("full-known-part", &full, Mode::KnownPart, &events),
                case("older-strict", &older, Mode::Strict, &events),
                case("older-known-part", &older, Mode::KnownPart, &events),
            ],
            effort,
        );
        let full = times.of("full-strict");
        let mut told = |id, what: &str, case| {
            let figure = Figure::ratio(times.of(case), full);
            report.told(id, what, set.name, Unit::Times, figure);
        };
        let what = "full table, known part against strict";
        told("unknown-mode", what, "full-known-part");
        let what = "unknown fields: older table, known part, against full";
        told("unknown-known-part", what, "older-known-part");
        let what = "unknown fields: older table, strict, against full";
        told("unknown-strict", what, "older-strict");
        let bytes = events.iter().map(Bytes::len).sum();
        for (case, rounds) in times.cases() {
            report.time(case, set.name, rounds, events.len(), bytes);
        }
    }
    Ok(())
}

/// One decoder that knows the sets' schema and one of an older version.
///
/// # Errors
///
/// When that version is not embedded.
pub fn decoders() -> Result<(Transcoder, Transcoder)> {
    let older = ev_decode::embedded().into_iter().find(|table| table.label == "v15dev");
    let older = older.context("`v15dev` is not embedded")?.table;
    ensure!(older.schema_sha256() != newest().schema_sha256(), "the same schema");
    let transcoder = |table| Transcoder::new(table, Flavour::Go, Options::default());
    Ok((transcoder(newest()), transcoder(older)))
}

/// The events whose type the older schema knows, but not all of their fields.
pub fn partly_known(set: &EventSet, older: &Transcoder) -> Vec<Bytes> {
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    let partly = |event: &&Bytes| {
        out.clear();
        let answer = older.decode_one(&mut scratch, event, Mode::KnownPart, &mut out);
        matches!(answer, Answer::Unknown { known: true, .. })
    };
    set.events.iter().filter(partly).cloned().collect()
}

fn case<'a>(
    name: &'static str,
    transcoder: &'a Transcoder,
    mode: Mode,
    events: &'a [Bytes],
) -> Case<'a> {
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    Case::new(name, move || {
        for event in events {
            out.clear();
            black_box(transcoder.decode_one(&mut scratch, black_box(event), mode, &mut out));
        }
    })
}
