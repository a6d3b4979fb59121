//! Reading in order, and reading again.

use std::io;

use super::super::error::SpillError;
use super::super::mark::{Amount, Mark};
use super::super::recover::Segment;
use super::super::segment::Entry;
use super::super::system;
use super::super::walk::Walker;
use super::Spill;

/// So often a segment is tried that the disk says it cannot read. Some disks find what they were
/// asked for at a later attempt; whoever reads pauses between two.
pub(in crate::spill) const READ_ATTEMPTS: u32 = 5;

/// An entry that is being handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    entry: Entry,
    /// The next frame in it.
    index: u32,
    /// Number of the frame at which to stop: those behind it are given up.
    until: u64,
}

/// A frame that was handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed {
    begin: Mark,
    bytes: u32,
}

impl Handed {
    pub(super) fn amount(self) -> Amount {
        Amount { frames: 1, bytes: u64::from(self.bytes) }
    }

    pub(super) fn behind(self) -> Mark {
        self.begin.after(self.amount())
    }
}

impl Spill {
    /// Appends the oldest frames not handed out yet to `out`, no more than `limit` bytes but at
    /// least one frame if there is any, and to `ends` where each of them ends in `out`. Returns
    /// how many there were; 0 when there are none.
    ///
    /// Damaged entries are passed over and counted, see [`Spill::take_lost`]. That happens only
    /// before the first frame: a read ends where something is missing, so that what is lost is
    /// older than everything that the same read returns.
    ///
    /// # Errors
    ///
    /// When the file system fails; the next call goes on at the same place. A segment that cannot
    /// be read in [`READ_ATTEMPTS`] calls is set aside, see [`Spill::take_set_aside`], and what
    /// was still wanted from it counts as lost.
    pub(crate) fn read(
        &mut self,
        out: &mut Vec<u8>,
        ends: &mut Vec<u32>,
        limit: usize,
    ) -> Result<usize, SpillError> {
        let begin = out.len();
        let mut count = 0;
        loop {
            let Some(current) = &mut self.current else {
                match self.next_entry(count == 0) {
                    Ok(true) => continue,
                    Ok(false) => break,
                    Err(error) if count == 0 => return Err(error),
                    // What was read is told first; the next call meets the same trouble.
                    Err(_) => break,
                }
            };
            let Some(frame) = current.frame(&self.body, self.cursor) else {
                self.current = None;
                continue;
            };
            let len = out.len() - begin + frame.len();
            let Ok(end) = u32::try_from(out.len() + frame.len()) else { break };
            if count > 0 && len > limit {
                break;
            }
            out.extend_from_slice(frame);
            ends.push(end);
            count += 1;
            current.index += 1;
            // Frames of 4 GiB do not come out of a body whose ends are 32 bits wide.
            let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            let handed = Handed { begin: self.cursor, bytes };
            self.cursor = handed.behind();
            self.handed.push_back(handed);
        }
        if count > 0 {
            self.handed_to = self.handed_to.max(self.cursor.frame);
            // Only how many frames may come twice after a crash depends on it.
            drop(self.position.write(self.place()));
        }
        Ok(count)
    }

    /// Frames handed out and not done are handed out again.
    pub(crate) fn rewind(&mut self) {
        let Some(first) = self.handed.front() else { return };
        let begin = first.begin;
        let mut last = begin;
        for frame in &self.handed {
            if frame.begin.frame > last.frame {
                self.known_gaps.push((last, frame.begin));
            }
            last = frame.behind();
        }
        if self.cursor.frame > last.frame {
            self.known_gaps.push((last, self.cursor));
        }
        self.handed.clear();
        self.cursor = begin;
        self.current = None;
        self.walker = None;
    }

