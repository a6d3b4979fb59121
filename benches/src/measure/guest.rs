//! The same decoder as a guest against itself native.

use std::hint::black_box;

use anyhow::{Result, ensure};
use ev_core::{
    AuthVersion, DecoderIdentity, DecoderKind, Flavour, Mode, Outcome, Output, RawEvent,
};
use ev_decode::{Options, Scratch, Table, Transcoder};
use ev_wasm_host::{Limits, ModuleDecoder, ModuleHost};

use super::decode::native;
use crate::events::EventSet;
use crate::report::Report;
use crate::rounds::{self, Case, Effort};
use crate::stats::Figure;

/// Everything for each set.
pub(super) fn run(sets: &[EventSet], effort: Effort, report: &mut Report) -> Result<()> {
    let module = module()?;
    let scanned = Guest::new(&module, Limits::default())?;
    let unscanned = Guest::new(&module, Limits { json_scan: false, ..Limits::default() })?;
    for set in sets {
        scanned.proves(set)?;
        unscanned.proves(set)?;
        let cases = vec![
            native("native", set, Flavour::Go),
            scanned.case("guest-64", set, 64),
            scanned.case("guest-1", set, 1),
            unscanned.case("guest-64-unscanned", set, 64),
            unscanned.case("guest-1-unscanned", set, 1),
        ];
        let times = rounds::run(cases, effort);
        let native = times.of("native");
        let unscanned = Figure::ratio(times.of("guest-64-unscanned"), native);
        report.held("guest-unscanned", set.name, unscanned);
        report.held("guest", set.name, Figure::ratio(times.of("guest-64"), native));
        let calls = Figure::ratio(times.of("guest-1"), times.of("guest-64"));
        report.held("guest-calls", set.name, calls);
        for (case, rounds) in times.cases().filter(|(case, _)| *case != "native") {
            report.time(case, set.name, rounds, set.events.len(), set.wire_bytes());
        }
    }
    Ok(())
}

/// Our module with the newest embedded schema.
///
/// # Errors
///
/// When it cannot be built.
pub fn module() -> Result<Vec<u8>> {
    let newest = super::newest_embedded();
    Ok(ev_modules::build_module(ev_modules::template(), newest.bytes)?)
}

/// What a manifest of [`module`] would say.
pub(super) fn identity(table: &Table) -> DecoderIdentity {
    DecoderIdentity {
        kind: DecoderKind::Module,
        auth_version: AuthVersion::clone(table.auth_version()),
        schema_sha256: table.schema_sha256(),
        artifact_sha256: None,
        flavour: Flavour::Go,
    }
}

/// A compiled module.
#[derive(Debug)]
pub struct Guest(ModuleDecoder);

impl Guest {
    /// Compiles a module of the newest embedded schema.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn new(module: &[u8], limits: Limits) -> Result<Self> {
        let host = ModuleHost::new(limits)?;
        let identity = identity(&super::newest());
        let decoder = host.compile(module)?.decoder(identity, ev_wasm_host::Options::default())?;
        Ok(Self(decoder))
    }

    /// The guest's answers are those of the native decoder.
    fn proves(&self, set: &EventSet) -> Result<()> {
        let transcoder = Transcoder::new(super::newest(), Flavour::Go, Options::default());
        let mut scratch = Scratch::new();
        let mut json = Vec::new();
        for event in set.raw() {
            let mut out = Output::default();
            self.0.try_decode(std::slice::from_ref(&event), Mode::Strict, &mut out)?;
            json.clear();
            transcoder.decode_one(&mut scratch, &event.bytes, Mode::Strict, &mut json);
            let decoded = matches!(&out.outcomes()[0], Outcome::Decoded { json: span, .. }
                if span.of(out.json()) == json);
            ensure!(decoded, "guest and native differ in `{}`", set.name);
        }
        Ok(())
    }

    /// Decodes a set in batches of `batch` events.
    fn case<'a>(&'a self, name: &'static str, set: &EventSet, batch: usize) -> Case<'a> {
        let events = set.raw();
        let mut out = Output::default();
        Case::new(name, move || self.pass(&events, batch, &mut out))
    }

    /// Decodes events that it is known to decode, `batch` at a time, into `out`, which is empty
    /// behind it and keeps its room: what is measured is the guest, not the allocator.
    ///
    /// # Panics
    ///
    /// If the guest fails.
    pub fn pass(&self, events: &[RawEvent], batch: usize, out: &mut Output) {
        for batch in events.chunks(batch) {
            let answer = self.0.try_decode(black_box(batch), Mode::Strict, out);
            assert!(answer.is_ok(), "it decodes these events");
            black_box(&*out);
            out.rewind(0, 0);
        }
    }
}
