//! The `struct` flavour, made of finished `go` bytes.
//!
//! What Auth sends over its unstructured roads is the event's JSON read into a
//! `google.protobuf.Struct` and written again: keys sorted by their bytes at every level, numbers
//! as doubles, strings as plain UTF-8. So it is a function of the `go` bytes. One scan makes an
//! index of the values, as slices of those bytes, with the members of each object next to each
//! other and sorted; then the index is written out. No value is copied in between.

use crate::json;
use crate::sort::sort_by;
use crate::table::DuplicateKeys;

/// Buffers that are kept from event to event.
#[derive(Debug, Default)]
pub(crate) struct FormBuffers {
    /// Members whose container is still open.
    open: Vec<Member>,
    /// Members of closed containers, neighbours together.
    members: Vec<Member>,
    containers: Vec<Container>,
    /// Open containers: offset of their first member in `open`, and their index.
    stack: Vec<(usize, usize)>,
    /// Keys that stand escaped in the `go` bytes, as text.
    keys: Vec<u8>,
    writing: Vec<(usize, usize)>,
}

impl FormBuffers {
    pub(crate) fn shrink(&mut self, max_items: usize) {
        self.open.shrink_to(max_items);
        self.members.shrink_to(max_items);
        self.containers.shrink_to(max_items);
        self.stack.shrink_to(max_items);
        self.keys.shrink_to(max_items);
        self.writing.shrink_to(max_items);
    }
}

#[derive(Clone, Copy, Debug)]
struct Container {
    object: bool,
    /// Its members in [`FormBuffers::members`].
    first: usize,
    end: usize,
    /// Two keys in it, or in something inside, are equal.
    duplicate: bool,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// First eight bytes of the key, big-endian.
    prefix: u64,
    key: Key,
    /// Offset of the key, or of a list's element, in the `go` bytes.
    at: usize,
    value: Value,
}

/// The inside of a string in the `go` bytes.
#[derive(Clone, Copy, Debug)]
struct Text {
    start: usize,
    end: usize,
    escaped: bool,
}

/// A key: as it stands in the `go` bytes, and if it is escaped there, as text in
/// [`FormBuffers::keys`].
#[derive(Clone, Copy, Debug)]
struct Key {
    text: Text,
    plain: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    String(Text),
    Number {
        start: usize,
        end: usize,
    },
    /// `true`, `false`, `null`.
    Word {
        start: usize,
        end: usize,
    },
    Container(usize),
}

/// Two keys of one object are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DuplicateKey;

/// Appends the `struct` flavour of `go`, which is a JSON object as this crate writes it.
pub(crate) fn write_struct(
    go: &[u8],
    rule: DuplicateKeys,
    out: &mut Vec<u8>,
    buffers: &mut FormBuffers,
) -> Result<(), DuplicateKey> {
    buffers.open.clear();
    buffers.members.clear();
    buffers.containers.clear();
    buffers.stack.clear();
    buffers.keys.clear();
    buffers.writing.clear();
    let mut index = Indexer { go, buffers, rule, cut: None };
    index.scan();
    let Some(root) = buffers.containers.len().checked_sub(1) else { return Ok(()) };
    if buffers.containers[root].duplicate && rule == DuplicateKeys::Refuse {
        return Err(DuplicateKey);
    }
    write(go, root, out, buffers);
    Ok(())
}

struct Indexer<'a> {
    go: &'a [u8],
    buffers: &'a mut FormBuffers,
    rule: DuplicateKeys,
    /// Offset of the first member of the event that holds a duplicate.
    cut: Option<usize>,
}

