//! How far the frames were done, in a file that is never half written.
//!
//! Three slots of 512 bytes, each within one sector:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 8 | `evpos\0\0\x01`: magic and version |
//! | 8 | 8 | generation |
//! | 16 | 16 | the mark up to which everything is done |
//! | 32 | 8 | the number of the first frame that was never handed out |
//! | 40 | 4 | CRC32 of what is before |
//!
//! All little-endian. The sound slot with the highest generation counts. The slot that was synced
//! last is not written to before another one was, so that a machine that dies while the disk
//! writes leaves it whole; the other two take turns without waiting for the disk, so that the
//! death of the process alone loses nothing.

use std::fs::File;
use std::path::PathBuf;

use super::disk;
use super::error::SpillError;
use super::mark::Mark;

const SLOTS: u8 = 3;
const SLOT_BYTES: u64 = 512;
const USED_BYTES: usize = 44;
const MAGIC: [u8; 8] = *b"evpos\0\0\x01";

/// What a position file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Everything before it was written to the agent, or given up.
    pub(super) done: Mark,
    /// Frames from this number on were never handed out.
    pub(super) handed: u64,
}

/// The file, kept open.
#[derive(Debug)]
pub(super) struct Position {
    path: PathBuf,
    file: File,
    generation: u64,
    /// The slot written last.
    newest: u8,
    /// The slot that was synced last.
    safe: u8,
    /// Whether something was written since.
    dirty: bool,
    /// What stands in the newest slot, unless writing it failed.
    written: Option<Place>,
}

impl Position {
    /// Opens the file, or makes it; tells what it says, if it says anything.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Option<Place>), SpillError> {
        let file = disk::open_or_create(&path).map_err(SpillError::io("open", &path))?;
        let mut found: Option<(u8, u64, Place)> = None;
        for slot in 0..SLOTS {
            let mut bytes = [0; USED_BYTES];
            let read = disk::read_at(&file, &mut bytes, offset(slot));
            read.map_err(SpillError::io("read", &path))?;
            if let Some((generation, place)) = parse(&bytes)
                && found.is_none_or(|(_, newest, _)| generation > newest)
            {
                found = Some((slot, generation, place));
            }
        }
        let (slot, generation, place) = match found {
            Some((slot, generation, place)) => (slot, generation, Some(place)),
            None => (0, 0, None),
        };
        // Whether that slot is on the disk is not known, but no other is better.
        let position =
            Self { path, file, generation, newest: slot, safe: slot, dirty: false, written: place };
        Ok((position, place))
    }

    /// Writes a place, without waiting for the disk.
    pub(super) fn write(&mut self, place: Place) -> Result<(), SpillError> {
        if self.written == Some(place) {
            return Ok(());
        }
        let mut slot = (self.newest + 1) % SLOTS;
        if slot == self.safe {
            slot = (slot + 1) % SLOTS;
        }
        let generation = self.generation.saturating_add(1);
        // Whatever comes of it, this slot is not the newest sound one any more if it fails.
        self.written = None;
        disk::write_at(&self.file, &form(generation, place), offset(slot))
            .map_err(SpillError::io("write", &self.path))?;
        (self.generation, self.newest, self.dirty) = (generation, slot, true);
        self.written = Some(place);
        Ok(())
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), SpillError> {
        if self.dirty {
            disk::sync(&self.file).map_err(SpillError::io("sync", &self.path))?;
            (self.safe, self.dirty) = (self.newest, false);
        }
        Ok(())
    }
}

fn offset(slot: u8) -> u64 {
    u64::from(slot) * SLOT_BYTES
}

fn form(generation: u64, place: Place) -> [u8; USED_BYTES] {
    let mut bytes = [0; USED_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&generation.to_le_bytes());
    bytes[16..24].copy_from_slice(&place.done.frame.to_le_bytes());
    bytes[24..32].copy_from_slice(&place.done.byte.to_le_bytes());
    bytes[32..40].copy_from_slice(&place.handed.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..40]);
    bytes[40..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn parse(bytes: &[u8; USED_BYTES]) -> Option<(u64, Place)> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if !body.starts_with(&MAGIC) || crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(*body.get(at..)?.first_chunk()?));
    let done = Mark { frame: number(16)?, byte: number(24)? };
    Some((number(8)?, Place { done, handed: number(32)? }))
}
