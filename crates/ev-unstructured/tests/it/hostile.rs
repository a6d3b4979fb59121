use ev_core::Outcome;

use crate::data::{decode, raw};

fn put(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    prost::encoding::bytes::encode(number, &value.to_vec(), out);
}

fn field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, number, value);
    out
}

/// An event with one member `k` of that value.
fn event(value: &[u8]) -> Vec<u8> {
    field(5, &field(1, &[field(1, b"k"), field(2, value)].concat()))
}

/// `levels` lists, or objects, one in the other.
fn nested(levels: usize, objects: bool) -> Vec<u8> {
    let mut value = vec![8, 0];
    for _ in 0..levels {
        value = if objects {
            field(5, &field(1, &[field(1, b"k"), field(2, &value)].concat()))
        } else {
            field(6, &field(1, &value))
        };
    }
    value
}

fn malformed(bytes: Vec<u8>, expected: &str) {
    let (outcome, _) = decode(&raw(bytes));
    let Outcome::Malformed { what, .. } = outcome else { panic!("{expected}: {outcome:?}") };
    assert_eq!(what, expected);
}

fn unprintable(bytes: Vec<u8>, expected: (&str, &str)) {
    let (outcome, _) = decode(&raw(bytes));
    let Outcome::Unprintable { path, what, facts: Some(_), .. } = outcome else {
        panic!("{expected:?}: {outcome:?}")
    };
    assert_eq!((path.as_str(), what.as_str()), expected);
}

#[test]
fn what_is_wrong_is_told() {
    malformed(vec![], "no event in the message");
    malformed(field(1, b"user.login"), "no event in the message");
    malformed(vec![0x2a, 5, 1], "unexpected end of input");
    malformed(field(1, b"\xff"), "text is not UTF-8");
    malformed(event(&field(3, b"a\xc0")), "text is not UTF-8");
    malformed(field(5, &field(1, &field(1, b"\xed\xa0\x80"))), "text is not UTF-8");
    malformed(event(&[3 << 3, 1]), "wrong wire type");
    malformed(vec![5 << 3, 1], "wrong wire type");
    malformed(vec![0x07, 1], "invalid wire type");
    unprintable(event(b""), ("5.1", "value without a kind"));
    unprintable(field(5, &field(1, &field(1, b"k"))), ("5.1", "value without a kind"));
    let number = |number: f64| [&[2 << 3 | 1][..], &number.to_le_bytes()].concat();
    for not in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        unprintable(event(&number(not)), ("5.1.2.2", "number is not finite"));
    }
    unprintable(event(&field(6, &field(1, b""))), ("5.1.2.6.1", "value without a kind"));
    // Malformed counts for more, wherever it stands.
    malformed([event(b""), event(&[3 << 3, 1])].concat(), "wrong wire type");
}

#[test]
fn what_was_replaced_does_not_show_but_has_to_be_sound() {
    let (_, json) = decode(&raw([event(b""), event(&[4 << 3, 1])].concat()));
    assert_eq!(json, r#"{"k":true}"#, "the last one of equal keys");
    malformed([event(&[3 << 3, 1]), event(&[4 << 3, 1])].concat(), "wrong wire type");
    let replaced = [field(5, &field(1, &field(2, &field(3, b"\xff")))), vec![8, 0]].concat();
    malformed(event(&replaced), "text is not UTF-8");
}

#[test]
fn what_a_later_release_adds_is_passed_over() {
    let odd =
        [vec![0xf8, 0x3f, 7], field(900, b"new"), vec![0x9b, 0x38, 8, 1, 0x9c, 0x38]].concat();
    let value = [&odd[..], &[4 << 3, 0], &odd].concat();
    let entry = [field(1, b"k"), odd.clone(), field(2, &value)].concat();
    let body = [odd.clone(), field(1, &entry)].concat();
    let (outcome, json) = decode(&raw([odd.clone(), field(5, &body), odd].concat()));
    assert!(matches!(outcome, Outcome::Decoded { .. }), "{outcome:?}");
    assert_eq!(json, r#"{"k":false}"#);
}

#[test]
fn depth_costs_no_stack_and_has_a_bound() {
    for objects in [false, true] {
        let (outcome, json) = decode(&raw(event(&nested(9_999, objects))));
        assert!(matches!(outcome, Outcome::Decoded { .. }), "{outcome:?}");
        assert!(json.len() > 19_998);
        malformed(event(&nested(10_000, objects)), "nested too deep");
        // What is replaced is looked at without a bound, and without a stack too.
        let replaced = [nested(20_000, objects), vec![4 << 3, 1]].concat();
        assert_eq!(decode(&raw(event(&replaced))).1, r#"{"k":true}"#);
    }
}

/// Each of them is a few megabytes: anything quadratic in it would take hours.
#[test]
fn hostile_encodings_are_gone_through_once() {
    type Make = (&'static str, fn(usize) -> Vec<u8>);
    let makes: [Make; 5] = [
        ("the same key", |n| event(&[4 << 3, 1]).repeat(n)),
        ("parts of one value", |n| {
            let part =
                field(2, &field(5, &field(1, &[field(1, b"a"), field(2, &[8, 0])].concat())));
            field(5, &field(1, &[field(1, b"k"), part.repeat(n)].concat()))
        }),
        ("kinds that replace each other", |n| {
            event(&[field(6, &field(1, &[8, 0])), field(5, b"")].concat().repeat(n))
        }),
        ("escapes", |n| event(&field(3, &vec![1; 8 * n]))),
        ("keys that begin alike", |n| {
            let entry = |i: usize| {
                let key = format!("{}{:08x}", "x".repeat(64), i.wrapping_mul(0x9e37_79b9));
                field(1, &[field(1, key.as_bytes()), field(2, &[8, 0])].concat())
            };
            field(5, &(0..n / 4).flat_map(entry).collect::<Vec<u8>>())
        }),
    ];
    for (name, make) in makes {
        let (outcome, _) = decode(&raw(make(1 << 18)));
        assert!(matches!(outcome, Outcome::Decoded { .. }), "{name}: {outcome:?}");
    }
}
