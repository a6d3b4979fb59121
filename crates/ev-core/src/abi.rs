//! The contract between a host and a decoder module, ABI version 1, as plain data.
//!
//! Both sides use this module: the host that checks everything, and our own guest. Whoever writes
//! a module in another language needs nothing but this page.
//!
//! # The module
//!
//! A core WebAssembly module without imports and without a start function, with one 32-bit memory
//! that is exported. Integers are little-endian. A packed pointer is `address << 32 | length`.
//!
//! | export | type | meaning |
//! |---|---|---|
//! | `memory` | memory | all pointers lie in it |
//! | `ev_abi_version` | `() -> i32` | [`ABI_VERSION`] |
//! | `_initialize` | `() -> ()`, optional | called once, before anything else |
//! | `ev_alloc` | `(len: i32) -> i32` | a buffer of at least `len` bytes, valid until the next `ev_alloc`; 0 refuses |
//! | `ev_decode_batch` | `(ptr, len, flags: i32) -> i64` | packed pointer to the answer; 0 refuses the whole batch, see `ev_error` |
//! | `ev_describe` | `() -> i64` | packed pointer to a JSON object: `schema_sha256`, `events`, `producer`, … |
//! | `ev_error` | `() -> i64` | packed pointer to a short UTF-8 text: why the last call was refused |
//!
//! `len` and the answer's parts are unsigned 32-bit numbers. The answer stays valid until the next
//! call. A module may not keep anything of one call for the next, but a buffer that it gave out
//! serves for any number of batches, until the host asks for a larger one.
//!
//! # The question
//!
//! `u32 count`, then `count` times (`u32 length`, the bytes of one serialised `events.OneOf`), and
//! nothing behind. See [`write_batch`] and [`read_batch`]. The flags are [`CallFlags`].
//!
//! # The answer
//!
//! `count` records in the order of the events, without gaps and with nothing behind the last one.
//! A record is a [`Header`] of 64 bytes and what follows it:
//!
//! | offset | field |
//! |---|---|
//! | 0 | u32 length of the whole record: header, digest, login facts and payload |
//! | 4 | u32 [`Status`] |
//! | 8 | u32 field number of the `OneOf` case; 0 when the schema knows no case of the event |
//! | 12 | u32 reserved: written as 0, not looked at |
//! | 16 | u32 offset of the first trouble in the event; 0 when decoded |
//! | 20, 24 | u32 offset and u32 length of the event type in the event |
//! | 28, 32 | u32 offset and u32 length of the uid |
//! | 36, 40 | u32 offset and u32 length of the session id |
//! | 44 | u32 nanoseconds of the event's time |
//! | 48 | i64 index |
//! | 56 | i64 seconds of the event's time; year 1 (-62135596800) when it has none |
//!
//! Behind it, in this order and whatever the status:
//!
//! 1. if the uid's length is 0: 32 bytes, the SHA-256 of the `go` flavour's bytes, or zeros when
//!    those do not exist (nothing could be printed);
//! 2. if the flags ask for login facts: 28 bytes, [`write_login`];
//! 3. the payload, to the end of the record:
//!
//! | status | payload |
//! |---|---|
//! | decoded | the JSON object, from `{` to `}` |
//! | unknown | empty; in known-part mode the JSON object of the known part, if there is one |
//! | malformed, unprintable | UTF-8 text of what was wrong, at most [`MAX_TEXT_LEN`] bytes |
//!
//! So an unknown event has a known part exactly when its payload is not empty. The facts (case,
//! type, uid, session, time, index) are those of the event when the case is not 0, and are not
//! looked at when it is 0 or the event is malformed. Decoded events always have a case. The trouble
//! of an unknown event is the tag of the first unknown field; the path by field numbers follows
//! from it and the bytes ([`crate::peek::number_path`]).

use crate::{Flavour, LoginFacts, Mode, Span};

/// The version described here, what `ev_abi_version` returns and a manifest's `abi` says.
pub const ABI_VERSION: u32 = 1;

