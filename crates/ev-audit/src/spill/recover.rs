//! What is found in the directory when it is opened.

use std::collections::VecDeque;
use std::fs::File;

use super::directory::Directory;
use super::disk;
use super::error::SpillError;
use super::mark::{Amount, Mark};
use super::position::Place;
use super::segment::{BadHeader, HEADER_BYTES, HEADER_SIZE, Header};
use super::walk::Walker;

/// What an earlier process left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Frames that lie here and go first. Some may turn out to be damaged when they are read.
    pub(crate) pending: Amount,
    /// How many of them, the oldest, were handed out and not done: they may have been written to
    /// the agent. After the death of the machine there can be more.
    pub(crate) maybe_written: u64,
    /// Bytes of a torn end that were cut off, and the frames that they spoke of: what was being
    /// appended when the process died.
    pub(crate) torn: Amount,
    /// Dropped because of their age.
    pub(crate) expired: Amount,
    /// Segments that say nothing of themselves any more and were set aside.
    pub(crate) set_aside: u64,
    /// Frames that are known to have been in them and are not pending. Others are found lost when
    /// reading gets there.
    pub(crate) lost: Amount,
    /// The position is gone, so that everything here may have been written before.
    pub(crate) position_lost: bool,
}

impl Recovered {
    /// In how many places the directory was not as an orderly end leaves it.
    pub(crate) fn damage(&self) -> u64 {
        u64::from(self.torn.bytes > 0) + self.set_aside + u64::from(self.position_lost)
    }

    /// What was found there and done about it, for people; empty when there was nothing.
    pub(crate) fn damage_text(&self) -> String {
        let mut parts = Vec::new();
        if self.torn.bytes > 0 {
            let Amount { frames, bytes } = self.torn;
            parts.push(format!("a torn end of {bytes} bytes was cut off, records in it: {frames}"));
        }
        if self.set_aside > 0 {
            parts.push(format!("damaged segments set aside: {}", self.set_aside));
        }
        if self.position_lost {
            parts.push("the position is gone, so that records may come twice".to_owned());
        }
        parts.join("; ")
    }
}

/// A segment file as it is known in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) first: Mark,
    /// Behind the last frame that is wanted from it.
    pub(super) end: Mark,
    pub(super) created: i64,
    pub(super) salt: [u8; 8],
    /// Bytes of the file.
    pub(super) bytes: u64,
}

/// The content of the directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) segments: VecDeque<Segment>,
    /// The last segment, if more can be appended to it.
    pub(super) last: Option<File>,
    /// Number of the next segment.
    pub(super) next_number: u64,
    pub(super) done: Mark,
    pub(super) next: Mark,
    /// Number behind the last frame that was ever handed out.
    pub(super) handed_to: u64,
    pub(super) recovered: Recovered,
}

/// Reads what is there, cuts torn ends off, and removes nothing that holds a frame still wanted.
pub(super) fn recover(directory: &Directory, place: Option<Place>) -> Result<Found, SpillError> {
    let mut found = Found { next_number: 1, ..Found::default() };
    for number in directory.segments()? {
        found.next_number = number.saturating_add(1);
        found.take(directory, number)?;
    }
    found.close_last(directory)?;
    found.recovered.position_lost = place.is_none() && !found.segments.is_empty();

    let begin = found.segments.front().map_or_else(Mark::default, |segment| segment.first);
    let end = found.segments.back().map_or(begin, |segment| segment.end);
    let place = place.unwrap_or(Place { done: begin, handed: u64::MAX });
    // Segments leave when they are done, without waiting for the position to be on the disk.
    if found.recovered.set_aside > 0 && !found.recovered.position_lost {
        found.recovered.lost = begin.since(place.done);
    }
    found.done = if found.segments.is_empty() { place.done } else { place.done.later(begin) };
    found.next = end.later(found.done);
    if found.next != end {
        // The position knows of frames that the machine's death took. No entry may follow.
        found.last = None;
    }
    let pending = end.since(found.done);
    found.recovered.pending = pending;
    // Not forgotten when it is opened once more before it is read.
    found.handed_to = place.handed.clamp(found.done.frame, found.next.frame);
    found.recovered.maybe_written = (found.handed_to - found.done.frame).min(pending.frames);
    Ok(found)
}

impl Found {
    /// Looks at the header of a segment.
    fn take(&mut self, directory: &Directory, number: u64) -> Result<(), SpillError> {
        let path = directory.segment(number);
        let file = directory.open_segment(number).map_err(SpillError::io("open", &path))?;
        let bytes = file.metadata().map_err(SpillError::io("examine", &path))?.len();
        let mut head = [0; HEADER_SIZE];
        let read = disk::read_at(&file, &mut head, 0).map_err(SpillError::io("read", &path))?;
        let header = match Header::parse(&head[..read], number) {
            Ok(header) => Some(header),
            Err(BadHeader::Newer(found)) => return Err(SpillError::Newer { path, found }),
            Err(BadHeader::Damaged) => None,
        };
        match header {
            // It died before the first entry.
            _ if bytes <= HEADER_BYTES && (header.is_none() || bytes < HEADER_BYTES) => {
                self.recovered.torn.bytes += bytes;
                return disk::remove(&path).map_err(SpillError::io("remove", &path));
            }
            // Marks only grow. One that does not was put here by other hands.
            Some(header)
                if self.segments.back().is_none_or(|s| header.first.frame >= s.first.frame) =>
            {
                let Header { first, created, salt, .. } = header;
                if let Some(before) = self.segments.back_mut() {
                    before.end = first;
                }
                self.segments.push_back(Segment {
                    number,
                    first,
                    end: first,
                    created,
                    salt,
                    bytes,
                });
                self.last = Some(file);
            }
            Some(_) | None => {
                self.recovered.set_aside += 1;
                directory.set_aside(number)?;
            }
        }
        Ok(())
    }

    /// Finds the end of the last segment and cuts off what is behind it.
    fn close_last(&mut self, directory: &Directory) -> Result<(), SpillError> {
        let (Some(segment), Some(file)) = (self.segments.back_mut(), &self.last) else {
            return Ok(());
        };
        let path = directory.segment(segment.number);
        let failed = |action| SpillError::io(action, &path);
        let copy = file.try_clone().map_err(failed("open"))?;
        let mut walker = Walker::new(copy, segment.number, segment.salt);
        let mut body = Vec::new();
        let mut end = walker.offset();
        while let Some(entry) = walker.next(0, u64::MAX, &mut body).map_err(failed("read"))? {
            segment.end = segment.end.later(entry.behind());
            end = walker.offset();
        }
        if segment.bytes > end {
            walker.seek(end);
            let torn = walker.header().map_err(failed("read"))?;
            self.recovered.torn += Amount {
                frames: torn.map_or(0, |t| u64::from(t.frames)),
                bytes: segment.bytes - end,
            };
            disk::truncate(file, end).map_err(failed("truncate"))?;
            segment.bytes = end;
        }
        Ok(())
    }
}
