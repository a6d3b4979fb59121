//! The self-test: its events, good modules of every version against every native table, and
//! decoders that differ in one thing.

use std::collections::BTreeSet;
use std::path::Path;

use ev_core::{
    Cost, Decoder, DecoderError, DecoderIdentity, Flavour, Mode, Outcome, Output, RawEvent,
};
use ev_wasm_host::{HostError, self_test, self_test_events};

use crate::golden::{Vector, decoders, modules, vectors};

/// Kinds of recorded edge cases that every schema fully knows and both flavours print.
const EDGES: [&str; 9] = [
    "edge-str-",
    "edge-map-",
    "edge-int-",
    "edge-time-",
    "edge-bytes-",
    "edge-enum-",
    "edge-list-",
    "edge-struct-",
    "edge-wire-",
];

/// Left out: what some version or flavour answers with something else than JSON, deep nesting, and
/// large events, since the set is part of the program.
fn is_suitable(vector: &Vector) -> bool {
    let case = vector.text("case");
    vector.bytes("json").is_some()
        && vector.line.get("unknown_wire_path").is_none()
        && vector.event.bytes.len() <= 4096
        && !["badutf8", "unknown", "deep", "manykeys", "long", "many"]
            .iter()
            .any(|part| case.contains(part))
}

/// Every tenth full event, every twentieth sparse one, and one of each kind of edge case, of the
/// oldest version: what it knows every later one knows.
fn selected() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut seen = BTreeSet::new();
    let (mut full, mut sparse) = (0, 0);
    for vector in vectors("v13").iter().filter(|vector| is_suitable(vector)) {
        let case = vector.text("case");
        let taken = match case {
            "full" => {
                full += 1;
                full % 10 == 1
            }
            "sparse" => {
                sparse += 1;
                sparse % 20 == 1
            }
            _ => EDGES.iter().any(|edge| case.starts_with(edge)) && seen.insert(case),
        };
        if taken {
            let event = &vector.event.bytes;
            bytes.extend(u32::try_from(event.len()).expect("small").to_le_bytes());
            bytes.extend_from_slice(event);
        }
    }
    bytes
}

/// `EV_WRITE_SELFTEST=1 cargo test -p ev-wasm-host selftest` writes the file anew.
#[test]
fn the_built_in_events_are_those_selected_from_the_recorded_ones() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("selftest/events.bin");
    let selected = selected();
    if std::env::var_os("EV_WRITE_SELFTEST").is_some() {
        std::fs::write(&path, &selected).expect("a writable file");
    }
    let kept = std::fs::read(&path).expect("the built-in events");
    assert!(kept == selected, "run with EV_WRITE_SELFTEST=1 to write the file anew");
    let events = self_test_events();
    let bytes: usize = events.iter().map(|event| event.bytes.len() + 4).sum();
    assert_eq!(bytes, selected.len(), "all of the file is read");
    assert!((60..200).contains(&events.len()), "{}", events.len());
}

#[test]
fn modules_of_every_version_pass_against_every_native_table() {
    let modules = modules();
    let events = self_test_events();
    for (table, module) in modules.values() {
        for (reference, _) in modules.values() {
            for flavour in [Flavour::Go, Flavour::Struct] {
                let (guest, _) = decoders(table, module, flavour, false);
                let (_, native) = decoders(reference, module, flavour, false);
                let same = table.table.schema_sha256() == reference.table.schema_sha256();
                let result = self_test(&guest, &native, &events, same);
                assert!(
                    result.is_ok(),
                    "{} against {}, {flavour}: {result:?}",
                    table.label,
                    reference.label
                );
            }
        }
    }
}

/// A decoder that changes what another one answers.
struct Changed<'a> {
    inner: &'a dyn Decoder,
    change: fn(&mut Vec<u8>, &mut Outcome),
}