/// Name of the exported memory.
pub const EXPORT_MEMORY: &str = "memory";
/// `() -> i32`
pub const EXPORT_ABI_VERSION: &str = "ev_abi_version";
/// `() -> ()`, optional
pub const EXPORT_INITIALIZE: &str = "_initialize";
/// `(i32) -> i32`
pub const EXPORT_ALLOC: &str = "ev_alloc";
/// `(i32, i32, i32) -> i64`
pub const EXPORT_DECODE_BATCH: &str = "ev_decode_batch";
/// `() -> i64`
pub const EXPORT_DESCRIBE: &str = "ev_describe";
/// `() -> i64`
pub const EXPORT_ERROR: &str = "ev_error";

/// Length of a header in bytes.
pub const HEADER_LEN: usize = 64;
/// Length of the id digest in bytes.
pub const DIGEST_LEN: usize = 32;
/// Length of the login facts in bytes.
pub const LOGIN_LEN: usize = 28;
/// Longest text of what was wrong, in bytes.
pub const MAX_TEXT_LEN: usize = 512;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFlags {
    /// Bit 0: the `struct` flavour instead of `go`.
    pub flavour: Flavour,
    /// Bit 1: the known part of unknown events.
    pub mode: Mode,
    /// Bit 2: the login facts of each event.
    pub login: bool,
}

impl CallFlags {
    /// As the parameter of `ev_decode_batch`.
    pub fn to_bits(self) -> u32 {
        u32::from(self.flavour == Flavour::Struct)
            | u32::from(self.mode == Mode::KnownPart) << 1
            | u32::from(self.login) << 2
    }

    /// `None` for bits that this version does not define.
    pub fn from_bits(bits: u32) -> Option<Self> {
        (bits < 8).then_some(Self {
            flavour: if bits & 1 == 0 { Flavour::Go } else { Flavour::Struct },
            mode: if bits & 2 == 0 { Mode::Strict } else { Mode::KnownPart },
            login: bits & 4 != 0,
        })
    }
}

/// The four answers for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0
    Decoded,
    /// 1
    Unknown,
    /// 2
    Malformed,
    /// 3
    Unprintable,
}

impl Status {
    /// The number in the header.
    pub fn to_number(self) -> u32 {
        match self {
            Self::Decoded => 0,
            Self::Unknown => 1,
            Self::Malformed => 2,
            Self::Unprintable => 3,
        }
    }

    /// `None` for any other number.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Decoded),
            1 => Some(Self::Unknown),
            2 => Some(Self::Malformed),
            3 => Some(Self::Unprintable),
            _ => None,
        }
    }
}

/// The fixed part of a record, nothing in it checked but that its spans do not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the whole record in bytes.
    pub record_len: u32,
    /// [`Status`] as a number.
    pub status: u32,
    /// Field number of the `OneOf` case, or 0.
    pub case: u32,
    /// Offset of the first trouble.
    pub at: u32,
    /// Event type.
    pub kind: Span,
    /// Unique id.
    pub uid: Span,
    /// Session id.
    pub session: Span,
    /// Nanoseconds of the time.
    pub nanos: u32,
    /// Index within a session.
    pub index: i64,
    /// Seconds of the time.
    pub seconds: i64,
}

