//! Events of any size, for the question whether cost grows linearly.
//!
//! A [`Shape`] is one kind of content; an event of it has little else. Its sizes begin where the
//! content outweighs its own fixed part: a text of ten bytes is not the shape "long text".

use std::iter;

use anyhow::Result;
use bytes::Bytes;
use ev_core::{Form, RawEvent};
use prost_reflect::DescriptorPool;

use super::wire::Message;
use super::{Random, schema};

/// Makes events of the newest recorded schema.
#[derive(Clone, Debug)]
pub struct Shapes(DescriptorPool);

/// One kind of content.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its name in tables.
    pub name: &'static str,
    /// What is measured: bytes or entries, as `make` takes them.
    pub sizes: &'static [usize],
    /// An event with so much of it, none of it for 0, and the seed of its words.
    pub make: fn(&Shapes, usize, u64) -> Vec<u8>,
    /// Whether Go sorts the entries, so that cost may grow by their logarithm.
    pub sorted: bool,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// From where text outweighs the field around it.
const BYTES: &[usize] = &[4 * KIB, 32 * KIB, 256 * KIB, 2 * MIB, 8 * MIB];
const ENTRIES: &[usize] = &[10, 100, 1_000, 10_000, 100_000];
const LEVELS: &[usize] = &[10, 100, 1_000, 10_000];

/// All shapes.
pub const SHAPES: &[Shape] = &[
    Shape {
        name: "records",
        sizes: &[200, KIB, 8 * KIB, 64 * KIB, 512 * KIB, 8 * MIB],
        make: Shapes::records,
        sorted: false,
    },
    Shape { name: "plain text", sizes: BYTES, make: Shapes::text, sorted: false },
    Shape { name: "SQL", sizes: BYTES, make: Shapes::statement, sorted: false },
    Shape { name: "control characters", sizes: BYTES, make: Shapes::controls, sorted: false },
    Shape { name: "base64", sizes: BYTES, make: Shapes::payload, sorted: false },
    Shape { name: "list", sizes: ENTRIES, make: Shapes::list, sorted: false },
    Shape { name: "map", sizes: ENTRIES, make: Shapes::map, sorted: true },
    Shape { name: "traits", sizes: ENTRIES, make: Shapes::traits, sorted: true },
    Shape { name: "struct", sizes: ENTRIES, make: Shapes::members, sorted: true },
    Shape { name: "struct list", sizes: ENTRIES, make: Shapes::elements, sorted: false },
    Shape { name: "struct depth", sizes: LEVELS, make: Shapes::depth, sorted: false },
];

/// Bytes of the events of one size, at least: a processor that sees the same few kilobytes again
/// and again knows by heart where the next quote stands, which no real event allows.
const VARIETY: usize = 512 * KIB;
/// Events of one size, at most.
const MOST: usize = 1_000;

impl Shape {
    /// Different events of one size, as many as it takes to be new to the processor.
    pub fn events(&self, shapes: &Shapes, size: usize) -> Vec<Vec<u8>> {
        let first = (self.make)(shapes, size, 0);
        let count = (VARIETY / first.len()).clamp(1, MOST) as u64;
        iter::once(first).chain((1..count).map(|seed| (self.make)(shapes, size, seed))).collect()
    }
}

/// An event as a decoder takes it.
pub fn raw(event: Vec<u8>) -> RawEvent {
    RawEvent { form: Form::OneOf, bytes: Bytes::from(event) }
}

