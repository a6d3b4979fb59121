//! The same content encoded as somebody would who wants to waste our time, and the plain form.

use std::iter;

use ev_core::Mode;
use ev_core::wire::{self, WireType};
use prost_reflect::{Kind, MessageDescriptor};

use super::shapes::Shapes;
use super::wire::Message;
use super::{EventSet, Random};

/// Number of parts, repetitions and keys.
const MANY: usize = 10_000;

/// Two encodings that are compared by time per byte.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its name in tables.
    pub name: &'static str,
    /// Ordinary events.
    pub plain: Vec<Vec<u8>>,
    /// Events that are meant to be slow.
    pub hostile: Vec<Vec<u8>>,
    /// How they are decoded.
    pub mode: Mode,
}

impl Pair {
    fn new(name: &'static str, plain: Vec<u8>, hostile: Vec<u8>) -> Self {
        Self { name, plain: vec![plain], hostile: vec![hostile], mode: Mode::Strict }
    }
}

/// All of them. `ordinary` are the events whose fields are put out of order.
pub fn pairs(shapes: &Shapes, ordinary: &EventSet, one_of: &MessageDescriptor) -> Vec<Pair> {
    let out_of_order = Pair {
        name: "fields out of order",
        plain: ordinary.events.iter().map(|event| event.to_vec()).collect(),
        hostile: ordinary.events.iter().filter_map(|event| reversed(one_of, event)).collect(),
        mode: Mode::Strict,
    };
    let mut pairs = vec![out_of_order];
    pairs.extend(messages(shapes));
    pairs.extend(repetitions(shapes));
    pairs.extend(structs(shapes));
    pairs.extend(unknown(shapes));
    pairs
}

/// Lists and messages that do not stand together.
fn messages(shapes: &Shapes) -> [Pair; 3] {
    let words = words(MANY);
    let end = |order: &mut dyn Iterator<Item = usize>| {
        shapes.event("SessionEnd", "session.end", |event| {
            order.fold(event, |event, index| {
                let list = ["Participants", "InitialCommand"][index % 2];
                event.text(list, &words[index])
            })
        })
    };
    let lists = Pair::new(
        "two lists interleaved",
        end(&mut (0..MANY).step_by(2).chain((1..MANY).step_by(2))),
        end(&mut (0..MANY)),
    );
    let label = |server: Message, index: usize| {
        let word: &str = &words[index];
        server.entry("ServerLabels", word, word)
    };
    let start =
        |fill: &dyn Fn(Message) -> Message| shapes.event("SessionStart", "session.start", fill);
    let parts = Pair::new(
        "message in 10,000 parts",
        start(&|event| event.with("Server", |server| server.many(MANY, label))),
        start(&|event| {
            event.many(MANY, |event, index| event.with("Server", |server| label(server, index)))
        }),
    );
    let role = |route: Message, index: usize| route.text("Roles", &words[index]);
    let certificate =
        |fill: &dyn Fn(Message) -> Message| shapes.event("CertificateCreate", "cert.create", fill);
    let deep = Pair::new(
        "message in a message in parts",
        certificate(&|event| {
            event.with("Identity", |identity| {
                identity.with("RouteToDatabase", |route| route.many(MANY, role))
            })
        }),
        certificate(&|event| {
            event.many(MANY, |event, index| {
                event.with("Identity", |identity| {
                    identity.with("RouteToDatabase", |route| role(route, index))
                })
            })
        }),
    );
    [lists, parts, deep]
}

/// The same again and again.
fn repetitions(shapes: &Shapes) -> [Pair; 5] {
    let words = words(MANY);
    let list = shapes.list(MANY, 0);
    let map = shapes.map(MANY, 0);
    let start = |fill: &dyn Fn(Message) -> Message| {
        shapes.event("SessionStart", "session.start", |event| event.with("Server", fill))
    };
    let keys = start(&|server| {
        server.many(MANY, |server, index| server.entry("ServerLabels", "the key", &words[index]))
    });
    let entries = start(&|server| server.many(MANY, |server, _| server.text("ServerLabels", b"")));
    let scalar = shapes.event("DatabaseSessionQuery", "db.session.query", |event| {
        event.many(MANY, |event, index| event.text("DatabaseQuery", &words[index]))
    });
    let time = shapes.event("SessionEnd", "session.end", |event| {
        event.many(MANY, |event, index| {
            event.with("EndTime", |time| time.varint("seconds", 1_795_336_595 + index as u64))
        })
    });
    let single = shapes.list(10, 0);
    let again: Vec<u8> = iter::repeat_n(&single[..], MANY / 10).flatten().copied().collect();
    [
        Pair::new("10,000 duplicate map keys", map.clone(), keys),
        Pair::new("10,000 empty map entries", map, entries),
        Pair::new("text field again and again", list.clone(), scalar),
        Pair::new("time again and again", list, time),
        Pair::new("event again and again", single, again),
    ]
}

