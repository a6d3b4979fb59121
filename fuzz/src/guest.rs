//! Made-up events through the module as well: what the guest answers is what the native decoder
//! answers, headers, facts and bytes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use ev_core::{
    Decoder, DecoderIdentity, DecoderKind, Flavour, Form, Mode, Outcome, Output, RawEvent,
};
use ev_decode::NativeDecoder;
use ev_wasm_host::{Limits, ModuleDecoder, ModuleHost, Options};

use crate::Pair;
use crate::differential::{hex, made_up};

const BATCH: u64 = 64;

/// Decodes events `from..to` of a seed with the module of the pair's table and natively, in both
/// flavours and modes; returns how many comparisons that were.
///
/// # Errors
///
/// The first difference, with the event in hex; or the module cannot be built.
pub fn guest_against_native(pair: &Pair, seed: u64, from: u64, to: u64) -> Result<u64> {
    let module = ev_modules::build_module(ev_modules::template(), &pair.table_bytes)?;
    // A deadline that no busy machine meets.
    let limits = Limits { call_time: Duration::from_secs(60), ..Limits::default() };
    let compiled = ModuleHost::new(limits)?.compile(&module)?;
    let mut compared = 0;
    for flavour in [Flavour::Go, Flavour::Struct] {
        let identity = DecoderIdentity {
            kind: DecoderKind::Module,
            auth_version: pair.table.auth_version().clone(),
            schema_sha256: pair.table.schema_sha256(),
            artifact_sha256: None,
            flavour,
        };
        let guest = compiled.clone().decoder(identity, Options { login: true })?;
        let options = ev_decode::Options { login: true, ..Default::default() };
        let native = NativeDecoder::native(pair.table.clone(), flavour, options);
        let mut number = from;
        while number < to {
            let behind = to.min(number + BATCH);
            let event = |number| {
                let bytes = Bytes::from(made_up(pair, seed, number, &[]).0);
                RawEvent { form: Form::OneOf, bytes }
            };
            let events: Vec<RawEvent> = (number..behind).map(event).collect();
            for mode in [Mode::Strict, Mode::KnownPart] {
                batch(&guest, &native, &events, mode)?;
                compared += behind - number;
            }
            number = behind;
        }
    }
    Ok(compared)
}

fn batch(
    guest: &ModuleDecoder,
    native: &NativeDecoder,
    events: &[RawEvent],
    mode: Mode,
) -> Result<()> {
    let (mut ours, mut theirs) = (Output::default(), Output::default());
    native.decode(events, mode, &mut theirs)?;
    guest.try_decode(events, mode, &mut ours).with_context(|| {
        let events: Vec<_> = events.iter().map(|event| hex(&event.bytes)).collect();
        format!("the module failed on one of {events:?}")
    })?;
    ensure!(ours.outcomes().len() == events.len(), "another number of outcomes");
    for ((our, their), event) in ours.outcomes().iter().zip(theirs.outcomes()).zip(events) {
        let (our, their) = (without_path(our), without_path(their));
        ensure!(our == their, "{our:?}\nnatively {their:?}\n{}", hex(&event.bytes));
    }
    ensure!(ours.json() == theirs.json(), "the bytes differ");
    Ok(())
}

/// Paths are numbers in one and names in the other.
fn without_path(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    if let Outcome::Unknown { path, .. } | Outcome::Unprintable { path, .. } = &mut outcome {
        path.clear();
    }
    outcome
}
