//! Space: the module's size, a guest's memory, allocations.

use std::io::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use ev_core::{Mode, Outcome, Output};
use ev_wasm_host::{Limits, ModuleHost};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::guest::{identity, module};
use super::newest;
use crate::bars::Unit;
use crate::events::EventSet;
use crate::events::shapes::{Shapes, raw};
use crate::report::Report;
use crate::rounds::Effort;
use crate::stats::Figure;

/// Name of the binary that counts allocations; it stands beside this one.
const COUNTER: &str = "ev-bench-allocations";
/// Bytes of wire of the one large event.
const LARGE: usize = 4 * 1024 * 1024;

/// Counts; nothing here is timed.
pub(super) fn run(_: &[EventSet], _: Effort, report: &mut Report) -> Result<()> {
    let module = module()?;
    report.held("module-plain", "", kilobytes(module.len()));
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&module)?;
    report.held("module-gzip", "", kilobytes(packed.finish()?.len()));

    let shapes = Shapes::new()?;
    for (name, event) in [
        ("plain text", shapes.text(LARGE, 0)),
        ("SQL", shapes.statement(LARGE, 0)),
        ("records", shapes.records(LARGE, 0)),
    ] {
        report.held("guest-memory", name, guest_memory(&module, event)?);
    }

    let Counted { per_event, per_page } = count()?;
    report.held("allocations", "", Figure::exact(per_event));
    let what = "heap allocations a page of 64, with its outcomes";
    report.told("page-allocations", what, "", Unit::Count, Figure::exact(per_page));
    Ok(())
}

/// Linear memory of an instance that has decoded one event.
fn guest_memory(module: &[u8], event: Vec<u8>) -> Result<Figure> {
    // An instance that has grown is kept, to be looked at.
    let limits = Limits { recycle_memory_bytes: usize::MAX, ..Limits::default() };
    let host = ModuleHost::new(limits)?;
    let options = ev_wasm_host::Options::default();
    let decoder = host.compile(module)?.decoder(identity(&newest()), options)?;
    let mut out = Output::default();
    decoder.try_decode(&[raw(event)], Mode::Strict, &mut out)?;
    ensure!(matches!(out.outcomes(), [Outcome::Decoded { .. }]), "not decoded");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = host.usage().memory_bytes as f64;
    Ok(Figure::exact(bytes / f64::from(1 << 20)))
}

fn kilobytes(bytes: usize) -> Figure {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = bytes as f64;
    Figure::exact(bytes / 1e3)
}

/// What the counting binary answers.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Counted {
    /// Allocations an event, one by one into one buffer.
    pub per_event: f64,
    /// Allocations a page of 64 events, through the trait.
    pub per_page: f64,
}

/// Asks another process, because counting makes each allocation slower: here that would flatter
/// whoever allocates less.
fn count() -> Result<Counted> {
    let path = std::env::current_exe()?.with_file_name(COUNTER);
    let output = Command::new(&path)
        .output()
        .with_context(|| format!("failed to run `{}`, which is built with this", path.display()))?;
    ensure!(output.status.success(), "`{COUNTER}` failed");
    serde_json::from_slice(&output.stdout).context("not an answer of the counter")
}
