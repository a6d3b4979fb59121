use std::collections::BTreeSet;
use std::path::PathBuf;

use ev_test_support::UtcTime;
use ev_test_support::data::{Change, Maker, Vector, read_vectors, rewrite};

fn vectors(name: &str) -> Vec<Vector> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/golden")
        .join(format!("{name}.jsonl.gz"));
    read_vectors(&path).expect("recorded events")
}

/// Whether the object has `"key":value`. Some recorded events are nested too deeply for a parser
/// that builds trees.
fn has(json: &[u8], key: &str, value: &str) -> bool {
    std::str::from_utf8(json).expect("text").contains(&format!("\"{key}\":{value}"))
}

fn quoted(text: &dyn std::fmt::Display) -> String {
    format!("\"{text}\"")
}

#[test]
fn every_template_makes_events_of_the_same_size() {
    for (name, at_least) in
        [("v13", 300), ("v15dev", 300), ("v18dev", 350), ("realistic-v18dev", 2_000)]
    {
        let all = vectors(name);
        let templates: Vec<&Vector> = all.iter().filter(|one| one.is_template()).collect();
        assert!(templates.len() >= at_least, "{name}: {}", templates.len());
        let mut maker = Maker::new(1);
        let (from, to) =
            (UtcTime::from_seconds(1_795_000_000), UtcTime::from_seconds(1_795_259_200));
        let count = templates.len() * 2;
        let made = maker.events(&templates, count, from, to).expect("events");
        assert_eq!(made.len(), count);
        assert!(made.is_sorted_by_key(|event| event.time));
        let mut seen = BTreeSet::new();
        for event in &made {
            assert!(seen.insert(event.uid.clone()), "{}", event.uid);
            assert!(has(&event.json, "uid", &quoted(&event.uid)));
            assert!(has(&event.json, "time", &quoted(&event.time)));
            let bytes = event.uid.as_bytes();
            assert_eq!(event.oneof.windows(36).filter(|window| *window == bytes).count(), 1);
        }
        let sum = |lengths: Vec<(usize, usize)>| {
            lengths.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let before = sum(templates.iter().map(|one| (one.oneof.len(), one.json.len())).collect());
        let after = sum(made.iter().map(|one| (one.oneof.len(), one.json.len())).collect());
        assert_eq!(after, (before.0 * 2, before.1 * 2), "{name}");
    }
}

#[test]
fn only_id_and_time_differ() {
    let all = vectors("v18dev");
    let mut maker = Maker::new(2);
    for vector in all.iter().filter(|one| one.is_template()) {
        let time = UtcTime { seconds: vector.time.seconds + 1, nanos: 123_456_789 };
        let made = maker.event(vector, time).expect("an event");
        assert_ne!((&made.oneof, &made.json), (&vector.oneof, &vector.json));
        // And back again.
        let back = Vector {
            oneof: made.oneof,
            json: made.json,
            uid: made.uid,
            time: made.time,
            ..vector.clone()
        };
        let change = Change { uid: Some(&vector.uid), ..Change::at(vector.time) };
        let again = rewrite(&back, &change).expect("an event");
        if again.time == vector.time {
            assert_eq!((&again.oneof, &again.json), (&vector.oneof, &vector.json));
        }
    }
}

#[test]
fn what_cannot_be_changed_is_no_template() {
    let all = vectors("v13");
    let mut left_out = BTreeSet::new();
    for vector in all.iter().filter(|one| !one.is_template()) {
        left_out.insert(vector.case.as_str());
        if vector.uid.is_empty() {
            assert!(Maker::new(3).event(vector, vector.time).is_err());
        }
    }
    assert!(left_out.contains("zero"));
}

#[test]
fn recordings_have_an_upload_and_ascending_indices() {
    for (name, kinds) in [
        ("v13", &["session.start", "resize", "session.leave", "session.end"][..]),
        ("realistic-v18dev", &["session.start", "print", "resize", "session.end"]),
    ] {
        let all = vectors(name);
        let upload = all
            .iter()
            .find(|one| one.type_name == "SessionUpload" && one.is_template())
            .expect("one upload");
        let parts: Vec<&Vector> = kinds
            .iter()
            .map(|kind| {
                let fits = |one: &&Vector| {
                    one.kind == *kind
                        && (one.is_template() || (!one.recording.is_empty() && one.uid.is_empty()))
                };
                all.iter().find(fits).expect("one of each kind")
            })
            .collect();
        let at = UtcTime::from_seconds(1_795_000_000);
        let mut maker = Maker::new(4);
        let first = maker.recording(upload, &parts, 9, at).expect("a recording");
        let second = maker.recording(upload, &parts, 9, at).expect("a recording");
        assert_ne!(first.session, second.session);
        assert!(has(&first.upload.json, "sid", &quoted(&first.session)));
        for (event, index) in first.events.iter().zip(0i64..) {
            assert_eq!(event.index, index);
            assert!(has(&event.json, "ei", &index.to_string()));
            if !event.session.is_empty() {
                assert_eq!(event.session, first.session);
                assert!(has(&event.json, "sid", &quoted(&first.session)));
            }
        }
        let bodies: BTreeSet<_> = first.events.iter().map(|event| &event.json).collect();
        assert_eq!(bodies.len(), 9, "{name}");
    }
}
