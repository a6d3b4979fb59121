//! From one sound entry of a segment to the next.

use std::fs::File;
use std::io;

use super::disk;
use super::segment::{ENTRY_BYTES, Entry, HEADER_BYTES};

/// How much is looked through at once for the entry behind damage.
const WINDOW_BYTES: usize = 64 * 1024;

/// A segment that is being read.
#[derive(Debug)]
pub(super) struct Walker {
    file: File,
    number: u64,
    salt: [u8; 8],
    offset: u64,
}

impl Walker {
    /// Begins at the first entry.
    pub(super) fn new(file: File, number: u64, salt: [u8; 8]) -> Self {
        Self { file, number, salt, offset: HEADER_BYTES }
    }

    /// Number of the segment.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Where the next entry should begin.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes there.
    pub(super) fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Goes to the next sound entry that holds frames from number `from` on and begins before
    /// `until`, and reads its body. Damage is passed over; the marks tell what was in it.
    pub(super) fn next(
        &mut self,
        from: u64,
        until: u64,
        body: &mut Vec<u8>,
    ) -> io::Result<Option<Entry>> {
        loop {
            match self.header()? {
                Some(entry) if entry.first.frame >= until => return Ok(None),
                Some(entry) if entry.behind().frame <= from => self.offset += entry.size(),
                Some(entry) if self.read_body(&entry, body)? => {
                    self.offset += entry.size();
                    return Ok(Some(entry));
                }
                // Never by the length that stands in a damaged entry: bytes may be missing.
                Some(_) | None => match self.search()? {
                    Some(offset) => self.offset = offset,
                    None => return Ok(None),
                },
            }
        }
    }

    /// The header at the offset, if a sound one is there.
    pub(super) fn header(&self) -> io::Result<Option<Entry>> {
        let mut bytes = [0; ENTRY_BYTES];
        let read = disk::read_at(&self.file, &mut bytes, self.offset)?;
        Ok(Entry::parse(&bytes[..read], self.salt))
    }

    /// Reads the body of the entry at the offset; false if it is torn or damaged.
    fn read_body(&self, entry: &Entry, body: &mut Vec<u8>) -> io::Result<bool> {
        let len = self.file.metadata()?.len();
        let fits = self.offset.checked_add(entry.size()).is_some_and(|end| end <= len);
        let Some(bytes) = usize::try_from(entry.body_bytes()).ok().filter(|_| fits) else {
            return Ok(false);
        };
        body.resize(bytes, 0);
        let read = disk::read_at(&self.file, body, self.offset + ENTRY_BYTES as u64)?;
        Ok(read == bytes && entry.holds(body))
    }

    /// Where the next sound header is, behind the offset.
    fn search(&self) -> io::Result<Option<u64>> {
        let mut window = vec![0; WINDOW_BYTES];
        let mut begin = self.offset.saturating_add(1);
        loop {
            let read = disk::read_at(&self.file, &mut window, begin)?;
            let mut places = window[..read].windows(ENTRY_BYTES);
            if let Some(at) = places.position(|place| Entry::parse(place, self.salt).is_some()) {
                return Ok(Some(begin + at as u64));
            }
            if read < window.len() {
                return Ok(None);
            }
            // A header may lie across the border.
            begin += (WINDOW_BYTES - (ENTRY_BYTES - 1)) as u64;
        }
    }
}
