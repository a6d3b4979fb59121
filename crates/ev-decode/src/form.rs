//! The `struct` flavour, made of finished `go` bytes.
//!
//! What Auth sends over its unstructured roads is the event's JSON read into a
//! `google.protobuf.Struct` and written again: keys sorted by their bytes at every level, numbers
//! as doubles, strings as plain UTF-8. So it is a function of the `go` bytes, and most of them stay
//! as and where they are: Go sorts the keys of maps itself, only the fields of messages stand in
//! another order.
//!
//! One scan keeps the members of the objects that are open; when one closes whose keys are not in
//! order, their spans are kept, sorted, and otherwise nothing is. Then the bytes are written from
//! front to back, members of those objects in their new order. What the scan saw to be the same in
//! both flavours is copied whole.
//!
//! Memory follows from what an event can make of its bytes: list elements, and scalars and objects
//! in order, cost nothing once they are read.
//!
//! | each | bytes, while |
//! |---|---|
//! | level of nesting | 8 of a list, 24 of an object, it is open |
//! | member | 16, its object is open |
//! | object with its keys out of order | 16, and 8 a member, until all is written |
//! | object around one of those | 16, the scan goes on |

mod key;
mod number;
mod scan;
mod write;

use self::scan::Scanner;
use crate::table::DuplicateKeys;

/// The longest `go` JSON that is rewritten, 2 GiB: offsets take 31 bits, and one bit says more.
const MAX_LEN: usize = (1 << 31) - 1;

/// Buffers that are kept from event to event.
#[derive(Debug, Default)]
pub(crate) struct FormBuffers {
    /// Members of the objects that are open, in the order of the JSON.
    open: Vec<Member>,
    /// The containers that are open.
    frames: Vec<Frame>,
    /// Objects that are rearranged, in the order of the JSON, and during the scan those around.
    objects: Vec<Object>,
    /// Their members, those of one object together and sorted.
    members: Vec<Span>,
    /// Rearranged objects that are being written, one inside the other.
    writing: Vec<Writing>,
}

impl FormBuffers {
    pub(crate) fn shrink(&mut self, max_items: usize) {
        self.clear();
        self.open.shrink_to(max_items);
        self.frames.shrink_to(max_items);
        self.objects.shrink_to(max_items);
        self.members.shrink_to(max_items);
        self.writing.shrink_to(max_items);
    }

    fn clear(&mut self) {
        self.open.clear();
        self.frames.clear();
        self.objects.clear();
        self.members.clear();
        self.writing.clear();
    }
}

/// A member of an open object.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// First eight bytes of the key as text, big-endian; what is shorter ends in zeros.
    prefix: u64,
    span: Span,
}

/// A member in the `go` bytes, from the quote in front of its key to the end of its value.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    /// With the bit [`Span::DIFFERS`].
    end: u32,
}

impl Span {
    /// The member reads otherwise in the `struct` flavour.
    const DIFFERS: u32 = 1 << 31;

    fn start(self) -> usize {
        self.start as usize
    }

    fn end(self) -> usize {
        (self.end & !Self::DIFFERS) as usize
    }

    fn differs(self) -> bool {
        self.end & Self::DIFFERS != 0
    }
}

/// An open container.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Its first member in [`FormBuffers::open`].
    first: u32,
    /// Its place in [`FormBuffers::objects`], or [`Frame::LIST`].
    object: u32,
}

impl Frame {
    const LIST: u32 = u32::MAX;

    fn is_object(self) -> bool {
        self.object != Self::LIST
    }
}

#[derive(Clone, Copy, Debug)]
struct Object {
    /// Offset of its opening brace.
    at: u32,
    /// Offset of its closing brace.
    close: u32,
    /// Its members in [`FormBuffers::members`], or [`Object::AS_IT_IS`].
    first: u32,
    end: u32,
}

impl Object {
    /// Stands for the first member of an object that is not rearranged.
    const AS_IT_IS: u32 = u32::MAX;
}

#[derive(Clone, Copy, Debug)]
struct Writing {
    /// Its place in [`FormBuffers::objects`].
    object: u32,
    /// The next member in [`FormBuffers::members`].
    next: u32,
}

/// Why an event has no `struct` flavour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Two keys of one object are equal.
    DuplicateKey,
    /// The JSON is longer than [`MAX_LEN`].
    TooLong,
}

impl Refused {
    /// What is wrong, for whoever reads why an event was not printed.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::DuplicateKey => "two keys of an object are equal once invalid bytes are replaced",
            Self::TooLong => "the JSON is longer than 2 GiB",
        }
    }
}

/// Appends the `struct` flavour of `go`, which is a JSON object as this crate writes it.
///
/// Nothing is appended when it is refused.
pub(crate) fn write_struct(
    go: &[u8],
    rule: DuplicateKeys,
    out: &mut Vec<u8>,
    buffers: &mut FormBuffers,
) -> Result<(), Refused> {
    if go.len() > MAX_LEN {
        return Err(Refused::TooLong);
    }
    buffers.clear();
    let mut scanner = Scanner::new(go, rule, buffers);
    scanner.scan()?;
    if scanner.differs() {
        write::write(go, out, buffers);
    } else {
        out.extend_from_slice(go);
    }
    Ok(())
}

/// As an offset in the `go` bytes, or a count of what is in them.
#[inline]
fn offset(at: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the JSON is no longer than `MAX_LEN`")]
    let offset = at as u32;
    offset
}

#[cfg(test)]
mod tests;
