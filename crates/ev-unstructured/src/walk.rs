//! `google.protobuf.Struct` to JSON, with a stack of its own.
//!
//! Messages merge: one that occurs several times means the same as their bytes one behind the
//! other. So a message here is a list of parts, nearly always one.

use std::ops::Range;

use ev_core::wire::{self, WireError, WireType};
use ev_core::{LoginFacts, Span};

use crate::envelope::{NOT_UTF8, WRONG_WIRE_TYPE};
use crate::text;

/// Deepest nesting of objects and lists that is read; Go's own decoder takes less than half.
const MAX_DEPTH: usize = 10_000;
const TOO_DEEP: &str = "nested too deep";
/// Items after which a buffer is given back when an event is done.
const MAX_KEPT: usize = 1 << 16;

/// Why reading stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Halt {
    pub(crate) at: u32,
    pub(crate) what: &'static str,
}

impl Halt {
    pub(crate) fn new(at: usize, what: &'static str) -> Self {
        Self { at: u32::try_from(at).unwrap_or(u32::MAX), what }
    }
}

/// A message as the places of its parts among those that are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) first: usize,
    pub(crate) end: usize,
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The key's first bytes, which nearly always tell which of two is less.
    prefix: u64,
    key: Span,
    /// Of its `Value`; none if it has no value.
    value: Parts,
    at: u32,
}

/// An object or a list that is being printed. `kept` is how many parts were kept in front of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Frame {
    /// Entries `next..end` are still to be printed, those from `first` on are its own.
    Object { first: usize, next: usize, end: usize, kept: usize },
    /// Of the list in `parts` the bytes from `pos` in the first part on.
    List { parts: Parts, pos: usize, empty: bool, kept: usize },
}

/// What is used for one event after the other.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    parts: Vec<Span>,
    entries: Vec<Entry>,
    frames: Vec<Frame>,
    pub(crate) checks: Vec<crate::value::Check>,
}

impl Buffers {
    /// Forgets the last event, and what an unusually large one has taken.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.entries.clear();
        self.frames.clear();
        self.checks.clear();
        let Self { parts, entries, frames, checks } = self;
        give_back(parts);
        give_back(entries);
        give_back(frames);
        give_back(checks);
    }
}

/// Gives an empty buffer back that has become large.
fn give_back<T>(buffer: &mut Vec<T>) {
    if buffer.capacity() > MAX_KEPT {
        *buffer = Vec::new();
    }
}

/// What is found in the outermost object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) uid: Option<Span>,
    pub(crate) session: Span,
    pub(crate) login: LoginFacts,
}

/// A value that is not an object or list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Text(Span),
    Flag(bool),
    Other,
}

