//! A segment file: a header and entries, each a block of whole frames.
//!
//! All numbers are little-endian. The header stands twice, so that one damaged byte does not cost
//! the whole file:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 8 | `ev-spill` |
//! | 8 | 4 | version: 1 |
//! | 12 | 8 | number of the segment |
//! | 20 | 16 | mark of its first frame |
//! | 36 | 8 | when it was made, seconds since 1970 |
//! | 44 | 8 | salt |
//! | 52 | 4 | CRC32 of what is before |
//!
//! Behind both copies (112 bytes) stand the entries:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 8 | the salt |
//! | 8 | 4 | number of frames, n |
//! | 12 | 4 | bytes of frames, b |
//! | 16 | 16 | mark of the first frame |
//! | 32 | 4 | CRC32 of the body |
//! | 36 | 4 | CRC32 of the header before it |
//! | 40 | 4 n | where each frame ends, counted from the first frame's beginning |
//! | 40 + 4 n | b | the frames |
//!
//! The salt is new for each segment and never leaves the disk. Behind damage the next entry is
//! looked for byte by byte, and whoever may choose what stands in a frame could otherwise put an
//! entry of his own into it.

use super::mark::{Amount, Mark};

/// Bytes before the first entry.
pub(super) const HEADER_BYTES: u64 = HEADER_SIZE as u64;
/// The same, as a length in memory.
pub(super) const HEADER_SIZE: usize = 2 * COPY_BYTES;
/// Bytes of an entry before its body.
pub(super) const ENTRY_BYTES: usize = 40;

const COPY_BYTES: usize = 56;
const MAGIC: [u8; 8] = *b"ev-spill";
const VERSION: u32 = 1;
/// Versions above are taken for damage.
const HIGHEST_VERSION: u32 = 1000;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    /// Mark of its first frame.
    pub(super) first: Mark,
    /// When it was made, seconds since 1970.
    pub(super) created: i64,
    pub(super) salt: [u8; 8],
}

/// Why a header says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// It is torn or damaged.
    Damaged,
    /// A newer program wrote it.
    Newer(u32),
}

impl Header {
    pub(super) fn form(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 * COPY_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        push_mark(&mut bytes, self.first);
        bytes.extend_from_slice(&self.created.to_le_bytes());
        bytes.extend_from_slice(&self.salt);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_within(..);
        bytes
    }

    /// Reads the header of segment `number` from the beginning of a file, or what there is of it.
    pub(super) fn parse(bytes: &[u8], number: u64) -> Result<Self, BadHeader> {
        let copies = bytes.chunks_exact(COPY_BYTES).take(2);
        if let Some(header) = copies.filter_map(parse_copy).find(|h| h.number == number) {
            return Ok(header);
        }
        match (bytes.strip_prefix(&MAGIC), number_at(bytes, 8)) {
            (Some(_), Some(version)) if (2..=HIGHEST_VERSION).contains(&version) => {
                Err(BadHeader::Newer(version))
            }
            _ => Err(BadHeader::Damaged),
        }
    }
}

fn parse_copy(copy: &[u8]) -> Option<Header> {
    let (body, crc) = copy.split_last_chunk::<4>()?;
    let sound = crc32fast::hash(body) == u32::from_le_bytes(*crc);
    if !sound || !body.starts_with(&MAGIC) || number_at(body, 8)? != VERSION {
        return None;
    }
    Some(Header {
        number: long_at(body, 12)?,
        first: mark_at(body, 20)?,
        created: i64::from_le_bytes(*body.get(36..)?.first_chunk()?),
        salt: *body.get(44..)?.first_chunk()?,
    })
}

/// What an entry says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) first: Mark,
    pub(super) frames: u32,
    pub(super) bytes: u32,
    crc: u32,
}

impl Entry {
    /// Appends an entry of these frames to `out`. `ends` tells where each ends, counted from
    /// `start`, which is where the first begins.
    pub(super) fn form(
        out: &mut Vec<u8>,
        salt: [u8; 8],
        first: Mark,
        frames: &[u8],
        ends: &[u32],
        start: u32,
    ) {
        let begin = out.len();
        out.extend_from_slice(&salt);
        out.extend_from_slice(&small(ends.len()).to_le_bytes());
        out.extend_from_slice(&small(frames.len()).to_le_bytes());
        push_mark(out, first);
        let crc_at = out.len();
        out.extend_from_slice(&[0; 8]);
        let body_at = out.len();
        out.extend(ends.iter().flat_map(|end| (end - start).to_le_bytes()));
        out.extend_from_slice(frames);
        let crc = crc32fast::hash(&out[body_at..]);
        out[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&out[begin..crc_at + 4]);
        out[crc_at + 4..body_at].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the header of an entry, if it is a sound one of the segment with that salt.
    pub(super) fn parse(bytes: &[u8], salt: [u8; 8]) -> Option<Self> {
        let bytes: &[u8; ENTRY_BYTES] = bytes.first_chunk()?;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if !body.starts_with(&salt) || crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let entry = Self {
            frames: number_at(body, 8)?,
            bytes: number_at(body, 12)?,
            first: mark_at(body, 16)?,
            crc: number_at(body, 32)?,
        };
        (entry.frames > 0).then_some(entry)
    }

    /// Whether the body is as it was written, and its ends are ends.
    pub(super) fn holds(&self, body: &[u8]) -> bool {
        let mut last = 0;
        let mut ascends = |end: u32| std::mem::replace(&mut last, end) < end;
        body.len() as u64 == self.body_bytes()
            && crc32fast::hash(body) == self.crc
            && (0..self.frames).all(|index| self.end(body, index).is_some_and(&mut ascends))
            && last == self.bytes
    }

    /// Where frame `index` ends, counted from the first frame's beginning.
    pub(super) fn end(&self, body: &[u8], index: u32) -> Option<u32> {
        number_at(body, index as usize * 4)
    }

    /// Mark before frame `index`.
    pub(super) fn before(&self, body: &[u8], index: u32) -> Mark {
        let last = index.checked_sub(1).and_then(|last| self.end(body, last));
        let bytes = u64::from(last.unwrap_or_default());
        self.first.after(Amount { frames: u64::from(index), bytes })
    }

    /// Where frames begin in the body.
    pub(super) fn table_bytes(&self) -> usize {
        self.frames as usize * 4
    }

    pub(super) fn body_bytes(&self) -> u64 {
        u64::from(self.frames) * 4 + u64::from(self.bytes)
    }

    /// All of it in the file.
    pub(super) fn size(&self) -> u64 {
        ENTRY_BYTES as u64 + self.body_bytes()
    }

    /// Mark behind its last frame.
    pub(super) fn behind(&self) -> Mark {
        let (frames, bytes) = (u64::from(self.frames), u64::from(self.bytes));
        self.first.after(Amount { frames, bytes })
    }
}

/// Bytes that an entry of so many frames takes.
pub(super) fn entry_size(frames: usize, bytes: usize) -> u64 {
    (ENTRY_BYTES + 4 * frames + bytes) as u64
}

fn push_mark(out: &mut Vec<u8>, mark: Mark) {
    out.extend_from_slice(&mark.frame.to_le_bytes());
    out.extend_from_slice(&mark.byte.to_le_bytes());
}

fn mark_at(bytes: &[u8], at: usize) -> Option<Mark> {
    Some(Mark { frame: long_at(bytes, at)?, byte: long_at(bytes, at + 8)? })
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Lengths within a block, whose ends are 32 bits wide.
fn small(len: usize) -> u32 {
    u32::try_from(len).expect("a block is shorter than 4 GiB: its ends are 32 bits wide")
}
