//! Recorded events, decoders and validators.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::{Flavour, Mode};
use ev_decode::{Answer, EmbeddedTable, Options, Scratch, Transcoder};
use ev_schema::{Schema, write_json};
use flate2::read::GzDecoder;
use jsonschema::Validator;
use serde_json::Value;

use crate::exact::check;
use crate::text::Json;

/// Versions with recorded events.
pub(crate) const LABELS: [&str; 3] = ["v13", "v15dev", "v18dev"];

pub(crate) const FLAVOURS: [Flavour; 2] = [Flavour::Go, Flavour::Struct];

pub(crate) fn embedded(label: &str) -> EmbeddedTable {
    let tables = ev_decode::embedded();
    tables.into_iter().find(|table| table.label == label).expect("an embedded table")
}

pub(crate) fn schema(label: &str) -> Schema {
    Schema::read(embedded(label).bytes).expect("the embedded tables are read")
}

/// The file as it was recorded.
pub(crate) fn unzipped(path: &str) -> Vec<u8> {
    let path = format!("{}/../../testdata/{path}", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(path).expect("a recorded file");
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).expect("recorded gzip");
    bytes
}

/// The events of a recorded file.
pub(crate) fn events(name: &str) -> Vec<Vec<u8>> {
    let text = unzipped(&format!("golden/{name}.jsonl.gz"));
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let line: Value = serde_json::from_slice(line).expect("recorded JSON");
            BASE64_STANDARD.decode(line["oneof"].as_str().expect("an input")).expect("base64")
        })
        .collect()
}

/// What was recorded of them as JSON, of one flavour, with the number of the event's type.
pub(crate) fn bodies(name: &str, flavour: Flavour) -> Vec<(u32, String)> {
    let key = match flavour {
        Flavour::Go => "json",
        Flavour::Struct => "unstructured_struct_json",
    };
    let text = unzipped(&format!("golden/{name}.jsonl.gz"));
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let body = |line: &[u8]| {
        let line: Value = serde_json::from_slice(line).expect("recorded JSON");
        let number = line["oneof_number"].as_u64().and_then(|number| u32::try_from(number).ok())?;
        let body = BASE64_STANDARD.decode(line[key].as_str()?).expect("base64");
        Some((number, String::from_utf8(body).expect("JSON is UTF-8")))
    };
    lines.filter_map(body).collect()
}

/// A decoder, and validators for each event type.
pub(crate) struct Judge {
    transcoder: Transcoder,
    scratch: Scratch,
    validators: BTreeMap<u32, (Validator, Json)>,
    pub(crate) validated: usize,
    pub(crate) too_deep: usize,
}

impl Judge {
    pub(crate) fn new(label: &str, flavour: Flavour, options: Options) -> Self {
        let schema = schema(label);
        let validators = schema.events().iter().map(|event| {
            let schema = schema.json_schema(event, flavour);
            (event.number(), (validator(&schema), as_printed(&schema)))
        });
        Self {
            transcoder: Transcoder::new(Arc::clone(&embedded(label).table), flavour, options),
            scratch: Scratch::new(),
            validators: validators.collect(),
            validated: 0,
            too_deep: 0,
        }
    }

    /// Whatever is written of the event, in both modes, is as its type's schema says.
    pub(crate) fn judge(&mut self, event: &[u8]) {
        for mode in [Mode::Strict, Mode::KnownPart] {
            let mut json = Vec::new();
            let answer = self.transcoder.decode_one(&mut self.scratch, event, mode, &mut json);
            let facts = match answer {
                Answer::Decoded(facts) => facts,
                Answer::Unknown { facts: Some(facts), known: true, .. } => {
                    // As the engine marks it.
                    json.pop();
                    json.extend_from_slice(b",\"ev_incomplete\":true}");
                    facts
                }
                _ => continue,
            };
            let value: Value = match serde_json::from_slice(&json) {
                Ok(value) => value,
                // A few recorded events nest deeper than the validator can go.
                Err(error) if error.to_string().starts_with("recursion limit") => {
                    self.too_deep += 1;
                    continue;
                }
                Err(error) => panic!("{error} of {}", String::from_utf8_lossy(&json)),
            };
            let (validator, exact) = &self.validators[&facts.case];
            if let Err(error) = validator.validate(&value) {
                panic!("{} at `{}` of {value:#}", error, error.instance_path());
            }
            let text = std::str::from_utf8(&json).expect("JSON is UTF-8");
            if let Err(error) = check(exact, &Json::read(text)) {
                panic!("{error} in {text}");
            }
            self.validated += 1;
        }
    }
}

/// A schema in the digits in which it is printed.
pub(crate) fn as_printed(schema: &Value) -> Json {
    let mut text = Vec::new();
    write_json(schema, &mut text).expect("memory takes all");
    Json::read(std::str::from_utf8(&text).expect("JSON is UTF-8"))
}

/// Checks the schema itself too.
pub(crate) fn validator(schema: &Value) -> Validator {
    assert!(jsonschema::meta::is_valid(schema), "a valid schema: {schema:#}");
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(schema)
        .expect("a schema that can be used")
}
