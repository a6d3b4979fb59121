//! Wire bytes as a tree that can be changed in places that matter, and written again.

use prost_reflect::MessageDescriptor;

/// One field on the wire.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The field's number, and whatever stands above its 32 bits.
    pub(super) number: u64,
    /// The wire type of the tag, if it is not that of the body.
    pub(super) wire: Option<u8>,
    /// Bytes more than needed for the tag.
    pub(super) padding: usize,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// A varint, and how many bytes more than needed it takes.
    Varint(u64, usize),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Vec<u8>),
    Message(MessageDescriptor, Vec<Node>),
    Group(Vec<Node>),
}

impl Node {
    pub(super) fn new(number: u32, body: Body) -> Self {
        Self { number: u64::from(number), wire: None, padding: 0, body }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let wire = self.wire.unwrap_or(match self.body {
            Body::Varint(..) => 0,
            Body::Fixed64(_) => 1,
            Body::Bytes(_) | Body::Message(..) => 2,
            Body::Group(_) => 3,
            Body::Fixed32(_) => 5,
        });
        varint(out, self.number << 3 | u64::from(wire), self.padding);
        match &self.body {
            Body::Varint(value, padding) => varint(out, *value, *padding),
            Body::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
            Body::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
            Body::Bytes(bytes) => length_delimited(out, bytes),
            Body::Message(_, nodes) => length_delimited(out, &written(nodes)),
            Body::Group(nodes) => {
                nodes.iter().for_each(|node| node.write(out));
                varint(out, self.number << 3 | 4, 0);
            }
        }
    }
}

pub(super) fn written(nodes: &[Node]) -> Vec<u8> {
    let mut out = Vec::new();
    nodes.iter().for_each(|node| node.write(&mut out));
    out
}

pub(super) fn length_delimited(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, u64::try_from(bytes.len()).unwrap_or_default(), 0);
    out.extend_from_slice(bytes);
}

/// A varint with `padding` bytes more than it needs, ten at most.
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64, padding: usize) {
    let needed = usize::try_from(64 - (value | 1).leading_zeros()).unwrap_or(64).div_ceil(7);
    let len = (needed + padding).min(10);
    for place in 0..len {
        let more = if place + 1 < len { 0x80 } else { 0 };
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | more);
        value >>= 7;
    }
}
