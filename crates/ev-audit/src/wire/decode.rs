//! Frames back into messages.
//!
//! Reading goes straight into the types, and takes bytes as they come: what ends too early is no
//! error, but not there yet. Hostile bytes cost no more than a multiple of themselves, since no
//! length is believed before its bytes are there, and a bounded depth of recursion.

use std::collections::BTreeMap;

use super::cursor::{Cursor, Stop, Type};
use super::departure::{Departure, FormRule};
use super::error::{DecodeError, DecodeErrorKind};
use super::layout::{
    HEAD_CONTROL, HEAD_DATA, HEAD_DIAGNOSTIC, HEAD_HEARTBEAT, MAX_DEPTH, MAX_FRAME_BYTES, TRAILER,
};
use super::message::{Message, Plane};
use crate::model::{Kind, Time, Value};

/// Containers around a value of custom data in a frame: frame, entries, entry, record and the map
/// of custom data.
const FRAME_LEVELS: usize = 5;

/// Seconds of the last year with four digits.
const LAST_SECOND: i64 = 253_402_300_799;

/// Departures of a frame that are told in words; more of them are counted.
pub const MAX_DEPARTURES: usize = 200;

/// Characters of a text out of a frame that are repeated in words.
const SHOWN_CHARS: usize = 60;

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Its entries; a client sends one, and this is not among the departures.
    pub messages: Vec<Message>,
    /// What is not as it should be, up to [`MAX_DEPARTURES`].
    pub departures: Vec<Departure>,
    /// How many more departures there are, by rule.
    pub more_departures: BTreeMap<FormRule, u64>,
    /// The bytes of the frame.
    pub len: usize,
}

/// Reads the frame with one entry at the start of `bytes`: its message and its bytes. Nothing
/// when more bytes are needed.
///
/// It is lenient in what does not change the meaning: longer headers than needed, other orders of
/// keys, keys that are missing or unknown. [`decode_frame`] tells of these.
///
/// # Errors
///
/// The bytes are no frame, whatever follows them; or the frame has not one entry.
pub fn decode(bytes: &[u8]) -> Result<Option<(Message, usize)>, DecodeError> {
    let Some(Decoded { mut messages, len, .. }) = read(bytes, MAX_FRAME_BYTES, false)? else {
        return Ok(None);
    };
    match (messages.pop(), messages.len()) {
        (Some(message), 0) => Ok(Some((message, len))),
        (last, others) => {
            let count = others + usize::from(last.is_some());
            let kind = DecodeErrorKind::Count { what: "the list of entries", count, wanted: 1 };
            Err(DecodeError::new(kind, HEAD_DATA.len()))
        }
    }
}

/// Reads the frame at the start of `bytes` with all its entries, and tells what in it is not as
/// it should be. Nothing when more bytes are needed.
///
/// # Errors
///
/// The bytes are no frame of at most `max_bytes`, whatever follows them.
pub fn decode_frame(bytes: &[u8], max_bytes: usize) -> Result<Option<Decoded>, DecodeError> {
    read(bytes, max_bytes, true)
}

/// The bytes of the value at the start of `bytes`, be it a frame or not; nothing when more bytes
/// are needed. A receiver passes over what it cannot read with it.
///
/// # Errors
///
/// The end of the value cannot be found, or it has more than `max_bytes`.
pub fn frame_len(bytes: &[u8], max_bytes: usize) -> Result<Option<usize>, DecodeError> {
    let mut cursor = Cursor::new(bytes, max_bytes);
    let skipped = cursor.skip(MAX_DEPTH + FRAME_LEVELS);
    or_short(skipped.map(|()| cursor.at()))
}

fn or_short<T>(read: Result<T, Stop>) -> Result<Option<T>, DecodeError> {
    match read {
        Ok(it) => Ok(Some(it)),
        Err(Stop::Short) => Ok(None),
        Err(Stop::Error(error)) => Err(error),
    }
}

fn read(bytes: &[u8], max_bytes: usize, tells: bool) -> Result<Option<Decoded>, DecodeError> {
    let mut decoder = Decoder {
        cursor: Cursor::new(bytes, max_bytes),
        tells,
        departures: Vec::new(),
        more: BTreeMap::new(),
    };
    let messages = decoder.frame();
    let Decoder { cursor, departures, more: more_departures, .. } = decoder;
    let len = cursor.at();
    or_short(messages.map(|messages| Decoded { messages, departures, more_departures, len }))
}

/// The beginning of a text that somebody else wrote, which may be as long as a frame.
pub(super) fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// What a tag announces.
#[derive(Clone, Copy)]
enum Tag {
    Record(Plane),
    Heartbeat,
    Diagnostic,
}

