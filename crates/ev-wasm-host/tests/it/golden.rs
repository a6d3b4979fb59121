//! The good guest: what it answers is what the native decoder answers, on every recorded event of
//! every version.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ev_core::peek;
use ev_core::{
    Decoder, DecoderIdentity, DecoderKind, Flavour, Form, Mode, Outcome, Output, RawEvent,
};
use ev_decode::{EmbeddedTable, NativeDecoder};
use ev_wasm_host::{CompiledModule, ModuleDecoder, ModuleHost, Options};
use serde_json::Value;

pub(crate) const TEMPLATE: &[u8] =
    include_bytes!("../../../ev-decoder-module/template/decoder-template.wasm");

/// One recorded event.
pub(crate) struct Vector {
    pub event: RawEvent,
    /// The file's line.
    pub line: Value,
}

impl Vector {
    /// A byte string of the line.
    pub(crate) fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let text = self.line.get(key)?.as_str()?;
        Some(STANDARD.decode(text).expect("base64"))
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.line.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Reads one file of golden vectors.
pub(crate) fn vectors(name: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/golden")
        .join(format!("{name}.jsonl.gz"));
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip of UTF-8");
    let vectors: Vec<Vector> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("a JSON object a line");
            let bytes = STANDARD.decode(line["oneof"].as_str().expect("text")).expect("base64");
            Vector { event: RawEvent { form: Form::OneOf, bytes: Bytes::from(bytes) }, line }
        })
        .collect();
    assert!(!vectors.is_empty(), "{name} is empty");
    vectors
}

/// A module for each embedded table, by label; compiled once for all tests.
pub(crate) fn modules() -> &'static BTreeMap<&'static str, (EmbeddedTable, CompiledModule)> {
    static MODULES: LazyLock<BTreeMap<&'static str, (EmbeddedTable, CompiledModule)>> =
        LazyLock::new(compile);
    &MODULES
}

fn compile() -> BTreeMap<&'static str, (EmbeddedTable, CompiledModule)> {
    let host = ModuleHost::new(crate::guest::patient()).expect("an engine");
    ev_decode::embedded()
        .into_iter()
        .map(|table| {
            let module = ev_modules::build_module(TEMPLATE, table.bytes).expect("a module");
            let compiled = host.compile(&module).expect("an admissible module");
            (table.label, (table, compiled))
        })
        .collect()
}

pub(crate) fn decoders(
    table: &EmbeddedTable,
    module: &CompiledModule,
    flavour: Flavour,
    login: bool,
) -> (ModuleDecoder, NativeDecoder) {
    let identity = DecoderIdentity {
        kind: DecoderKind::Module,
        auth_version: table.table.auth_version().clone(),
        schema_sha256: table.table.schema_sha256(),
        artifact_sha256: None,
        flavour,
    };
    let guest = module.clone().decoder(identity, Options { login }).expect("an instance");
    let options = ev_decode::Options { login, ..Default::default() };
    (guest, NativeDecoder::native(table.table.clone(), flavour, options))
}

/// Both answers without what differs on purpose: paths are numbers in one and names in the other.
fn without_path(outcome: &Outcome, event: &[u8], numbers: bool) -> Outcome {
    let mut outcome = outcome.clone();
    if let Outcome::Unknown { at, path, .. } | Outcome::Unprintable { at, path, .. } = &mut outcome
    {
        if numbers {
            assert_eq!(*path, peek::number_path(event, *at));
        }
        path.clear();
    }
    outcome
}

/// Decodes with both and compares everything; returns the guest's answers.
fn compare(
    guest: &dyn Decoder,
    native: &dyn Decoder,
    vectors: &[Vector],
    mode: Mode,
    what: &str,
) -> Output {
    let events: Vec<RawEvent> = vectors.iter().map(|vector| vector.event.clone()).collect();
    let (mut ours, mut theirs) = (Output::default(), Output::default());
    native.decode(&events, mode, &mut theirs).expect("the native decoder");
    if let Err(error) = guest.decode(&events, mode, &mut ours) {
        panic!("{what}: {error}: {:?}", error.source);
    }
    assert_eq!(ours.outcomes().len(), events.len(), "{what}");
    let pairs = ours.outcomes().iter().zip(theirs.outcomes()).zip(vectors);
    for ((our, their), vector) in pairs {
        let event = &vector.event.bytes;
        assert_eq!(
            without_path(our, event, true),
            without_path(their, event, false),
            "{what}: {} {}",
            vector.text("type"),
            vector.text("case")
        );
    }
    assert!(ours.json() == theirs.json(), "{what}: the bytes differ");
    ours
}

/// Guest and native decoder of one version on these vectors, in every combination of settings.
fn compare_all(label: &str, files: &[&str]) {
    let modules = modules();
    let (table, module) = &modules[label];
    for file in files {
        let vectors = vectors(file);
        for flavour in [Flavour::Go, Flavour::Struct] {
            for mode in [Mode::Strict, Mode::KnownPart] {
                for login in [false, true] {
                    let (guest, native) = decoders(table, module, flavour, login);
                    let what = format!("{file} as {label}, {flavour}, {mode:?}, login {login}");
                    compare(&guest, &native, &vectors, mode, &what);
                }
            }
        }
    }
}

const FILES: [&str; 6] = ["v13", "v15dev", "v18dev", "unknown", "merge", "realistic-v18dev"];

#[test]
fn the_guest_answers_as_the_native_decoder_with_the_schema_of_v13() {
    compare_all("v13", &FILES);
}

#[test]
fn the_guest_answers_as_the_native_decoder_with_the_schema_of_v15dev() {
    compare_all("v15dev", &FILES);
}