type Trouble = Option<(u32, &'static str)>;

/// Walks one event.
pub(crate) struct Walker<'a> {
    pub(crate) event: &'a [u8],
    pub(crate) buffers: &'a mut Buffers,
    pub(crate) out: &'a mut Vec<u8>,
    /// The first value that JSON has no form for.
    unprintable: Trouble,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(event: &'a [u8], buffers: &'a mut Buffers, out: &'a mut Vec<u8>) -> Self {
        Self { event, buffers, out, unprintable: None }
    }

    /// The value that was read at `at`.
    pub(crate) fn read<T>(&self, at: usize, result: Result<T, WireError>) -> Result<T, Halt> {
        result.map_err(|error| Halt::new(at, error.as_str()))
    }

    /// The span of a text.
    pub(crate) fn text(&self, at: usize, range: Range<usize>) -> Result<Span, Halt> {
        match std::str::from_utf8(&self.event[range.clone()]) {
            Ok(_) => Ok(Span::new(range.start, range.end)),
            Err(_) => Err(Halt::new(at, NOT_UTF8)),
        }
    }

    /// Keeps a part of the event's Struct.
    pub(crate) fn keep_struct(&mut self, range: Range<usize>) {
        self.keep(range);
    }

    pub(crate) fn keep(&mut self, range: Range<usize>) {
        self.buffers.parts.push(Span::new(range.start, range.end));
    }

    pub(crate) fn kept(&self) -> usize {
        self.buffers.parts.len()
    }

    pub(crate) fn part(&self, index: usize) -> Range<usize> {
        let Span { start, end } = self.buffers.parts[index];
        start as usize..end as usize
    }

    pub(crate) fn unprintable(&mut self, at: usize, what: &'static str) {
        let at = Halt::new(at, what).at;
        if self.unprintable.is_none_or(|(first, _)| at < first) {
            self.unprintable = Some((at, what));
        }
        self.out.extend_from_slice(b"null");
    }

    /// Prints the Struct whose parts were kept.
    pub(crate) fn structure(mut self) -> Result<(Own, Trouble), Halt> {
        let mut own = Own::default();
        self.open_object(Parts { first: 0, end: self.kept() }, 0)?;
        while let Some(frame) = self.buffers.frames.pop() {
            match frame {
                Frame::Object { first, next, end, kept } if next == end => {
                    self.buffers.entries.truncate(first);
                    self.buffers.parts.truncate(kept);
                    self.out.push(b'}');
                }
                Frame::Object { first, next, end, kept } => {
                    let entry = self.buffers.entries[next];
                    self.buffers.frames.push(Frame::Object { first, next: next + 1, end, kept });
                    let outermost = self.buffers.frames.len() == 1;
                    let plain = self.member(entry, self.is_replaced(next, end))?;
                    if let (true, Some(plain)) = (outermost, plain) {
                        own.take(entry.key.of(self.event), plain);
                    }
                }
                Frame::List { parts, pos, empty, kept } => self.item(parts, pos, empty, kept)?,
            }
        }
        Ok((own, self.unprintable))
    }

    /// Whether an entry behind has the same key; sorted, it is the next one.
    fn is_replaced(&self, index: usize, end: usize) -> bool {
        let (one, next) = match self.buffers.entries.get(index..end) {
            Some([one, next, ..]) => (one, next),
            _ => return false,
        };
        one.prefix == next.prefix && one.key.of(self.event) == next.key.of(self.event)
    }

    /// Prints a member, or the beginning of one that has others inside. `None` if it has been
    /// replaced by another one.
    fn member(&mut self, entry: Entry, is_replaced: bool) -> Result<Option<Plain>, Halt> {
        let Entry { key, value, at, .. } = entry;
        if is_replaced {
            for index in value.first..value.end {
                self.check_value(self.part(index))?;
            }
            return Ok(None);
        }
        // Behind the brace there is no comma; entries in front may not count.
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        text::write(self.out, key.of(self.event));
        self.out.push(b':');
        let kept = self.kept();
        self.value(value, at as usize, kept).map(Some)
    }

    /// Prints the next item of a list, or its end.
    fn item(&mut self, parts: Parts, mut pos: usize, empty: bool, kept: usize) -> Result<(), Halt> {
        let event = self.event;
        let mut index = parts.first;
        while index < parts.end {
            let range = self.part(index);
            let buf = &event[..range.end];
            pos = pos.max(range.start);
            while pos < buf.len() {
                let at = pos;
                let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
                if number != 1 {
                    self.read(at, wire::skip(buf, &mut pos, kind))?;
                    continue;
                }
                if kind != WireType::Len {
                    return Err(Halt::new(at, WRONG_WIRE_TYPE));
                }
                let value = self.read(at, wire::len_delimited(buf, &mut pos))?;
                if !empty {
                    self.out.push(b',');
                }
                let rest = Parts { first: index, ..parts };
                self.buffers.frames.push(Frame::List { parts: rest, pos, empty: false, kept });
                let first = self.kept();
                self.keep(value);
                self.value(Parts { first, end: first + 1 }, at, first)?;
                return Ok(());
            }
            // The next part may stand anywhere.
            (index, pos) = (index + 1, 0);
        }
        self.buffers.parts.truncate(kept);
        self.out.push(b']');
        Ok(())
    }

    pub(crate) fn open_list(&mut self, parts: Parts, kept: usize) -> Result<(), Halt> {
        self.out.push(b'[');
        self.open(parts, Frame::List { parts, pos: 0, empty: true, kept })
    }

    /// Keeps the members of an object, sorted, and begins to print it.
    pub(crate) fn open_object(&mut self, parts: Parts, kept: usize) -> Result<(), Halt> {
        let first = self.buffers.entries.len();
        for index in parts.first..parts.end {
            self.entries(self.part(index))?;
        }
        let event = self.event;
        let own = &mut self.buffers.entries[first..];
        own.sort_unstable_by(|a, b| {
            let keys = || a.key.of(event).cmp(b.key.of(event));
            // Of equal keys the one that stands last is the last.
            a.prefix.cmp(&b.prefix).then_with(keys).then(a.at.cmp(&b.at))
        });
        self.out.push(b'{');
        let end = self.buffers.entries.len();
        self.open(parts, Frame::Object { first, next: first, end, kept })
    }

    fn open(&mut self, parts: Parts, frame: Frame) -> Result<(), Halt> {
        if self.buffers.frames.len() == MAX_DEPTH {
            return Err(Halt::new(self.part(parts.first).start, TOO_DEEP));
        }
        self.buffers.frames.push(frame);
        Ok(())
    }

    /// Keeps the entries of a part of a Struct.
    fn entries(&mut self, range: Range<usize>) -> Result<(), Halt> {
        let event = self.event;
        let (buf, mut pos) = (&event[..range.end], range.start);
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
            if number != 1 {
                self.read(at, wire::skip(buf, &mut pos, kind))?;
                continue;
            }
            if kind != WireType::Len {
                return Err(Halt::new(at, WRONG_WIRE_TYPE));
            }
            let range = self.read(at, wire::len_delimited(buf, &mut pos))?;
            self.entry(range, at)?;
        }
        Ok(())
    }

    fn entry(&mut self, range: Range<usize>, entry_at: usize) -> Result<(), Halt> {
        let event = self.event;
        let first = self.kept();
        let mut key = Span::default();
        let (buf, mut pos) = (&event[..range.end], range.start);
        while pos < buf.len() {
            let at = pos;
            let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
            if number != 1 && number != 2 {
                self.read(at, wire::skip(buf, &mut pos, kind))?;
                continue;
            }
            if kind != WireType::Len {
                return Err(Halt::new(at, WRONG_WIRE_TYPE));
            }
            let range = self.read(at, wire::len_delimited(buf, &mut pos))?;
            if number == 1 {
                key = self.text(at, range)?;
            } else {
                self.keep(range);
            }
        }
        let value = Parts { first, end: self.kept() };
        let at = Halt::new(entry_at, "").at;
        self.buffers.entries.push(Entry { prefix: prefix(key.of(event)), key, value, at });
        Ok(())
    }

    pub(crate) fn drop_parts(&mut self, kept: usize) {
        self.buffers.parts.truncate(kept);
    }
}

impl Own {
    /// Takes what others want to know. Of all keys in an event these are told by name.
    fn take(&mut self, key: &[u8], plain: Plain) {
        match (key, plain) {
            (b"uid", Plain::Text(text)) => self.uid = Some(text),
            (b"sid", Plain::Text(text)) => self.session = text,
            (b"user", Plain::Text(text)) => self.login.user = text,
            (b"login", Plain::Text(text)) => self.login.login = text,
            (b"cluster_name", Plain::Text(text)) => self.login.cluster = text,
            (b"success", Plain::Flag(flag)) => self.login.success = Some(flag),
            _ => {}
        }
    }
}

/// The first eight bytes, so that their order is that of the texts as far as they go.
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}