fn structs(shapes: &Shapes) -> [Pair; 4] {
    let words = words(MANY);
    let member = |attributes: Message, key: &str, value: &str| {
        attributes.with("fields", |member| {
            member.text("key", key).with("value", |inner| inner.text("string_value", value))
        })
    };
    let flat = shapes.login(|attributes| {
        attributes.many(MANY, |attributes, index| member(attributes, &words[index], "value"))
    });
    let keys = shapes.login(|attributes| {
        attributes.many(MANY, |attributes, index| member(attributes, "the key", &words[index]))
    });
    let parts = shapes.event("UserLogin", "user.login", |event| {
        event.many(MANY, |event, index| {
            event
                .with("IdentityAttributes", |attributes| member(attributes, &words[index], "value"))
        })
    });
    let value = shapes.message("google.protobuf.Value");
    let deep = (0..MANY).fold(value.empty().text("string_value", "leaf"), |inner, _| {
        value.empty().with("list_value", |list| list.text("values", inner.into_bytes()))
    });
    let lists = shapes.login(|attributes| {
        attributes
            .with("fields", |member| member.text("key", "lists").text("value", deep.into_bytes()))
    });
    [
        Pair::new("duplicate keys of a struct", flat.clone(), keys),
        Pair::new("struct in 10,000 parts", flat.clone(), parts),
        Pair::new("struct of 10,000 levels", flat.clone(), shapes.depth(MANY, 0)),
        Pair::new("lists of 10,000 levels", flat, lists),
    ]
}

/// What the schema lacks, in known-part mode: the whole event is walked.
fn unknown(shapes: &Shapes) -> [Pair; 2] {
    const START_GROUP: u8 = 3;
    const END_GROUP: u8 = 4;
    // Field 5000 of each wire type.
    let tag = |wire_type: u8| [0xc0 | wire_type, 0xb8, 0x02];
    let event =
        |bytes: Vec<u8>| shapes.event("SessionEnd", "session.end", |event| event.raw(&bytes));
    let numbers = event([&tag(0)[..], &[1]].concat().repeat(MANY));
    let texts = event([&tag(2)[..], &[4], b"text"].concat().repeat(MANY));
    let groups = event([tag(START_GROUP).repeat(MANY), tag(END_GROUP).repeat(MANY)].concat());
    let known_part = |name, plain: &Vec<u8>, hostile| Pair {
        mode: Mode::KnownPart,
        ..Pair::new(name, plain.clone(), hostile)
    };
    [
        known_part("groups of 10,000 levels", &numbers, groups),
        known_part("10,000 unknown fields", &shapes.list(MANY, 0), texts),
    ]
}

fn words(count: usize) -> Vec<String> {
    let mut random = Random::new(9);
    iter::repeat_with(|| random.word()).take(count).collect()
}

/// The message with its fields in reverse, and so the messages in it, down to what has a form of
/// its own; `None` if it is no message.
fn reversed(descriptor: &MessageDescriptor, buf: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Vec::new();
    let mut pos = 0;
    while pos < buf.len() {
        let start = pos;
        let (number, wire_type) = wire::tag(buf, &mut pos).ok()?;
        if wire_type != WireType::Len {
            wire::skip(buf, &mut pos, wire_type).ok()?;
            fields.push(buf[start..pos].to_vec());
            continue;
        }
        let value = &buf[wire::len_delimited(buf, &mut pos).ok()?];
        match descriptor.get_field(number)?.kind() {
            Kind::Message(inner) if !inner.full_name().starts_with("google.protobuf.") => {
                // As long as before, so the length in front stays as it is.
                let prefix = &buf[start..pos - value.len()];
                fields.push([prefix, &reversed(&inner, value)?].concat());
            }
            _ => fields.push(buf[start..pos].to_vec()),
        }
    }
    fields.reverse();
    Some(fields.concat())
}

#[cfg(test)]
mod tests {
    use ev_core::Flavour;
    use ev_decode::{Answer, Options, Scratch, Transcoder};
    use ev_oracle::{Schema, Verdict};

    use super::*;
    use crate::events;

    #[test]
    fn each_pair_is_two_valid_encodings() {
        let shapes = Shapes::new().unwrap();
        let sets = events::sets().unwrap();
        let schema = events::schema().unwrap();
        let one_of = schema.get_message_by_name("events.OneOf").unwrap();
        let newest = ev_decode::embedded().pop().unwrap().table;
        let transcoder = Transcoder::new(newest, Flavour::Go, Options::default());
        let oracle = Schema::new(&events::descriptors().unwrap()).unwrap();
        for pair in pairs(&shapes, &sets[1], &one_of) {
            assert_ne!(pair.plain, pair.hostile, "{}", pair.name);
            assert!(!pair.hostile.is_empty(), "{}", pair.name);
            for event in pair.hostile.iter().take(20) {
                let mut json = Vec::new();
                let answer =
                    transcoder.decode_one(&mut Scratch::new(), event, pair.mode, &mut json);
                let known = match pair.mode {
                    Mode::Strict => matches!(answer, Answer::Decoded(_)),
                    Mode::KnownPart => matches!(answer, Answer::Unknown { known: true, .. }),
                };
                assert!(known, "{}: {answer:?}", pair.name);
                // The slow decoder recurses, which is no test of deep nesting.
                if pair.name.ends_with("levels") {
                    continue;
                }
                let expected = match oracle.slow(event) {
                    Verdict::Known(event) => event.go,
                    Verdict::Unknown { event, .. } => event.and_then(|event| event.go),
                    _ => None,
                };
                assert_eq!(Some(json), expected, "{}", pair.name);
            }
        }
    }
}