#[test]
fn the_guest_answers_as_the_native_decoder_with_the_schema_of_v18dev() {
    compare_all("v18dev", &FILES);
}

#[test]
fn the_guest_writes_what_go_recorded() {
    for (label, (table, module)) in modules() {
        let vectors = vectors(label);
        for (flavour, key) in [(Flavour::Go, "json"), (Flavour::Struct, "unstructured_struct_json")]
        {
            let (guest, native) = decoders(table, module, flavour, false);
            let what = format!("{label}, {flavour}");
            let out = compare(&guest, &native, &vectors, Mode::KnownPart, &what);
            let mut compared = 0;
            for (outcome, vector) in out.outcomes().iter().zip(&vectors) {
                let Some(expected) = vector.bytes(key).filter(|json| !json.is_empty()) else {
                    continue;
                };
                let (Outcome::Decoded { json: span, facts }
                | Outcome::Unknown { known: Some(span), facts: Some(facts), .. }) = outcome
                else {
                    panic!("{what}: {} {}: {outcome:?}", vector.text("type"), vector.text("case"));
                };
                assert!(
                    span.of(out.json()) == expected,
                    "{what}: {} {}",
                    vector.text("type"),
                    vector.text("case")
                );
                if let Some(id) = vector.line.get("id").and_then(Value::as_str) {
                    assert_eq!(facts.id(&vector.event.bytes), id, "{what}");
                }
                compared += 1;
            }
            // The unstructured form was not recorded for v13.
            assert_eq!(compared > 900, !(*label == "v13" && flavour == Flavour::Struct), "{what}");
        }
    }
}

/// The limits hold for real events too: nesting costs the guest no stack to speak of, and text no
/// more memory than is kept.
#[test]
fn deep_and_long_events_stay_within_the_limits() {
    let modules = modules();
    let (table, module) = &modules["v18dev"];
    let vectors = vectors("v18dev");
    for case in [
        "edge-wire-struct-deep-4000",
        "edge-wire-group-deep-20000",
        "edge-struct-deep-list-200",
        "edge-str-long",
    ] {
        let vectors: Vec<&Vector> = vectors.iter().filter(|v| v.text("case") == case).collect();
        assert!(!vectors.is_empty(), "{case} is recorded");
        for flavour in [Flavour::Go, Flavour::Struct] {
            let (guest, _) = decoders(table, module, flavour, false);
            for vector in &vectors {
                let mut out = Output::default();
                let event = std::slice::from_ref(&vector.event);
                guest.try_decode(event, Mode::KnownPart, &mut out).expect("no limit is reached");
                assert!(!out.json().is_empty(), "{case}: the known part is written");
            }
        }
    }
}

/// A user name of 4 MiB: `UserLogin { UserMetadata { User } }` is not nested deeper than any event.
#[test]
fn an_event_of_4_mib_fits_the_memory() {
    fn field(number: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut len = body.len();
        while len >= 0x80 {
            bytes.push(u8::try_from(len & 0x7f).expect("seven bits") | 0x80);
            len >>= 7;
        }
        bytes.push(u8::try_from(len).expect("seven bits"));
        bytes.extend(body);
        bytes
    }
    let modules = modules();
    let (table, module) = &modules["v18dev"];
    // Text of control characters alone grows sixfold: the `go` flavour of that fits, but the
    // `struct` flavour is made of finished `go` bytes, and both of them do not.
    let go = Flavour::Go;
    let cases = [
        (b'a', go),
        (b'"', go),
        (0x01, go),
        (0xff, go),
        (b'a', Flavour::Struct),
        (b'"', Flavour::Struct),
    ];
    for (text, flavour) in cases {
        let event = field(1, &field(2, &field(1, &vec![text; 4 << 20])));
        let event = RawEvent { form: Form::OneOf, bytes: Bytes::from(event) };
        let (guest, native) = decoders(table, module, flavour, false);
        let (mut ours, mut theirs) = (Output::default(), Output::default());
        let events = std::slice::from_ref(&event);
        native.decode(events, Mode::Strict, &mut theirs).expect("the native decoder");
        let result = guest.try_decode(events, Mode::Strict, &mut ours);
        result.unwrap_or_else(|error| panic!("{text}, {flavour}: {error}"));
        assert!(matches!(ours.outcomes(), [Outcome::Decoded { .. }]), "{text}, {flavour}");
        assert!(ours.json() == theirs.json(), "{text}, {flavour}");
    }
}

#[test]
fn the_module_says_what_it_is() {
    let modules = modules();
    for (label, (table, module)) in modules {
        let (guest, _) = decoders(table, module, Flavour::Go, false);
        let text = guest.describe().expect("a description");
        let described: Value = serde_json::from_str(&text).expect("JSON");
        let digest: String =
            table.table.schema_sha256().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(described["schema_sha256"], digest, "{label}");
        assert_eq!(described["auth_version"], table.table.auth_version().as_str(), "{label}");
        assert_eq!(described["abi"], 1);
        let events = described["events"].as_array().expect("a list");
        assert_eq!(events.len(), table.table.cases().count(), "{label}");
    }
}

#[test]
fn the_template_alone_refuses_every_batch() {
    let host = ModuleHost::new(crate::guest::patient()).expect("an engine");
    let module = host.compile(TEMPLATE).expect("an admissible module");
    let identity = crate::guest::identity(Flavour::Go);
    let decoder = module.decoder(identity, Options::default()).expect("an instance");
    let mut out = Output::default();
    let error = decoder.try_decode(&[crate::guest::event()], Mode::Strict, &mut out);
    let text = error.expect_err("a refusal").to_string();
    assert!(text.contains("no schema table"), "{text}");
}
