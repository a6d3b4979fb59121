//! Recorded events, decoders and validators.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::{Flavour, Mode};
use ev_decode::{Answer, EmbeddedTable, Options, Scratch, Transcoder};
use ev_schema::Schema;
use flate2::read::GzDecoder;
use jsonschema::Validator;
use serde_json::Value;

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

/// A decoder, and a validator for each event type.
pub(crate) struct Judge {
    transcoder: Transcoder,
    scratch: Scratch,
    validators: BTreeMap<u32, Validator>,
    pub(crate) validated: usize,
    pub(crate) too_deep: usize,
}

impl Judge {
    pub(crate) fn new(label: &str, flavour: Flavour, options: Options) -> Self {
        let schema = schema(label);
        let validators = schema
            .events()
            .iter()
            .map(|event| (event.number(), validator(&schema.json_schema(event, flavour))));
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
            let validator = &self.validators[&facts.case];
            if let Err(error) = validator.validate(&value) {
                panic!("{} at `{}` of {value:#}", error, error.instance_path());
            }
            self.validated += 1;
        }
    }
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
