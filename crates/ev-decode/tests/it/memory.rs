//! What the `struct` flavour keeps of an event while it is rewritten, beyond the event and its JSON.

use ev_core::{Flavour, Mode};
use ev_decode::Scratch;

use crate::allocations::peak_of;
use crate::data::{class, transcoder};

const ITEMS: usize = 300_000;

/// Nothing an event can hold costs more than this for each of its bytes, not even while a buffer
/// grows. The lengths here are such that buffers have just doubled.
const MAX_PER_BYTE: usize = 8;

/// Tags of `google.protobuf.Struct`, `Value` and `ListValue`, and of an entry of a map.
const FIELDS: u8 = 1 << 3 | 2;
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;
const NULL: [u8; 2] = [1 << 3, 0];
const STRUCT: u8 = 5 << 3 | 2;
const LIST: u8 = 6 << 3 | 2;
const VALUES: u8 = 1 << 3 | 2;

fn head(tag: u8, mut len: usize) -> Vec<u8> {
    let mut head = vec![tag];
    while len >= 0x80 {
        head.push(u8::try_from(len & 0x7f).expect("seven bits") | 0x80);
        len >>= 7;
    }
    head.push(u8::try_from(len).expect("seven bits"));
    head
}

fn field(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut field = head(tag, body.len());
    field.extend_from_slice(body);
    field
}

/// Makes a field of all these bytes, which stand back to front.
fn wrap(reversed: &mut Vec<u8>, tag: u8) {
    let head = head(tag, reversed.len());
    reversed.extend(head.iter().rev());
}

/// An entry of a struct.
fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut body = if key.is_empty() { Vec::new() } else { field(KEY, key) };
    body.extend(field(VALUE, value));
    field(FIELDS, &body)
}

/// `UserLogin.IdentityAttributes` with the body of a `Struct`.
fn login(body: &[u8]) -> Vec<u8> {
    field(1 << 3 | 2, &field(5 << 3 | 2, body))
}

/// A login with a list of so many times the value.
fn list_of(value: &[u8]) -> Vec<u8> {
    login(&entry(b"k", &field(LIST, &field(VALUES, value).repeat(ITEMS))))
}

/// A login with lists, or structs of a key and other entries, one inside the other. Built back to
/// front, so that it costs linear time.
fn nested(lists: bool, key: &[u8], others: &[u8]) -> Vec<u8> {
    // The innermost value.
    let mut reversed: Vec<u8> = NULL.into_iter().rev().collect();
    for level in 1..=ITEMS {
        if lists && level < ITEMS {
            wrap(&mut reversed, VALUES);
            wrap(&mut reversed, LIST);
            continue;
        }
        wrap(&mut reversed, VALUE);
        if !key.is_empty() {
            reversed.extend(field(KEY, key).iter().rev());
        }
        wrap(&mut reversed, FIELDS);
        reversed.extend(others.iter().rev());
        if level < ITEMS {
            wrap(&mut reversed, STRUCT);
        }
    }
    reversed.reverse();
    login(&reversed)
}

/// Two members that are in order for Go, and not once the invalid byte is replaced.
fn disordered() -> Vec<u8> {
    [entry(b"\x80", &NULL), entry("\u{e000}".as_bytes(), &NULL)].concat()
}

/// A key of four letters.
fn short_key(index: usize) -> Vec<u8> {
    let letter = |shift: usize| b'`' + u8::try_from(index >> shift & 31).expect("five bits");
    [15, 10, 5, 0].map(letter).to_vec()
}

/// Decodes with all other buffers grown, so that the peak is that of the index alone. Returns it in
/// bytes for each byte of the event.
fn index_per_byte(name: &str, event: &[u8]) -> usize {
    let (go, form) = (transcoder("v18dev", Flavour::Go), transcoder("v18dev", Flavour::Struct));
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    // What the walk needs, then room for the longest JSON that so many bytes can make.
    let answer = go.decode_one(&mut scratch, event, Mode::Strict, &mut out);
    assert_eq!(class(&answer), "decoded", "{name}: {answer:?}");
    out.clear();
    let text = field(3 << 3 | 2, &vec![1; event.len()]);
    form.decode_one(&mut scratch, &login(&entry(b"k", &text)), Mode::Strict, &mut out);
    assert!(out.len() > 6 * event.len());
    out.clear();

    let mut class_of = "";
    let peak = peak_of(|| {
        class_of = class(&form.decode_one(&mut scratch, event, Mode::Strict, &mut out));
    });
    assert_eq!(class_of, "decoded", "{name}");
    assert!(out.len() > ITEMS, "{name}");
    peak.div_ceil(event.len())
}

#[test]
fn lists_of_what_is_in_order_cost_nothing() {
    // `UserCreate.Roles`: no event makes more values of its bytes.
    let roles = field(2 << 3 | 2, &field(4 << 3 | 2, &[]).repeat(ITEMS));
    let lists = [
        ("nulls", NULL.to_vec()),
        ("empty lists", field(LIST, &[])),
        ("empty structs", field(STRUCT, &[])),
        ("structs with a member", field(STRUCT, &entry(b"", &NULL))),
        ("texts", field(3 << 3 | 2, b"\x01")),
    ];
    let lists = lists.map(|(name, value)| (name, list_of(&value)));
    for (name, event) in lists.into_iter().chain([("roles", roles)]) {
        // Rounded up; the few containers around need something.
        assert!(index_per_byte(name, &event) <= 1, "{name}");
    }
}

#[test]
fn every_other_event_costs_a_multiple_of_its_length() {
    let members = |value: &[u8]| -> Vec<u8> {
        login(&(0..ITEMS).flat_map(|key| entry(&short_key(key), value)).collect::<Vec<_>>())
    };
    for (name, event) in [
        ("members", members(&NULL)),
        ("members with empty structs", members(&field(STRUCT, &[]))),
        ("structs inside of each other", nested(false, b"", b"")),
        ("lists inside of each other", nested(true, b"", b"")),
        ("structs out of order", list_of(&field(STRUCT, &disordered()))),
        (
            "structs inside of each other, out of order",
            nested(false, b"\x80", &entry("\u{e000}".as_bytes(), &NULL)),
        ),
    ] {
        let per_byte = index_per_byte(name, &event);
        assert!(per_byte <= MAX_PER_BYTE, "{name}: {per_byte} bytes for each byte");
    }
}