pub(super) struct Decoder<'a> {
    pub(super) cursor: Cursor<'a>,
    /// Whether departures are wanted.
    tells: bool,
    departures: Vec<Departure>,
    /// Departures that are only counted.
    more: BTreeMap<FormRule, u64>,
}

impl<'a> Decoder<'a> {
    pub(super) fn tell(&mut self, rule: FormRule, offset: usize, detail: impl FnOnce() -> String) {
        if self.departures.len() < MAX_DEPARTURES {
            self.tell_if(rule, offset, || Some(detail()));
        } else if self.tells {
            *self.more.entry(rule).or_default() += 1;
        }
    }

    /// As [`tell`](Self::tell) when there is something to tell; finding out costs something.
    pub(super) fn tell_if(
        &mut self,
        rule: FormRule,
        offset: usize,
        detail: impl FnOnce() -> Option<String>,
    ) {
        if self.tells
            && let Some(detail) = detail()
        {
            if self.departures.len() < MAX_DEPARTURES {
                self.departures.push(Departure { rule, offset, detail });
            } else {
                *self.more.entry(rule).or_default() += 1;
            }
        }
    }

    fn frame(&mut self) -> Result<Vec<Message>, Stop> {
        self.counted("the frame", 3)?;
        let tag = self.tag()?;
        let count = self.array("the list of entries")?;
        let mut messages = Vec::new();
        for _ in 0..count {
            messages.push(self.entry(tag)?);
        }
        self.options()?;
        Ok(messages)
    }

    fn tag(&mut self) -> Result<Tag, Stop> {
        let at = self.cursor.at();
        let tag = self.text("the tag")?.as_bytes();
        // The heads are the header of the array, that of the text, the tag.
        if tag == &HEAD_DATA[2..] {
            Ok(Tag::Record(Plane::Data))
        } else if tag == &HEAD_CONTROL[2..] {
            Ok(Tag::Record(Plane::Control))
        } else if tag == &HEAD_HEARTBEAT[2..] {
            Ok(Tag::Heartbeat)
        } else if tag == &HEAD_DIAGNOSTIC[2..] {
            Ok(Tag::Diagnostic)
        } else {
            self.cursor.fail(at, DecodeErrorKind::Tag)
        }
    }

    fn entry(&mut self, tag: Tag) -> Result<Message, Stop> {
        self.counted("an entry", 2)?;
        let seconds = self.seconds()?;
        match tag {
            Tag::Record(plane) => {
                let (service, record) = self.record()?;
                Ok(Message::Record { plane, service, seconds, record: Box::new(record) })
            }
            Tag::Heartbeat => Ok(Message::Heartbeat { seconds, heartbeat: self.heartbeat()? }),
            Tag::Diagnostic => {
                self.fields("a diagnostic message", &[], None, |_, _| Ok(()))?;
                Ok(Message::Diagnostic { seconds })
            }
        }
    }

    fn seconds(&mut self) -> Result<i64, Stop> {
        let at = self.cursor.at();
        let (head, found) = self.cursor.peek()?;
        if head != 0xd3 {
            self.tell(FormRule::TimeForm, at, || format!("seconds start with {head:02x}"));
        }
        let is_signed = |value: &Value| match *value {
            Value::I8(it) => Some(it.into()),
            Value::I16(it) => Some(it.into()),
            Value::I32(it) => Some(it.into()),
            Value::I64(it) => Some(it),
            Value::U8(it) => Some(it.into()),
            Value::U16(it) => Some(it.into()),
            Value::U32(it) => Some(it.into()),
            Value::U64(it) => i64::try_from(it).ok(),
            Value::Time(it) => Some(it.seconds()),
            _ => None,
        };
        let value = match found {
            Type::FixInt | Type::Int | Type::Uint | Type::Ext => self.scalar()?,
            _ => Value::Nil,
        };
        let Some(seconds) = is_signed(&value) else {
            return self.wrong_type("the time of an entry", at, found, "signed integer");
        };
        if !(0..=LAST_SECOND).contains(&seconds) {
            self.tell(FormRule::TimeRange, at, || format!("second {seconds}"));
        }
        Ok(seconds)
    }

    /// `{"TimeFormat": "DateTime"}`.
    fn options(&mut self) -> Result<(), Stop> {
        if self.cursor.rest().starts_with(TRAILER) {
            return self.cursor.take(TRAILER.len()).map(drop);
        }
        let start = self.cursor.at();
        let count = self.map("the options")?;
        let mut has_format = false;
        for _ in 0..count {
            let at = self.cursor.at();
            let key = self.text("a key of the options")?;
            let is_format = key == "TimeFormat";
            if is_format && !has_format {
                has_format = true;
                let format = self.text("TimeFormat")?;
                if format != "DateTime" {
                    self.tell(FormRule::Envelope, at, || {
                        format!("TimeFormat is {:?}", shown(format))
                    });
                }
            } else {
                self.tell(FormRule::Envelope, at, || format!("option {:?}", shown(key)));
                self.cursor.skip(MAX_DEPTH)?;
            }
        }
        if !has_format {
            self.tell(FormRule::Envelope, start, || "no TimeFormat".to_owned());
        }
        Ok(())
    }