impl Decoder for Changed<'_> {
    fn identity(&self) -> &DecoderIdentity {
        self.inner.identity()
    }

    fn cost(&self) -> Cost {
        self.inner.cost()
    }

    fn decode(
        &self,
        events: &[RawEvent],
        mode: Mode,
        out: &mut Output,
    ) -> Result<(), DecoderError> {
        let mut inner = Output::default();
        self.inner.decode(events, mode, &mut inner)?;
        for outcome in inner.outcomes() {
            let mut outcome = outcome.clone();
            let mut json = match &outcome {
                Outcome::Decoded { json, .. } => json.of(inner.json()).to_vec(),
                _ => Vec::new(),
            };
            (self.change)(&mut json, &mut outcome);
            let start = out.json().len();
            if let Outcome::Decoded { facts, .. } = outcome {
                out.buffer().extend(&json);
                out.decoded(start, facts);
            } else {
                out.abandon(start, outcome);
            }
        }
        Ok(())
    }
}

#[test]
fn a_decoder_that_differs_fails() {
    let modules = modules();
    let (table, module) = &modules["v18dev"];
    let (_, native) = decoders(table, module, Flavour::Go, false);
    let events = self_test_events();
    let check = |same_schema: bool, change: fn(&mut Vec<u8>, &mut Outcome)| {
        let changed = Changed { inner: &native, change };
        match self_test(&changed, &native, &events, same_schema) {
            Ok(()) => None,
            Err(HostError::SelfTest { what, .. }) => Some(what),
            Err(other) => panic!("{other:?}"),
        }
    };
    let add_key: fn(&mut Vec<u8>, &mut Outcome) = |json, _| {
        json.splice(1..1, *b"\"new\":[],");
    };
    let swap_case: fn(&mut Vec<u8>, &mut Outcome) = |json, _| {
        let text = String::from_utf8_lossy(json).replace("\"time\":\"2", "\"time\":\"1");
        *json = text.into_bytes();
    };
    let reorder: fn(&mut Vec<u8>, &mut Outcome) = |json, _| {
        let text = String::from_utf8_lossy(json).into_owned();
        if let Some((ei, rest)) = text[1..].split_once(',')
            && let Some((event, rest)) = rest.split_once(',')
        {
            *json = format!("{{{event},{ei},{rest}").into_bytes();
        }
    };
    let other_index: fn(&mut Vec<u8>, &mut Outcome) = |_, outcome| {
        if let Outcome::Decoded { facts, .. } = outcome {
            facts.index = facts.index.wrapping_add(1);
        }
    };
    let refuse: fn(&mut Vec<u8>, &mut Outcome) = |_, outcome| {
        *outcome = Outcome::Malformed { at: 0, what: "no".into() };
    };
    assert_eq!(check(true, |_, _| ()), None);
    assert_eq!(check(false, |_, _| ()), None);
    assert_eq!(check(false, add_key), None, "versions differ in what they always write");
    assert_eq!(check(true, add_key).as_deref(), Some("the JSON differs"));
    assert_eq!(check(false, swap_case).as_deref(), Some("the values of `.time` differ"));
    assert_eq!(check(false, reorder).as_deref(), Some("the keys of `` differ in order"));
    assert_eq!(check(false, other_index).as_deref(), Some("the facts differ"));
    let refused = check(false, refuse);
    assert_eq!(refused.as_deref(), Some("the answers are malformed and decoded"));
}

#[test]
fn a_self_test_shows_something() {
    let modules = modules();
    let (table, module) = &modules["v13"];
    let (_, native) = decoders(table, module, Flavour::Go, false);
    assert!(self_test(&native, &native, &[], true).is_err(), "no event is no test");
    let (_, other) = decoders(table, module, Flavour::Struct, false);
    assert!(self_test(&native, &other, &self_test_events(), true).is_err(), "flavours differ");
}

#[test]
fn a_decoder_that_fails_is_named_as_the_cause() {
    let modules = modules();
    let (table, module) = &modules["v13"];
    let (_, native) = decoders(table, module, Flavour::Go, false);
    let guest = crate::guest::Guest::running("unreachable");
    let guest = guest.decoder(crate::guest::patient()).expect("an admissible guest");
    let error = self_test(&guest, &native, &self_test_events(), false);
    assert!(matches!(error, Err(HostError::SelfTestFailed(_))), "{error:?}");
}