impl Shapes {
    /// Reads the schema.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn new() -> Result<Self> {
        schema().map(Self)
    }

    /// An event of about `bytes` bytes: a list of small messages, as of the resources of an
    /// access request.
    pub fn records(&self, bytes: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        self.event("AccessRequestCreate", "access_request.create", |mut event| {
            // What stands around the event takes up to six bytes more.
            while event.len() + 40 < bytes {
                event = event.with("RequestedResourceIDs", |resource| {
                    let resource = resource.text("ClusterName", "rig.example.com");
                    resource.text("Kind", "node").text("Name", random.word())
                });
            }
            event
        })
    }

    /// A query of `bytes` bytes without anything to escape.
    pub fn text(&self, bytes: usize, _seed: u64) -> Vec<u8> {
        self.query(&"all of this is plain text, ".repeat(bytes.div_ceil(27))[..bytes])
    }

    /// A query of about `bytes` bytes of SQL.
    pub fn statement(&self, bytes: usize, seed: u64) -> Vec<u8> {
        self.query(&Random::new(seed).statement(bytes))
    }

    /// A query of `bytes` bytes of which each one is escaped as six.
    pub fn controls(&self, bytes: usize, _seed: u64) -> Vec<u8> {
        self.query(&"\u{1}".repeat(bytes))
    }

    /// A packet of `bytes` bytes.
    pub fn payload(&self, bytes: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        let payload: Vec<u8> = iter::repeat_with(|| random.byte()).take(bytes).collect();
        self.event("DatabaseSessionMalformedPacket", "db.session.malformed_packet", |event| {
            event.text("Payload", &payload)
        })
    }

    /// A list of `entries` short texts.
    pub fn list(&self, entries: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        self.event("DatabaseSessionQuery", "db.session.query", |event| {
            event.many(entries, |event, _| event.text("DatabaseQueryParameters", random.word()))
        })
    }

    /// A map of `entries` keys in no order, as Go's encoder writes maps.
    pub fn map(&self, entries: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        self.event("SessionStart", "session.start", |event| {
            event.with("Server", |server| {
                server.many(entries, |server, _| {
                    server.entry("ServerLabels", &random.word(), &random.word())
                })
            })
        })
    }

    /// Traits of `entries` keys with two values each.
    pub fn traits(&self, entries: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        self.event("CertificateCreate", "cert.create", |event| {
            event.with("Identity", |identity| {
                identity.with("Traits", |traits| {
                    traits.many(entries, |traits, _| {
                        traits.with("Values", |entry| {
                            entry.text("key", random.word()).with("value", |list| {
                                list.text("Values", random.word()).text("Values", random.word())
                            })
                        })
                    })
                })
            })
        })
    }

    /// A `google.protobuf.Struct` of `entries` members in no order.
    pub fn members(&self, entries: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        self.login(|attributes| {
            attributes.many(entries, |attributes, index| {
                attributes.with("fields", |member| {
                    member
                        .text("key", random.word())
                        .with("value", |value| simple(value, index, &mut random))
                })
            })
        })
    }

    /// A `Struct` with a list of `entries` numbers, texts and booleans.
    pub fn elements(&self, entries: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        self.login(|attributes| {
            attributes.with("fields", |member| {
                member.text("key", "list").with("value", |value| {
                    value.with("list_value", |list| {
                        list.many(entries, |list, index| {
                            list.with("values", |value| simple(value, index, &mut random))
                        })
                    })
                })
            })
        })
    }

    /// A `Struct` of so many levels, an object in an object.
    pub fn depth(&self, levels: usize, _seed: u64) -> Vec<u8> {
        self.login(|attributes| {
            // From the inside out, since each level begins with its length.
            (0..levels).fold(attributes, |inner, _| {
                let empty = inner.empty();
                empty.with("fields", |member| {
                    member
                        .text("key", "a level")
                        .with("value", |value| value.text("struct_value", inner.into_bytes()))
                })
            })
        })
    }

    /// An empty message.
    pub(super) fn message(&self, name: &str) -> Message {
        Message::new(&self.0, name)
    }

    /// An event of one type with its `Metadata`; `fill` appends the rest.
    pub(super) fn event(
        &self,
        case: &str,
        kind: &str,
        fill: impl FnOnce(Message) -> Message,
    ) -> Vec<u8> {
        let one_of = self.message("events.OneOf");
        one_of
            .with(case, |event| {
                fill(event.with("Metadata", |metadata| {
                    let metadata = metadata.text("Type", kind).text("Code", "T0000I");
                    metadata
                        .text("ID", "1d1c8a0c-1b2a-4e6b-9a52-0c1d2e3f4a5b")
                        .with("Time", |time| time.varint("seconds", 1_795_336_595))
                }))
            })
            .into_bytes()
    }

    /// A login with attributes of an identity provider.
    pub(super) fn login(&self, fill: impl FnOnce(Message) -> Message) -> Vec<u8> {
        self.event("UserLogin", "user.login", |event| event.with("IdentityAttributes", fill))
    }

    fn query(&self, text: &str) -> Vec<u8> {
        self.event("DatabaseSessionQuery", "db.session.query", |event| {
            event.text("DatabaseQuery", text)
        })
    }
}

/// A value of a `Struct` that holds no other.
fn simple(value: Message, index: usize, random: &mut Random) -> Message {
    match index % 4 {
        0 => value.double("number_value", f64::from(u16::try_from(index % 5000).unwrap_or(0))),
        1 => value.varint("bool_value", 1),
        _ => value.text("string_value", random.word()),
    }
}

#[cfg(test)]
mod tests {
    use ev_core::{Flavour, Mode};
    use ev_decode::{Answer, Options, Scratch, Transcoder};
    use ev_oracle::Schema;

    use super::*;

    #[test]
    fn each_shape_is_an_event_and_grows() {
        let shapes = Shapes::new().unwrap();
        let newest = ev_decode::embedded().pop().unwrap().table;
        let transcoder = Transcoder::new(newest, Flavour::Go, Options::default());
        let oracle = Schema::new(&crate::events::descriptors().unwrap()).unwrap();
        for shape in SHAPES {
            let mut before = 0;
            for size in [0, shape.sizes[0], shape.sizes[1]] {
                let event = (shape.make)(&shapes, size, 7);
                assert!(event.len() > before, "{}", shape.name);
                before = event.len();
                let mut json = Vec::new();
                let answer =
                    transcoder.decode_one(&mut Scratch::new(), &event, Mode::Strict, &mut json);
                assert!(matches!(answer, Answer::Decoded(_)), "{}: {answer:?}", shape.name);
                let mut expected = Vec::new();
                // Beyond its depth the oracle refuses; it is right where it answers.
                if oracle.reflect(&event, &mut expected).is_ok() {
                    assert_eq!(json, expected, "{}", shape.name);
                }
            }
        }
    }

    #[test]
    fn sizes_are_sizes() {
        let shapes = Shapes::new().unwrap();
        for bytes in [200, 5000] {
            assert!(shapes.records(bytes, 0).len().abs_diff(bytes) <= 60, "{bytes}");
        }
        assert!(shapes.text(5000, 0).len().abs_diff(5000) < 200);
    }
}
