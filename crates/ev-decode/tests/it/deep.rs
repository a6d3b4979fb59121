//! Nesting without limit costs no stack.

use ev_core::{Flavour, Mode, peek};

use crate::data::{class, decode, transcoder};

/// What a guest gets.
const STACK: usize = 256 << 10;

fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = body.len();
    while len >= 0x80 {
        out.push(u8::try_from(len & 0x7f).expect("seven bits") | 0x80);
        len >>= 7;
    }
    out.push(u8::try_from(len).expect("seven bits"));
    out.extend_from_slice(body);
    out
}

/// `UserLogin.IdentityAttributes` around the body of a `Struct`.
fn login(body: &[u8]) -> Vec<u8> {
    field(1, &field(5, body))
}

/// A `Struct` body with one entry `k` whose value lies `depth` structs (or lists) deep. Built back
/// to front, so that it costs linear time.
fn nested(depth: usize, lists: bool) -> Vec<u8> {
    let mut reversed: Vec<u8> = Vec::new();
    let wrap = |reversed: &mut Vec<u8>, tag: u8| {
        let mut head = field(1, &[]);
        let mut len = reversed.len();
        head.clear();
        head.push(tag);
        while len >= 0x80 {
            head.push(u8::try_from(len & 0x7f).expect("seven bits") | 0x80);
            len >>= 7;
        }
        head.push(u8::try_from(len).expect("seven bits"));
        reversed.extend(head.iter().rev());
    };
    // The innermost value: `true`.
    reversed.extend([1, 4 << 3]);
    for level in 0..depth {
        if lists && level + 1 < depth {
            // Value { list_value { values: … } }
            wrap(&mut reversed, 1 << 3 | 2);
            wrap(&mut reversed, 6 << 3 | 2);
        } else {
            // fields { key: "k", value: … }
            wrap(&mut reversed, 2 << 3 | 2);
            reversed.extend([b'k', 1, 1 << 3 | 2]);
            wrap(&mut reversed, 1 << 3 | 2);
            if level + 1 < depth {
                // Value { struct_value }
                wrap(&mut reversed, 5 << 3 | 2);
            }
        }
    }
    reversed.reverse();
    reversed
}

fn on_a_small_stack(check: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(check);
    thread.expect("a thread").join().expect("no overflow, no failure");
}

#[test]
fn structs_and_lists() {
    on_a_small_stack(|| {
        for lists in [false, true] {
            let depth = 100_000;
            let event = login(&nested(depth, lists));
            for flavour in [Flavour::Go, Flavour::Struct] {
                let (answer, json) = decode(&transcoder("v18dev", flavour), &event, Mode::Strict);
                assert_eq!(class(&answer), "decoded", "{answer:?}");
                let open = json.iter().filter(|byte| **byte == b'{' || **byte == b'[').count();
                // The event's own object and one per level.
                assert_eq!(open, depth + 1);
            }
        }
    });
}

#[test]
fn replaced_values_are_checked_as_deep() {
    on_a_small_stack(|| {
        // The same key twice: the first value is only checked.
        let deep = nested(50_000, false);
        let mut body = deep.clone();
        body.extend(nested(1, false));
        let go = transcoder("v18dev", Flavour::Go);
        let (answer, json) = decode(&go, &login(&body), Mode::Strict);
        assert_eq!(class(&answer), "decoded");
        assert!(json.ends_with(br#""attributes":{"k":true}}"#));

        // What is wrong deep inside of it is still wrong: cut off the `true`.
        let mut broken = deep;
        let last = broken.len() - 1;
        broken[last - 1] = 2 << 3;
        broken.extend(nested(1, false));
        assert_eq!(class(&decode(&go, &login(&broken), Mode::Strict).0), "malformed");
    });
}

#[test]
fn unknown_fields_and_groups() {
    on_a_small_stack(|| {
        let go = transcoder("v18dev", Flavour::Go);
        let mut event = login(&nested(1, false));
        let at = event.len();
        event.extend(vec![15 << 3 | 3; 200_000]);
        event.extend(vec![15 << 3 | 4; 200_000]);
        // Field 15 of the `OneOf` is known and no group: malformed. Inside the event it is unknown.
        assert_eq!(class(&decode(&go, &event, Mode::Strict).0), "malformed");
        let event = field(1, &event[at..]);
        let (answer, _) = decode(&go, &event, Mode::Strict);
        assert_eq!(class(&answer), "unknown");

        // An unknown field at the bottom of a deep struct: its path is cut, not walked for ever.
        let mut deep = nested(50_000, false);
        let last = deep.len() - 1;
        deep[last - 1] = 7 << 3;
        let event = login(&deep);
        let (answer, _) = decode(&go, &event, Mode::Strict);
        let ev_decode::Answer::Unknown { at, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(at as usize, event.len() - 2);
        assert!(go.path(&event, at).starts_with("UserLogin.IdentityAttributes.fields.value."));
        assert!(peek::number_path(&event, at).starts_with("1.5.1.2.5.1.2."));
    });
}