    /// Reads a map whose keys have fixed places: `each` is called at the value of a key, with its
    /// place.
    pub(super) fn fields(
        &mut self,
        what: &'static str,
        keys: &[&[u8]],
        optional: Option<usize>,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let start = self.cursor.at();
        let count = self.map(what)?;
        let mut seen = 0_u32;
        let mut next = 0;
        for _ in 0..count {
            let at = self.cursor.at();
            let rest = self.cursor.rest();
            // Mostly it is the key that is due.
            let due = |place: usize| keys.get(place).is_some_and(|key| rest.starts_with(key));
            let place = if due(next) {
                Some(next)
            } else {
                (optional == Some(next) && due(next + 1)).then_some(next + 1)
            };
            let place = match place {
                Some(place) => {
                    self.cursor.take(keys[place].len())?;
                    place
                }
                None => {
                    let key = self.text(what)?;
                    let place = keys.iter().position(|known| known[1..] == *key.as_bytes());
                    let Some(place) = place else {
                        self.tell(FormRule::KeyUnknown, at, || {
                            format!("{what} has {:?}", shown(key))
                        });
                        self.cursor.skip(MAX_DEPTH)?;
                        continue;
                    };
                    if place < next {
                        self.tell(FormRule::KeyOrder, at, || format!("{key:?} comes late"));
                    }
                    place
                }
            };
            if seen & 1 << place != 0 {
                return self.cursor.fail(at, DecodeErrorKind::DuplicateKey { what });
            }
            seen |= 1 << place;
            next = next.max(place + 1);
            each(self, place)?;
        }
        if self.tells {
            for (place, key) in keys.iter().enumerate() {
                if seen & 1 << place == 0 && optional != Some(place) {
                    let name = String::from_utf8_lossy(&key[1..]);
                    self.tell(FormRule::KeyMissing, start, || format!("{what} lacks {name:?}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn kind<K: Kind + ToString>(&mut self, what: &'static str) -> Result<K, Stop> {
        let at = self.cursor.at();
        let name = self.text(what)?;
        let Ok(kind) = name.parse::<K>() else {
            return self.cursor.fail(at, DecodeErrorKind::Name { what });
        };
        if self.tells && kind.name() != Some(name) && kind.to_string() != name {
            self.tell(FormRule::Enum, at, || format!("{name:?} instead of {:?}", kind.to_string()));
        }
        Ok(kind)
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, Stop> {
        let at = self.cursor.at();
        let (_, found) = self.cursor.peek()?;
        if found != Type::Str {
            return self.wrong_type(what, at, found, "text");
        }
        let bytes = self.sized(at)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => self.cursor.fail(at, DecodeErrorKind::Utf8 { what }),
        }
    }

    /// An array with this number of entries.
    fn counted(&mut self, what: &'static str, wanted: usize) -> Result<(), Stop> {
        let at = self.cursor.at();
        let count = self.array(what)?;
        if count != wanted {
            return self.cursor.fail(at, DecodeErrorKind::Count { what, count, wanted });
        }
        Ok(())
    }

    fn array(&mut self, what: &'static str) -> Result<usize, Stop> {
        let at = self.cursor.at();
        match self.container(what, Type::Array)? {
            Some(count) => Ok(count),
            None => self.wrong_type(what, at, Type::Nil, Type::Array.name()),
        }
    }

    fn map(&mut self, what: &'static str) -> Result<usize, Stop> {
        let at = self.cursor.at();
        match self.container(what, Type::Map)? {
            Some(count) => Ok(count),
            None => self.wrong_type(what, at, Type::Nil, Type::Map.name()),
        }
    }

    /// The number of entries of an array or a map, nothing for nil.
    pub(super) fn container(
        &mut self,
        what: &'static str,
        wanted: Type,
    ) -> Result<Option<usize>, Stop> {
        let at = self.cursor.at();
        match self.cursor.peek()? {
            (_, Type::Nil) => self.cursor.take(1).map(|_| None),
            (_, found) if found == wanted => self.counted_length(at).map(Some),
            (_, found) => self.wrong_type(what, at, found, wanted.name()),
        }
    }

    fn wrong_type<T>(
        &self,
        what: &'static str,
        at: usize,
        found: Type,
        wanted: &'static str,
    ) -> Result<T, Stop> {
        self.cursor.fail(at, DecodeErrorKind::Type { what, found: found.name(), wanted })
    }

    fn counted_length(&mut self, at: usize) -> Result<usize, Stop> {
        let length = self.cursor.length()?;
        if length.is_long_form {
            self.tell(FormRule::Form, at, || format!("a long header for {}", length.len));
        }
        Ok(length.len)
    }

    fn sized(&mut self, at: usize) -> Result<&'a [u8], Stop> {
        let len = self.counted_length(at)?;
        self.cursor.take(len)
    }

    /// A value of custom data, around which `levels` containers may still stand.
    pub(super) fn value(&mut self, levels: usize) -> Result<Value, Stop> {
        let at = self.cursor.at();
        let (_, found) = self.cursor.peek()?;
        if !matches!(found, Type::Array | Type::Map) {
            return self.scalar();
        }
        let Some(levels) = levels.checked_sub(1) else {
            return self.cursor.fail(at, DecodeErrorKind::TooDeep { limit: MAX_DEPTH });
        };
        let count = self.counted_length(at)?;
        if found == Type::Array {
            let mut entries = Vec::new();
            for _ in 0..count {
                entries.push(self.value(levels)?);
            }
            return Ok(Value::Array(entries));
        }
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let at = self.cursor.at();
            let key = self.value(levels)?;
            let entry = self.value(levels)?;
            if entries.insert(key, entry).is_some() {
                let what = "a map of custom data";
                return self.cursor.fail(at, DecodeErrorKind::DuplicateKey { what });
            }
        }
        Ok(Value::Map(entries))
    }

    /// A value that is no container.
    fn scalar(&mut self) -> Result<Value, Stop> {
        let at = self.cursor.at();
        let (head, found) = self.cursor.peek()?;
        match found {
            Type::Str => return self.text("a text of custom data").map(Value::from),
            Type::Bin => return self.sized(at).map(Value::from),
            Type::Ext => return self.time(at).map(Value::Time),
            _ => {}
        }
        self.cursor.take(1)?;
        let cursor = &mut self.cursor;
        Ok(match head {
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xca => Value::F32(f32::from_be_bytes(cursor.bytes()?)),
            0xcb => Value::F64(f64::from_be_bytes(cursor.bytes()?)),
            0xcc => Value::U8(u8::from_be_bytes(cursor.bytes()?)),
            0xcd => Value::U16(u16::from_be_bytes(cursor.bytes()?)),
            0xce => Value::U32(u32::from_be_bytes(cursor.bytes()?)),
            0xcf => Value::U64(u64::from_be_bytes(cursor.bytes()?)),
            0xd0 => Value::I8(i8::from_be_bytes(cursor.bytes()?)),
            0xd1 => Value::I16(i16::from_be_bytes(cursor.bytes()?)),
            0xd2 => Value::I32(i32::from_be_bytes(cursor.bytes()?)),
            0xd3 => Value::I64(i64::from_be_bytes(cursor.bytes()?)),
            0xc0 => Value::Nil,
            // What is left are the compact integers.
            _ => {
                self.tell(FormRule::FixInt, at, || format!("compact integer {head:02x}"));
                Value::I8(head.cast_signed())
            }
        })
    }

    /// The three forms of the extension type -1.
    fn time(&mut self, at: usize) -> Result<Time, Stop> {
        let (number, data) = self.cursor.extension()?;
        if number != -1 {
            return self.cursor.fail(at, DecodeErrorKind::Extension { number });
        }
        let (time, is_shortest) = if let Ok(seconds) = <[u8; 4]>::try_from(data) {
            (Time::new(u32::from_be_bytes(seconds).into(), 0), true)
        } else if let Ok(both) = <[u8; 8]>::try_from(data) {
            let both = u64::from_be_bytes(both);
            let nanos = u32::try_from(both >> 34).unwrap_or(u32::MAX);
            let seconds = (both & 0x3_ffff_ffff).cast_signed();
            (Time::new(seconds, nanos), nanos != 0 || seconds >> 32 != 0)
        } else if let Some((nanos, seconds)) = data.split_first_chunk::<4>() {
            let seconds = <[u8; 8]>::try_from(seconds).ok().map(i64::from_be_bytes);
            let time = seconds.and_then(|seconds| Time::new(seconds, u32::from_be_bytes(*nanos)));
            (time, seconds.is_some_and(|seconds| seconds >> 34 != 0))
        } else {
            (None, true)
        };
        let Some(time) = time else { return self.cursor.fail(at, DecodeErrorKind::Time) };
        if !is_shortest {
            self.tell(FormRule::Form, at, || "a long form of a time".to_owned());
        }
        Ok(time)
    }
}