impl Indexer<'_> {
    fn scan(&mut self) {
        let go = self.go;
        let mut pos = 0;
        let mut key = None;
        while let Some(&byte) = go.get(pos) {
            match byte {
                b'{' | b'[' => {
                    // The member is completed when the container closes.
                    if !self.buffers.stack.is_empty() {
                        self.member(key.take(), pos, Value::Container(usize::MAX));
                    }
                    let open = self.buffers.open.len();
                    self.buffers.stack.push((open, usize::from(byte == b'{')));
                    pos += 1;
                }
                b'}' | b']' => {
                    self.close();
                    pos += 1;
                }
                b'"' => {
                    let start = pos + 1;
                    let (len, escaped) = json::string_end(&go[start..]);
                    let text = Text { start, end: start + len, escaped };
                    pos = text.end + 1;
                    let in_object = self.buffers.stack.last().is_some_and(|top| top.1 == 1);
                    if in_object && key.is_none() {
                        key = Some(text);
                        pos += 1;
                    } else {
                        self.member(key.take(), start, Value::String(text));
                    }
                }
                b',' | b':' => pos += 1,
                _ => {
                    let start = pos;
                    while go.get(pos).is_some_and(|b| !matches!(b, b',' | b'}' | b']')) {
                        pos += 1;
                    }
                    let value = if byte == b'-' || byte.is_ascii_digit() {
                        Value::Number { start, end: pos }
                    } else {
                        Value::Word { start, end: pos }
                    };
                    self.member(key.take(), start, value);
                }
            }
        }
    }

    fn member(&mut self, key: Option<Text>, at: usize, value: Value) {
        let text = key.unwrap_or(Text { start: at, end: at, escaped: false });
        let plain = text.escaped.then(|| {
            let from = self.buffers.keys.len();
            let inside = &self.go[text.start..text.end];
            json::write_utf8_from_escapes(&mut self.buffers.keys, inside, true);
            (from, self.buffers.keys.len())
        });
        let key = Key { text, plain };
        let prefix = prefix(key.plain(self.go, &self.buffers.keys));
        self.buffers.open.push(Member { prefix, key, at: text.start, value });
    }

    /// Moves the members of the innermost container to their place, sorted if it is an object.
    fn close(&mut self) {
        let Some((from, object)) = self.buffers.stack.pop() else { return };
        let FormBuffers { open, members, containers, stack, keys, .. } = &mut *self.buffers;
        let first = members.len();
        members.extend_from_slice(&open[from..]);
        open.truncate(from);
        let own = &mut members[first..];
        let holds_duplicate = |member: &Member| match member.value {
            Value::Container(inner) => containers[inner].duplicate,
            _ => false,
        };
        let mut duplicate = own.iter().any(holds_duplicate);
        if stack.is_empty() && duplicate && self.rule == DuplicateKeys::Cut {
            self.cut = own.iter().find(|member| holds_duplicate(member)).map(|member| member.at);
        }
        if object == 1 {
            let text = |member: &Member| member.key.plain(self.go, keys);
            sort_by(own, |a, b| {
                a.prefix < b.prefix || a.prefix == b.prefix && (text(a), a.at) < (text(b), b.at)
            });
            duplicate |= own
                .windows(2)
                .any(|pair| pair[0].prefix == pair[1].prefix && text(&pair[0]) == text(&pair[1]));
            if let Some(cut) = self.cut {
                let mut kept = first;
                for index in first..members.len() {
                    if members[index].at < cut {
                        members[kept] = members[index];
                        kept += 1;
                    }
                }
                members.truncate(kept);
            }
        }
        let container = Container { object: object == 1, first, end: members.len(), duplicate };
        containers.push(container);
        // The container is the value of the last open member.
        if !stack.is_empty()
            && let Some(member) = open.last_mut()
        {
            member.value = Value::Container(containers.len() - 1);
        }
    }
}

impl Key {
    fn plain<'a>(&self, go: &'a [u8], keys: &'a [u8]) -> &'a [u8] {
        match self.plain {
            Some((start, end)) => &keys[start..end],
            None => &go[self.text.start..self.text.end],
        }
    }
}

fn write(go: &[u8], root: usize, out: &mut Vec<u8>, buffers: &mut FormBuffers) {
    let FormBuffers { members, containers, writing, .. } = buffers;
    out.push(b'{');
    writing.push((root, containers[root].first));
    while let Some((which, next)) = writing.pop() {
        let container = containers[which];
        if next == container.end {
            out.push(if container.object { b'}' } else { b']' });
            continue;
        }
        writing.push((which, next + 1));
        if next != container.first {
            out.push(b',');
        }
        let member = &members[next];
        if container.object {
            write_text(out, go, member.key.text);
            out.push(b':');
        }
        match member.value {
            Value::String(text) => write_text(out, go, text),
            Value::Number { start, end } => write_number(out, &go[start..end]),
            Value::Word { start, end } => out.extend_from_slice(&go[start..end]),
            Value::Container(inner) => {
                out.push(if containers[inner].object { b'{' } else { b'[' });
                writing.push((inner, containers[inner].first));
            }
        }
    }
}

fn write_text(out: &mut Vec<u8>, go: &[u8], text: Text) {
    if !text.escaped {
        // Both quotes stand around it.
        out.extend_from_slice(&go[text.start - 1..=text.end]);
        return;
    }
    out.push(b'"');
    json::write_utf8_from_escapes(out, &go[text.start..text.end], false);
    out.push(b'"');
}

/// Through a double. What has an exponent or a fraction was one before; integers of up to 15
/// digits are exact.
fn write_number(out: &mut Vec<u8>, digits: &[u8]) {
    let is_integer = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    if digits.len() > 15
        && is_integer
        && let Some(value) = integer(digits)
    {
        out.extend_from_slice(json::Digits::of(value).as_slice());
    } else {
        out.extend_from_slice(digits);
    }
}

/// The double nearest to an integer of at most 64 bits, as all integers in an event are.
#[expect(clippy::cast_precision_loss, reason = "rounded on purpose, to even like any reader does")]
fn integer(digits: &[u8]) -> Option<f64> {
    let (negative, digits) = match digits {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut value = 0u64;
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))?;
    }
    let value = value as f64;
    Some(if negative { -value } else { value })
}

fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}
