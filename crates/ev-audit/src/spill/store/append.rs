//! Appending.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;

use super::super::disk;
use super::super::error::SpillError;
use super::super::mark::Amount;
use super::super::recover::Segment;
use super::super::segment::{Entry, HEADER_BYTES, Header, entry_size};
use super::super::system;
use super::Spill;

/// Most bytes of an entry that has more than one frame: it is read as a whole.
const ENTRY_LIMIT: u64 = 1 << 20;
/// Closed segments that may wait for a sync; then one is synced to let the next one in.
const UNSYNCED_LIMIT: usize = 8;

/// The segment that takes more.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    len: u64,
    dirty: bool,
}

impl Writer {
    /// Goes on behind what is in `segment`.
    pub(super) fn new(file: File, segment: Option<&Segment>) -> Self {
        Self { file, len: segment.map_or(0, |segment| segment.bytes), dirty: true }
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            disk::sync(&self.file)?;
            self.dirty = false;
        }
        Ok(())
    }
}

impl Spill {
    /// Appends whole frames; `ends` tells where each ends in `frames`, which begin with the first
    /// one and hold nothing else.
    ///
    /// Returns what was taken: as many of the oldest as there is room for. They are read in this
    /// order, and after the death of the process too; after that of the machine only if
    /// [`Spill::sync`] returned since.
    ///
    /// # Errors
    ///
    /// When the file system fails, for instance because it is full ([`SpillError::is_full`]), or
    /// the directory is not there any more ([`SpillError::Removed`]). Then nothing was taken, and
    /// the store is as it was.
    pub(crate) fn append(&mut self, frames: &[u8], ends: &[u32]) -> Result<Amount, SpillError> {
        debug_assert_eq!(ends.last().map_or(0, |end| *end as usize), frames.len());
        self.directory.check()?;
        let mut taken = 0;
        while taken < ends.len() {
            match self.append_entry(frames, ends, taken) {
                Ok(0) => break,
                Ok(count) => taken += count,
                Err(error) if taken == 0 => return Err(error),
                // What was taken is told first; the next call meets the same trouble.
                Err(_) => break,
            }
        }
        let bytes = taken.checked_sub(1).map_or(0, |last| u64::from(ends[last]));
        Ok(Amount { frames: taken as u64, bytes })
    }

    /// Appends one entry of frames from number `from` on, and tells how many are in it.
    fn append_entry(
        &mut self,
        frames: &[u8],
        ends: &[u32],
        from: usize,
    ) -> Result<usize, SpillError> {
        let start = from.checked_sub(1).map_or(0, |before| ends[before]);
        let room = self.settings.max_bytes.saturating_sub(self.used.saturating_add(HEADER_BYTES));
        let fits = |count: usize, end: u32| {
            let size = entry_size(count, (end - start) as usize);
            size <= room && (size <= ENTRY_LIMIT || count == 1)
        };
        let counted = ends[from..].iter().enumerate();
        let count = counted.take_while(|(index, end)| fits(index + 1, **end)).count();
        let Some(end) = count.checked_sub(1).map(|last| ends[from + last]) else {
            return Ok(0);
        };
        let block = &frames[start as usize..end as usize];
        let size = entry_size(count, block.len());

        let segment = self.writable(size)?;
        self.scratch.clear();
        let ends = &ends[from..from + count];
        Entry::form(&mut self.scratch, segment.salt, self.next, block, ends, start);
        let writer = self.writer.as_mut().expect("`writable` leaves one");
        if let Err(source) = disk::write_at(&writer.file, &self.scratch, writer.len) {
            // The next entry overwrites what was written of this one. If it cannot be cut off
            // now, no entry may follow: a shorter one would leave its end standing.
            if disk::truncate(&writer.file, writer.len).is_err() {
                self.close_writer();
            }
            return Err(SpillError::io("write", &self.directory.segment(segment.number))(source));
        }
        writer.len += size;
        writer.dirty = true;
        let amount = Amount { frames: count as u64, bytes: block.len() as u64 };
        self.next = self.next.after(amount);
        self.used += size;
        self.pending += amount;
        if let Some(segment) = self.segments.back_mut() {
            (segment.end, segment.bytes) = (self.next, writer.len);
        }
        Ok(count)
    }

    /// The last segment, which has room for an entry of `size` bytes.
    fn writable(&mut self, size: u64) -> Result<Segment, SpillError> {
        if let (Some(writer), Some(segment)) = (&self.writer, self.segments.back().copied()) {
            let is_full = writer.len.saturating_add(size) > self.settings.segment_size();
            let takes = !is_full && !self.is_stale(segment.created);
            let path = self.directory.segment(segment.number);
            let is_removed =
                system::is_removed(&writer.file).map_err(SpillError::io("examine", &path))?;
            if !is_removed && (takes || writer.len <= HEADER_BYTES) {
                return Ok(segment);
            }
            if self.unsynced.len() >= UNSYNCED_LIMIT {
                let (number, file) = &self.unsynced[0];
                let path = self.directory.segment(*number);
                disk::sync(file).map_err(SpillError::io("sync", &path))?;
                self.unsynced.remove(0);
            }
        }
        self.close_writer();
        self.prune();
        self.begin_segment()
    }

    fn begin_segment(&mut self) -> Result<Segment, SpillError> {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        let (first, created) = (self.next, (self.clock)());
        // Hash keys of the standard library are random and differ with each use.
        let salt = RandomState::new().build_hasher().finish().to_le_bytes();
        let path = self.directory.segment(number);
        let file = disk::create_new(&path).map_err(SpillError::io("create", &path))?;
        self.unsynced_names = true;
        let header = Header { number, first, created, salt }.form();
        if let Err(source) = disk::write_at(&file, &header, 0) {
            drop(disk::remove(&path));
            return Err(SpillError::io("write", &path)(source));
        }
        let segment = Segment { number, first, end: first, created, salt, bytes: HEADER_BYTES };
        self.segments.push_back(segment);
        self.used += HEADER_BYTES;
        self.writer = Some(Writer::new(file, Some(&segment)));
        Ok(segment)
    }

    /// The last segment takes no more.
    pub(super) fn close_writer(&mut self) {
        if let (Some(writer), Some(segment)) = (self.writer.take(), self.segments.back())
            && writer.dirty
        {
            self.unsynced.push((segment.number, writer.file));
        }
    }
}