impl Header {
    /// The bytes as they stand in the answer.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let words = [
            self.record_len,
            self.status,
            self.case,
            0,
            self.at,
            self.kind.start,
            self.kind.end - self.kind.start,
            self.uid.start,
            self.uid.end - self.uid.start,
            self.session.start,
            self.session.end - self.session.start,
            self.nanos,
        ];
        for (slot, word) in bytes.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        bytes[48..56].copy_from_slice(&self.index.to_le_bytes());
        bytes[56..].copy_from_slice(&self.seconds.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` when offset and length of a span add up to more than 32 bits.
    pub fn from_bytes(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        Some(Self {
            record_len: word(bytes, 0),
            status: word(bytes, 4),
            case: word(bytes, 8),
            at: word(bytes, 16),
            kind: span(bytes, 20)?,
            uid: span(bytes, 28)?,
            session: span(bytes, 36)?,
            nanos: word(bytes, 44),
            index: long(bytes, 48),
            seconds: long(bytes, 56),
        })
    }
}

/// Login facts: three times (u32 offset, u32 length) for user, login and cluster name, and u32
/// success: 0 no, 1 yes, 2 when the event does not say.
pub fn write_login(login: &LoginFacts) -> [u8; LOGIN_LEN] {
    let success = match login.success {
        Some(success) => u32::from(success),
        None => 2,
    };
    let words = [
        login.user.start,
        login.user.end - login.user.start,
        login.login.start,
        login.login.end - login.login.start,
        login.cluster.start,
        login.cluster.end - login.cluster.start,
        success,
    ];
    let mut bytes = [0; LOGIN_LEN];
    for (slot, word) in bytes.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Reads what [`write_login`] wrote; `None` when a span wraps or success is another number.
pub fn read_login(bytes: &[u8; LOGIN_LEN]) -> Option<LoginFacts> {
    Some(LoginFacts {
        user: span(bytes, 0)?,
        login: span(bytes, 8)?,
        cluster: span(bytes, 16)?,
        success: match word(bytes, 24) {
            0 => Some(false),
            1 => Some(true),
            2 => None,
            _ => return None,
        },
    })
}

/// A packed pointer: address and length.
pub fn pack(address: u32, len: u32) -> i64 {
    (u64::from(address) << 32 | u64::from(len)).cast_signed()
}

/// Address and length of a packed pointer.
pub fn unpack(packed: i64) -> (u32, u32) {
    let bytes = packed.cast_unsigned().to_le_bytes();
    (word(&bytes, 4), word(&bytes, 0))
}

/// Length of the question for these events; `None` when it does not fit 32 bits.
pub fn batch_len<'a>(events: impl IntoIterator<Item = &'a [u8]>) -> Option<u32> {
    events.into_iter().try_fold(4u32, |sum, event| {
        sum.checked_add(4)?.checked_add(u32::try_from(event.len()).ok()?)
    })
}

/// Writes the question into `buf`, which has exactly [`batch_len`] bytes.
///
/// Returns whether it fitted; if not, what is in `buf` is of no use.
pub fn write_batch<'a>(
    events: impl ExactSizeIterator<Item = &'a [u8]>,
    mut buf: &mut [u8],
) -> bool {
    fn put<'b>(buf: &'b mut [u8], bytes: &[u8]) -> Option<&'b mut [u8]> {
        let (head, tail) = buf.split_at_mut_checked(bytes.len())?;
        head.copy_from_slice(bytes);
        Some(tail)
    }
    let Ok(count) = u32::try_from(events.len()) else { return false };
    let Some(rest) = put(buf, &count.to_le_bytes()) else { return false };
    buf = rest;
    for event in events {
        let Ok(len) = u32::try_from(event.len()) else { return false };
        let Some(rest) = put(buf, &len.to_le_bytes()).and_then(|rest| put(rest, event)) else {
            return false;
        };
        buf = rest;
    }
    buf.is_empty()
}

/// The events of a question; `None` when lengths and count do not add up exactly.
pub fn read_batch(question: &[u8]) -> Option<Questions<'_>> {
    let (count, rest) = question.split_first_chunk::<4>()?;
    let questions = Questions { left: u32::from_le_bytes(*count), rest };
    let mut all = questions.clone();
    // Each step takes four bytes at least, whatever the count claims.
    while all.left > 0 {
        all.next()?;
    }
    all.rest.is_empty().then_some(questions)
}

/// The events of one question, in order: see [`read_batch`].
#[derive(Clone, Debug)]
pub struct Questions<'a> {
    left: u32,
    rest: &'a [u8],
}

impl<'a> Iterator for Questions<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (len, tail) = self.rest.split_first_chunk::<4>()?;
        let (event, tail) =
            tail.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        self.rest = tail;
        Some(event)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

/// [`read_batch`] has seen that all of them are there.
impl ExactSizeIterator for Questions<'_> {}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn long(bytes: &[u8], at: usize) -> i64 {
    let mut long = [0; 8];
    long.copy_from_slice(&bytes[at..at + 8]);
    i64::from_le_bytes(long)
}

fn span(bytes: &[u8], at: usize) -> Option<Span> {
    let start = word(bytes, at);
    Some(Span { start, end: start.checked_add(word(bytes, at + 4))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            record_len: 99,
            status: 3,
            case: 271,
            at: 17,
            kind: Span { start: 4, end: 9 },
            uid: Span { start: 11, end: 47 },
            session: Span { start: 50, end: 50 },
            nanos: 999_999_999,
            index: i64::MIN,
            seconds: -62_135_596_800,
        }
    }

    #[test]
    fn headers_stand_as_the_table_says() {
        let bytes = header().to_bytes();
        assert_eq!(Header::from_bytes(&bytes), Some(header()));
        assert_eq!(bytes[..8], [99, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(bytes[16], 17, "offset of the trouble");
        assert_eq!([bytes[20], bytes[24]], [4, 5], "offset and length of the type");
        assert_eq!([bytes[28], bytes[32]], [11, 36], "offset and length of the uid");
        assert_eq!([bytes[36], bytes[40]], [50, 0], "offset and length of the session id");
        assert_eq!(bytes[44..48], 999_999_999u32.to_le_bytes());
        assert_eq!(bytes[48..56], i64::MIN.to_le_bytes());
        assert_eq!(bytes[56..], (-62_135_596_800i64).to_le_bytes());
    }

    #[test]
    fn a_span_that_wraps_is_no_header() {
        for at in [20, 28, 36] {
            let mut bytes = header().to_bytes();
            bytes[at..at + 8].fill(0xff);
            assert_eq!(Header::from_bytes(&bytes), None);
        }
    }

    #[test]
    fn flags_and_packed_pointers_come_back() {
        for bits in 0..8 {
            assert_eq!(CallFlags::from_bits(bits).map(CallFlags::to_bits), Some(bits));
        }
        assert_eq!(CallFlags::from_bits(8), None);
        for pair in [(0, 0), (65_536, 17), (u32::MAX, u32::MAX)] {
            assert_eq!(unpack(pack(pair.0, pair.1)), pair);
        }
        for number in 0..4 {
            assert_eq!(Status::from_number(number).map(Status::to_number), Some(number));
        }
        assert_eq!(Status::from_number(4), None);
    }

    #[test]
    fn login_facts_come_back() {
        for success in [None, Some(false), Some(true)] {
            let login = LoginFacts {
                user: Span { start: 1, end: 3 },
                login: Span { start: 9, end: 9 },
                cluster: Span { start: 20, end: 40 },
                success,
            };
            assert_eq!(read_login(&write_login(&login)), Some(login));
        }
        let mut bytes = write_login(&LoginFacts::default());
        bytes[24] = 3;
        assert_eq!(read_login(&bytes), None);
    }

    #[test]
    fn questions_add_up_exactly() {
        let events: [&[u8]; 3] = [b"abc", b"", b"\x00\xff"];
        let len = batch_len(events).expect("a small batch") as usize;
        let mut question = vec![0; len];
        assert!(write_batch(events.into_iter(), &mut question));
        let read = read_batch(&question).map(Iterator::collect::<Vec<_>>);
        assert_eq!(read.as_deref(), Some(&events[..]));
        assert!(!write_batch(events.into_iter(), &mut vec![0; len - 1]));
        assert!(!write_batch(events.into_iter(), &mut vec![0; len + 1]));
        for cut in 0..len {
            assert!(read_batch(&question[..cut]).is_none(), "cut at {cut}");
        }
        question.push(0);
        assert!(read_batch(&question).is_none());
    }
}
