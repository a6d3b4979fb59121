//! Records are compared with what another reader of msgpack finds in them.

use ev_test_support::msgpack_to_json;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn convert(json: &str) -> Result<(String, Option<Timestamp>), NotAnObject> {
    let mut out = Vec::new();
    let time = Converter::default().convert(json.as_bytes(), &mut out)?;
    Ok((msgpack_to_json(&out).expect("one whole value"), time))
}

/// The same text comes back.
#[track_caller]
fn same(json: &str) {
    assert_eq!(convert(json).expect("an object").0, json);
}

#[test]
fn values_keep_their_order_and_their_value() {
    same("{}");
    same(r#"{"b":1,"a":{"d":[],"c":{}},"b":2}"#);
    same(r#"{"n":[null,true,false,0,-1,1.5,18446744073709551615,-9223372036854775808]}"#);
    same(r#"{"n":[[[[[[1]]]]],{"a":[{"b":[2]}]}]}"#);
    same(r#"{"text":"ü \u0000 \" \\ \n 𝄞","":""}"#);
    same(r#"{"beyond 64 bits":100000000000000000000,"digits":"18446744073709551617"}"#);
}

#[test]
fn escapes_are_resolved() {
    let check = |json: &str, expected: &str| {
        let (found, _) = convert(&format!(r#"{{"t":"{json}"}}"#)).expect("an object");
        let expected = serde_json::to_string(expected).expect("text");
        assert_eq!(found, format!(r#"{{"t":{expected}}}"#), "{json}");
    };
    check(r"\u003c\u003e\u0026\u2028", "<>&\u{2028}");
    check(r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t");
    check(r"\ud834\udd1e", "𝄞");
    // Half of a pair, as Go reads it.
    check(r"\ud834", "\u{fffd}");
    check(r"\ud834x", "\u{fffd}x");
    check(r"\ud834\u0041", "\u{fffd}A");
    check(r"\udd1e\ud834", "\u{fffd}\u{fffd}");
}

#[test]
fn spaces_are_left_out() {
    let (found, _) = convert(" {\n\"a\" : [ 1 , 2 ] ,\t\"b\":{ } }\r ").expect("an object");
    assert_eq!(found, r#"{"a":[1,2],"b":{}}"#);
}

#[test]
fn many_members_have_a_longer_head() {
    for count in [15, 16, 65_535, 65_536, 70_000] {
        let numbers: Vec<String> = (0..count).map(|n: u32| n.to_string()).collect();
        same(&format!(r#"{{"a":[{}],"behind":[1]}}"#, numbers.join(",")));
        let members: Vec<String> = (0..count).map(|n| format!(r#""{n}":{n}"#)).collect();
        same(&format!(r#"{{"in":{{{}}},"behind":{{}}}}"#, members.join(",")));
    }
}

#[test]
fn depth_costs_no_stack() {
    let mut out = Vec::new();
    let json = format!(r#"{{"a":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    Converter::default().convert(json.as_bytes(), &mut out).expect("an object");
    assert!(out.ends_with(&[0xdc, 0, 0]), "the innermost is empty");
}

#[test]
fn the_time_is_that_of_the_event_itself() {
    let time = |json: &str| convert(json).expect("an object").1;
    let expected = Some(Timestamp::new(1_577_934_245, 678_000_000));
    assert_eq!(time(r#"{"a":1,"time":"2020-01-02T03:04:05.678Z"}"#), expected);
    assert_eq!(time(r#"{"time":"2020-01-02T04:04:05.678+01:00"}"#), expected);
    for json in [
        r#"{}"#,
        r#"{"time":"yesterday"}"#,
        r#"{"time":1577934245}"#,
        r#"{"a":{"time":"2020-01-02T03:04:05Z"}}"#,
        r#"{"a":[{"time":"2020-01-02T03:04:05Z"}]}"#,
        r#"{"x":"time","y":"2020-01-02T03:04:05Z"}"#,
        r#"{"time":{"a":"2020-01-02T03:04:05Z"}}"#,
        r#"{"time":["2020-01-02T03:04:05Z"]}"#,
    ] {
        assert_eq!(time(json), None, "{json}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for json in [
        "",
        " ",
        "[]",
        "1",
        "null",
        "{",
        "}",
        "{}}",
        "{} {}",
        "{a:1}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1}"#,
        r#"{"a":{]}"#,
        r#"{"a":01}"#,
        r#"{"a":nul}"#,
        r#"{"a":"x}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
        "{\"a\":\"\n\"}",
        r#"{,"a":1}"#,
        r#"{"a"::1}"#,
        r#"{1:2}"#,
        r#"{"a":tru"#,
    ] {
        assert!(convert(json).is_err(), "{json}");
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::hash_map(".*", inner, 0..20)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_keeps_its_value(members in prop::collection::hash_map(".*", json(), 0..20)) {
        let object = Value::Object(members.into_iter().collect());
        let (found, _) = convert(&object.to_string()).expect("an object");
        let found: Value = serde_json::from_str(&found).expect("JSON");
        prop_assert!(equal(&found, &object), "{found} {object}");
    }

    #[test]
    fn nothing_makes_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut out = Vec::new();
        if Converter::default().convert(&bytes, &mut out).is_ok() {
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok());
        }
    }

    /// What another reader takes for an object, this one takes too, and the other way round.
    #[test]
    fn damaged_objects_are_judged_as_by_others(
        object in json(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut text = format!(r#"{{"a":{object}}}"#).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let theirs = serde_json::from_slice::<Value>(&text).is_ok_and(|value| value.is_object());
        let mut out = Vec::new();
        let ours = Converter::default().convert(&text, &mut out).is_ok();
        // They refuse numbers beyond all doubles, halves of pairs, and texts that are no UTF-8,
        // none of which a decoder makes.
        if theirs {
            prop_assert!(ours, "{}", String::from_utf8_lossy(&text));
        }
    }
}

/// Numbers by their value: `1.0` and `1` are the same number.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64() && (one.is_f64() || other.is_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| equal(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, a)| other.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => one == other,
    }
}
