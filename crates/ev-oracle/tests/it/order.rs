//! The plan of each message against the one that Go's own reflection gave.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::data::{schema, unpacked};

/// Every event type's keys stand where Go writes them, those that drop each other left out.
#[test]
fn keys_stand_where_go_writes_them() {
    for (label, events) in [("v13", 124), ("v15dev", 141), ("v18dev", 195)] {
        let facts = unpacked(&format!("schema/{label}/events.facts.json.gz"));
        let facts: Value = serde_json::from_str(&facts).expect("recorded facts");
        let schema = schema(label);
        let mut planned: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
        for (name, keys) in schema.keys() {
            planned.entry(name).or_default().push(keys);
        }
        let cases = facts["oneof"].as_array().expect("a list of cases");
        assert_eq!(cases.len(), events);
        for case in cases {
            let name = case["message"].as_str().expect("a name");
            let order = facts["messages"][name]["json_order"].as_array().expect("an order");
            let recorded: Vec<_> = order
                .iter()
                .map(|field| field["key"].as_str().expect("a key").to_owned())
                .collect();
            assert!(planned[name].contains(&recorded), "{label} {name}: {:?}", planned[name]);
        }
        // Messages inside of events too. Where one loses a key in every struct that embeds it, it
        // has no plan with all of its own.
        let differs = planned.iter().filter(|(name, plans)| {
            let order = facts["messages"][**name]["json_order"].as_array().expect("an order");
            let order: Vec<_> = order.iter().filter_map(|field| field["key"].as_str()).collect();
            plans.iter().all(|plan| *plan != order)
        });
        let differs: Vec<_> = differs.map(|(name, _)| *name).collect();
        let expected: &[_] =
            if label == "v13" { &[] } else { &["events.AccessListReviewMetadata"] };
        assert_eq!(differs, expected, "{label}");
    }
}