    /// Goes to the next sound entry; false when there is none, or when something would be lost
    /// on the way to it and nothing may be.
    fn next_entry(&mut self, may_lose: bool) -> Result<bool, SpillError> {
        loop {
            let mut wanted = self.segments.iter();
            let Some(segment) = wanted.find(|segment| segment.end.frame > self.cursor.frame) else {
                return Ok(false);
            };
            let segment = *segment;
            // What lies between segments was done or given up.
            self.cursor = self.cursor.later(segment.first);
            if self.walker.as_ref().is_none_or(|walker| walker.number() != segment.number) {
                let opened = self.directory.open_segment(segment.number);
                self.walker = match opened {
                    Ok(file) => Some(Walker::new(file, segment.number, segment.salt)),
                    // Somebody removed it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    Err(error) => {
                        self.unreadable(segment, "open", error, may_lose)?;
                        continue;
                    }
                };
            }
            let next = match &mut self.walker {
                Some(walker) => walker.next(self.cursor.frame, segment.end.frame, &mut self.body),
                None => Ok(None),
            };
            let next = match next {
                Ok(next) => next,
                Err(error) => {
                    self.unreadable(segment, "read", error, may_lose)?;
                    continue;
                }
            };
            self.failed = None;
            let reached = next.as_ref().map_or(segment.end, |entry| entry.first);
            if !may_lose && reached.frame > self.cursor.frame {
                // The next read finds the way again, from the beginning of the segment.
                self.walker = None;
                return Ok(false);
            }
            match next {
                Some(entry) => {
                    self.lose_until(entry.first);
                    let index = self.cursor.frame.saturating_sub(entry.first.frame);
                    let index = u32::try_from(index).unwrap_or(u32::MAX);
                    self.cursor = entry.before(&self.body, index);
                    self.current = Some(Current { entry, index, until: segment.end.frame });
                    return Ok(true);
                }
                None => self.lose_until(segment.end),
            }
        }
    }

    /// A segment could not be read: that is an error, until it has been one so often that the
    /// segment is given up.
    fn unreadable(
        &mut self,
        segment: Segment,
        action: &'static str,
        source: io::Error,
        may_lose: bool,
    ) -> Result<(), SpillError> {
        let path = self.directory.segment(segment.number);
        let before = self.failed.filter(|(number, _)| *number == segment.number);
        let failures = before.map_or(0, |(_, failures)| failures) + u32::from(may_lose);
        self.failed = Some((segment.number, failures));
        // What was handed out would be missing in the file after a rewind.
        let gives_up = may_lose && self.handed.is_empty() && system::is_damage(&source);
        if !gives_up || failures < READ_ATTEMPTS {
            return Err(SpillError::io(action, &path)(source));
        }
        self.failed = None;
        self.walker = None;
        if self.segments.back().is_some_and(|last| last.number == segment.number) {
            self.close_writer();
        }
        self.unsynced.retain(|(number, _)| *number != segment.number);
        // Where it cannot be renamed, it is as if it had been: nothing is read from it again.
        self.set_aside = Some(self.directory.set_aside(segment.number).unwrap_or(path));
        self.segments.retain(|other| other.number != segment.number);
        self.used = self.used.saturating_sub(segment.bytes);
        self.lose_until(segment.end);
        Ok(())
    }

    /// What lies between the cursor and `mark` cannot be read.
    fn lose_until(&mut self, mark: Mark) {
        if mark.frame <= self.cursor.frame {
            return;
        }
        let lost = self.between(self.cursor, mark);
        self.lost += lost;
        self.pending -= lost;
        self.cursor = mark;
        self.settle();
    }
}

impl Current {
    /// The next frame, unless the entry is at its end.
    fn frame<'a>(&self, body: &'a [u8], cursor: Mark) -> Option<&'a [u8]> {
        if self.index >= self.entry.frames || cursor.frame >= self.until {
            return None;
        }
        let begin = self.index.checked_sub(1).map_or(Some(0), |last| self.entry.end(body, last))?;
        let end = self.entry.end(body, self.index)?;
        let frames = body.get(self.entry.table_bytes()..)?;
        frames.get(begin as usize..end as usize)
    }
}
