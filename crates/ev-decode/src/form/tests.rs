//! Against a tree that is built, sorted and written in the simplest way.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A value of the `go` JSON, keys and strings as they stand in it.
#[derive(Clone, Debug)]
enum Tree {
    /// A scalar, in both flavours.
    Scalar(&'static str, &'static str),
    List(Vec<Tree>),
    Object(Vec<(usize, Tree)>),
}

/// Strings: as they stand in the `go` JSON, in the `struct` flavour, and as text.
const STRINGS: [(&str, &str, &str); 16] = [
    ("", "", ""),
    ("a", "a", "a"),
    ("uid", "uid", "uid"),
    ("user", "user", "user"),
    ("user_agent", "user_agent", "user_agent"),
    ("user_agent_of", "user_agent_of", "user_agent_of"),
    ("user_agents", "user_agents", "user_agents"),
    (r"user_ag\u003e", "user_ag>", "user_ag>"),
    (r"user_agent\n", r"user_agent\n", "user_agent\n"),
    (r#"\""#, r#"\""#, "\""),
    (r"\\", r"\\", r"\"),
    (r"\u0000", r"\u0000", "\0"),
    (r"\u2028", "\u{2028}", "\u{2028}"),
    (r"\ufffd", "\u{fffd}", "\u{fffd}"),
    ("\u{fffd}", "\u{fffd}", "\u{fffd}"),
    ("\u{fffd}{[,:]}", "\u{fffd}{[,:]}", "\u{fffd}{[,:]}"),
];

const SCALARS: [(&str, &str); 12] = [
    ("null", "null"),
    ("true", "true"),
    ("0", "0"),
    ("-999999999999999", "-999999999999999"),
    ("9007199254740993", "9007199254740992"),
    ("-9223372036854775807", "-9223372036854776000"),
    ("18446744073709551615", "18446744073709552000"),
    ("100000000000000000000", "100000000000000000000"),
    ("0.1234567890123456789", "0.1234567890123456789"),
    (r#""text""#, r#""text""#),
    (r#""a \u003c \" \\""#, r#""a < \" \\""#),
    (r#""{[,:]}""#, r#""{[,:]}""#),
];

fn tree() -> impl Strategy<Value = Tree> {
    let scalar = prop::sample::select(&SCALARS[..]).prop_map(|(go, form)| Tree::Scalar(go, form));
    scalar.prop_recursive(6, 60, 6, |inner| {
        let members = prop::collection::vec((0..STRINGS.len(), inner.clone()), 0..6);
        prop_oneof![
            1 => prop::collection::vec(inner, 0..4).prop_map(Tree::List),
            3 => members.clone().prop_map(Tree::Object),
            // As Go writes maps.
            3 => members.prop_map(|mut members| {
                members.sort_by_key(|(key, _)| STRINGS[*key].2);
                members.dedup_by_key(|(key, _)| STRINGS[*key].2);
                Tree::Object(members)
            }),
        ]
    })
}

fn root() -> impl Strategy<Value = Tree> {
    let members = prop::collection::vec((0..STRINGS.len(), tree()), 0..8);
    members.prop_map(|mut members| {
        // Keys of an event are those of its schema.
        let mut seen = BTreeSet::new();
        members.retain(|(key, _)| seen.insert(STRINGS[*key].2));
        Tree::Object(members)
    })
}

impl Tree {
    fn go(&self) -> String {
        match self {
            Self::Scalar(go, _) => (*go).to_owned(),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::go).collect::<Vec<_>>().join(","))
            }
            Self::Object(members) => {
                let member = |(key, value): &(usize, Self)| {
                    format!("\"{}\":{}", STRINGS[*key].0, value.go())
                };
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }

    fn form(&self) -> String {
        match self {
            Self::Scalar(_, form) => (*form).to_owned(),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::form).collect::<Vec<_>>().join(","))
            }
            Self::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(key, _)| STRINGS[*key].2);
                let member = |(key, value): &&(usize, Self)| {
                    format!("\"{}\":{}", STRINGS[*key].1, value.form())
                };
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }

    fn has_duplicate(&self) -> bool {
        match self {
            Self::Scalar(..) => false,
            Self::List(items) => items.iter().any(Self::has_duplicate),
            Self::Object(members) => {
                let keys: BTreeSet<_> = members.iter().map(|(key, _)| STRINGS[*key].2).collect();
                keys.len() < members.len() || members.iter().any(|(_, value)| value.has_duplicate())
            }
        }
    }

    /// Without the first member that holds a duplicate and all behind it.
    fn cut(self) -> Self {
        match self {
            Self::Object(mut members) => {
                let first = members.iter().position(|(_, value)| value.has_duplicate());
                members.truncate(first.unwrap_or(members.len()));
                Self::Object(members)
            }
            other => other,
        }
    }
}

fn form(
    go: &[u8],
    rule: DuplicateKeys,
    buffers: &mut FormBuffers,
) -> Result<Result<String, String>, Refused> {
    let mut out = b"before".to_vec();
    write_struct(go, rule, &mut out, buffers)?;
    let written = out.strip_prefix(b"before").expect("bytes in front stay").to_vec();
    Ok(String::from_utf8(written).map_err(|error| error.to_string()))
}

fn check(go: &str, expected: &str) {
    let written = form(go.as_bytes(), DuplicateKeys::Refuse, &mut FormBuffers::default());
    assert_eq!(written, Ok(Ok(expected.to_owned())), "{go}");
}

#[test]
fn rearranged_objects_inside_of_others() {
    check("{}", "{}");
    check(r#"{"b":[],"a":{}}"#, r#"{"a":{},"b":[]}"#);
    check(
        r#"{"a":[{"z":1,"y":[{"d":1,"c":2},3]},{"b":"\u003c","a":2}],"b":{"a":{"q":1,"p":2},"b":2}}"#,
        r#"{"a":[{"y":[{"c":2,"d":1},3],"z":1},{"a":2,"b":"<"}],"b":{"a":{"p":2,"q":1},"b":2}}"#,
    );
    // Back and forth between members that hold rearranged objects.
    check(
        r#"{"c":{"b":{"z":1,"a":2},"a":3},"b":[{"b":1,"a":{"b":1,"a":2}}],"a":{"y":1,"x":2}}"#,
        r#"{"a":{"x":2,"y":1},"b":[{"a":{"a":2,"b":1},"b":1}],"c":{"a":3,"b":{"a":2,"z":1}}}"#,
    );
}

#[test]
fn equal_keys() {
    let go = br#"{"b":1,"a":[{"x":1},{"\ufffd":1,"a":{"n":1,"m":2},"\ufffd":2}],"0":2}"#;
    let mut buffers = FormBuffers::default();
    assert_eq!(form(go, DuplicateKeys::Refuse, &mut buffers), Err(Refused::DuplicateKey));
    let cut = form(go, DuplicateKeys::Cut, &mut buffers);
    assert_eq!(cut, Ok(Ok(r#"{"b":1}"#.to_owned())));
    let cut = form(br#"{"b":{"x":1,"x":1},"a":2}"#, DuplicateKeys::Cut, &mut buffers);
    assert_eq!(cut, Ok(Ok("{}".to_owned())));
    // Those of the event itself stay, in their order.
    let go = br#"{"b":1,"a":2,"b":0}"#;
    assert_eq!(form(go, DuplicateKeys::Refuse, &mut buffers), Err(Refused::DuplicateKey));
    let kept = form(go, DuplicateKeys::Cut, &mut buffers);
    assert_eq!(kept, Ok(Ok(r#"{"a":2,"b":1,"b":0}"#.to_owned())));
}

#[test]
fn many_keys_that_begin_alike() {
    for shared in ["", "the beginning of all", r#"\"\\\u003c\ufffd\\\\"#, r"\\\\\\\\u003c\u0026\n"]
    {
        for tail in ["", r"\u2028", r"\\", "z"] {
            let key = |index: u32| format!("\"{shared}{}{tail}\"", index * 7919 % 1000);
            let member = |index: u32| format!("{}:{index}", key(index));
            let text = |index: u32| {
                let json = key(index);
                serde_json::from_str::<String>(&json).expect("a JSON string").into_bytes()
            };
            let mut sorted: Vec<u32> = (0..1000).collect();
            sorted.sort_by_key(|index| text(*index));
            let join = |order: Vec<u32>| {
                format!("{{{}}}", order.into_iter().map(member).collect::<Vec<_>>().join(","))
            };
            let mut buffers = FormBuffers::default();
            let go = join((0..1000).collect());
            let written = form(go.as_bytes(), DuplicateKeys::Refuse, &mut buffers);
            let written = written.expect("no key is there twice").expect("text");
            // Keys are written as plain text.
            let plain = |json: &str| serde_json::from_str::<serde_json::Value>(json).expect("JSON");
            assert_eq!(plain(&written), plain(&go));
            let numbers: Vec<u32> = written
                .split("\":")
                .skip(1)
                .map(|rest| {
                    rest.split([',', '}']).next().expect("a number").parse().expect("digits")
                })
                .collect();
            assert_eq!(numbers, sorted, "{shared} {tail}");

            let twice = format!("{},{}}}", &go[..go.len() - 1], member(1000));
            let refused = form(twice.as_bytes(), DuplicateKeys::Refuse, &mut buffers);
            assert_eq!(refused, Err(Refused::DuplicateKey), "{shared} {tail}");
        }
    }
}

#[test]
fn what_is_in_order_leaves_nothing_in_the_index() {
    let mut buffers = FormBuffers::default();
    let go = format!("{{\"a\":[{}[]]}}", r#"{"a":[],"b":{"c":"d"}},[1],"#.repeat(10_000));
    let written = form(go.as_bytes(), DuplicateKeys::Refuse, &mut buffers);
    assert_eq!(written, Ok(Ok(go)));
    assert!(buffers.open.capacity() <= 8);
    assert!(buffers.frames.capacity() <= 8);
    assert!(buffers.objects.capacity() <= 8);
    assert_eq!(buffers.members.capacity(), 0);
    assert_eq!(buffers.writing.capacity(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn trees(trees in prop::collection::vec(root(), 1..3)) {
        let mut buffers = FormBuffers::default();
        for tree in trees {
            let go = tree.go();
            let refused = tree.has_duplicate();
            let written = form(go.as_bytes(), DuplicateKeys::Refuse, &mut buffers);
            let expected = if refused { Err(Refused::DuplicateKey) } else { Ok(Ok(tree.form())) };
            prop_assert_eq!(written, expected, "{}", &go);
            let written = form(go.as_bytes(), DuplicateKeys::Cut, &mut buffers);
            prop_assert_eq!(written, Ok(Ok(tree.cut().form())), "{}", &go);
        }
    }

    /// A hostile table makes JSON that is none.
    #[test]
    fn damaged_json(
        tree in root(),
        damages in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(&b"{}[]\",:\\u-1a\xff"[..])),
            1..6,
        ),
    ) {
        let mut go = tree.go().into_bytes();
        for (at, byte) in damages {
            *at.get_mut(&mut go) = byte;
        }
        let mut buffers = FormBuffers::default();
        for len in 0..=go.len() {
            for rule in [DuplicateKeys::Refuse, DuplicateKeys::Cut] {
                let mut out = Vec::new();
                if write_struct(&go[..len], rule, &mut out, &mut buffers).is_ok() {
                    prop_assert!(out.len() <= 4 * len);
                }
            }
        }
    }
}
