//! Every recorded event against the schema of its type.

use std::collections::BTreeMap;

use ev_core::Flavour;
use ev_decode::Options;
use ev_schema::Schema;
use serde_json::{Value, json};

use crate::data::{
    FLAVOURS, Judge, LABELS, as_printed, bodies, embedded, events, schema, validator,
};
use crate::exact::check;
use crate::text::Json;

#[test]
fn every_recorded_event_is_as_its_schema_says() {
    for label in LABELS {
        let mut files = vec![label];
        if label == "v18dev" {
            files.extend(["merge", "realistic-v18dev"]);
        } else {
            files.push("unknown");
        }
        for flavour in FLAVOURS {
            for print_data in [false, true] {
                let options = Options { print_data, ..Options::default() };
                let mut judge = Judge::new(label, flavour, options);
                for file in &files {
                    events(file).iter().for_each(|event| judge.judge(event));
                }
                assert!(judge.validated > 1_900, "{label} {flavour}: {}", judge.validated);
                assert!(judge.too_deep < 20, "{label} {flavour}: {}", judge.too_deep);
            }
        }
    }
}

/// As they were recorded, digit for digit: a validator may take numbers as they stand in the text.
#[test]
fn every_recorded_body_is_exactly_as_its_schema_says() {
    // A few nest thousands of levels deep.
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(check_recorded_bodies);
    let ended = thread.expect("a thread").join();
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Of a thread, in bytes; only what is used takes memory.
const STACK: usize = 1 << 29;

fn check_recorded_bodies() {
    for (label, flavour) in LABELS.iter().flat_map(|label| FLAVOURS.map(|one| (*label, one))) {
        let schema = schema(label);
        let known = schema.events().iter();
        let schemas: BTreeMap<u32, Json> = known
            .map(|event| (event.number(), as_printed(&schema.json_schema(event, flavour))))
            .collect();
        let recorded = bodies(label, flavour);
        // Of v13 nobody recorded the other one.
        let is_recorded = (label, flavour) != ("v13", Flavour::Struct);
        assert_eq!(recorded.len() > 900, is_recorded, "{label} {flavour}: {}", recorded.len());
        for (number, body) in recorded {
            if let Err(error) = check(&schemas[&number], &Json::read(&body)) {
                panic!("{label} {flavour}: {error} in {body}");
            }
        }
    }
}

#[test]
fn examples_are_as_their_schema_says_and_have_every_member() {
    for label in LABELS {
        let schema = schema(label);
        for (event, flavour) in
            schema.events().iter().flat_map(|event| FLAVOURS.map(|flavour| (event, flavour)))
        {
            let text = schema.example(event, flavour);
            let example: Value = serde_json::from_str(&text).expect("an example for each type");
            let json_schema = schema.json_schema(event, flavour);
            let result = validator(&json_schema).validate(&example).map_err(|e| e.to_string());
            assert_eq!(result, Ok(()), "{} {text}", event.name());
            assert_eq!(json_schema["examples"], json!([example]));
            let properties = json_schema["properties"].as_object().expect("an object");
            for key in properties.keys().filter(|key| *key != "ev_incomplete" && *key != "data") {
                assert!(example.get(key).is_some(), "{} has `{key}`: {text}", event.name());
            }
        }
    }
}

/// A schema that takes everything would pass the other tests.
#[test]
fn what_is_not_of_the_version_is_refused() {
    let schema = schema("v18dev");
    let login = schema.find("user.login").expect("a type");
    for flavour in FLAVOURS {
        let validator = validator(&schema.json_schema(login, flavour));
        let good: Value = serde_json::from_str(&schema.example(login, flavour)).expect("JSON");
        assert!(validator.is_valid(&good));
        let damaged = |damage: &dyn Fn(&mut Value)| {
            let mut event = good.clone();
            damage(&mut event);
            assert!(!validator.is_valid(&event), "{event:#}");
        };
        damaged(&|event| event["nobody_knows"] = json!(1));
        damaged(&|event| event["success"] = json!("yes"));
        damaged(&|event| event["success"] = json!(null));
        damaged(&|event| event["ei"] = json!(1.5));
        damaged(&|event| event["time"] = json!("yesterday"));
        damaged(&|event| event["time"] = json!("2026-01-02T03:04:05.670Z"));
        damaged(&|event| event["ev_incomplete"] = json!(false));
        damaged(&|event| {
            event.as_object_mut().expect("an object").remove("time");
        });
    }
}

/// Types without a name go by their number.
#[test]
fn the_bundle_of_a_table_without_names_can_be_used() {
    let bare = ev_decode::without_names(embedded("v13").bytes).into_owned();
    let schema = Schema::read(&bare).expect("a table");
    let validator = validator(&schema.bundle(Flavour::Go));
    let example = schema.example(&schema.events()[0], Flavour::Go);
    let example: Value = serde_json::from_str(&example).expect("JSON");
    assert!(validator.is_valid(&example));
    assert!(!validator.is_valid(&json!({})));
}

#[test]
fn the_bundle_takes_events_of_all_types() {
    let schema = schema("v13");
    for flavour in FLAVOURS {
        let bundle = schema.bundle(flavour);
        let validator = validator(&bundle);
        for event in schema.events() {
            let example: Value =
                serde_json::from_str(&schema.example(event, flavour)).expect("JSON");
            assert!(validator.is_valid(&example), "{}", event.name());
        }
        assert!(!validator.is_valid(&json!({ "event": "user.login" })));
        assert_eq!(bundle["$defs"].as_object().expect("types").len(), schema.events().len());
    }
}
