//! The queue on disk.

mod append;
mod read;

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;

use super::directory::Directory;
use super::disk;
use super::error::SpillError;
use super::mark::{Amount, Mark};
use super::position::{Place, Position};
use super::recover::{Recovered, Segment, recover};
use super::segment::HEADER_BYTES;
use super::settings::SpillSettings;
use super::walk::Walker;
use append::Writer;
#[cfg(test)]
pub(super) use read::READ_ATTEMPTS;
use read::{Current, Handed};

/// Tells seconds since 1970 by the wall clock.
pub(crate) type WallClock = Box<dyn Fn() -> i64 + Send>;

/// Whole frames in a directory, read in the order in which they were appended.
///
/// At any moment: what was found at the start + appended = done + lost + expired + pending.
pub(crate) struct Spill {
    settings: SpillSettings,
    clock: WallClock,
    directory: Directory,
    position: Position,
    /// Oldest first; their marks ascend.
    segments: VecDeque<Segment>,
    /// Bytes of all of them.
    used: u64,
    next_number: u64,
    /// Behind the last frame.
    next: Mark,
    /// The last segment, if it takes more.
    writer: Option<Writer>,
    /// Segments that are closed and not on the disk yet.
    unsynced: Vec<(u64, File)>,
    /// Whether names of segments are not on the disk yet.
    unsynced_names: bool,
    /// Where reading goes on.
    cursor: Mark,
    /// The farthest that it was.
    handed_to: u64,
    walker: Option<Walker>,
    /// The entry that is being handed out, and its body.
    current: Option<Current>,
    body: Vec<u8>,
    /// Handed out and not done, in order.
    handed: VecDeque<Handed>,
    /// Gaps among frames that were handed out before a rewind: they are counted already.
    known_gaps: Vec<(Mark, Mark)>,
    /// Everything before it is done.
    done: Mark,
    pending: Amount,
    lost: Amount,
    /// The segment that could not be read lately, and how often.
    failed: Option<(u64, u32)>,
    /// Where the segment is that was given up last.
    set_aside: Option<PathBuf>,
    scratch: Vec<u8>,
}

impl Spill {
    /// Opens the directory, or makes it, and finds what an earlier process left there.
    ///
    /// # Errors
    ///
    /// [`SpillError::InUse`], [`SpillError::Foreign`], [`SpillError::Unsafe`],
    /// [`SpillError::Newer`], and whatever the file system refuses.
    pub(crate) fn open(
        settings: &SpillSettings,
        clock: WallClock,
    ) -> Result<(Self, Recovered), SpillError> {
        let directory = Directory::open(&settings.dir)?;
        let (position, place) = Position::open(directory.position())?;
        let found = recover(&directory, place)?;
        let writer = found.last.map(|file| Writer::new(file, found.segments.back()));
        let mut spill = Self {
            settings: settings.clone(),
            clock,
            directory,
            position,
            used: found.segments.iter().map(|segment| segment.bytes).sum(),
            segments: found.segments,
            next_number: found.next_number,
            next: found.next,
            writer,
            unsynced: Vec::new(),
            unsynced_names: true,
            cursor: found.done,
            handed_to: found.handed_to,
            walker: None,
            current: None,
            body: Vec::new(),
            handed: VecDeque::new(),
            known_gaps: Vec::new(),
            done: found.done,
            pending: found.recovered.pending,
            lost: Amount::default(),
            failed: None,
            set_aside: None,
            scratch: Vec::new(),
        };
        let mut recovered = found.recovered;
        recovered.expired = spill.expire();
        recovered.pending = spill.pending();
        recovered.maybe_written = recovered
            .maybe_written
            .saturating_sub(recovered.expired.frames)
            .min(recovered.pending.frames);
        // From here on a directory without a position has lost it.
        spill.prune();
        spill.position.write(spill.place())?;
        Ok((spill, recovered))
    }

    /// The oldest `frames` of those handed out were written to the agent. Costs one small write,
    /// which is on the disk with the next [`Spill::sync`].
    pub(crate) fn done(&mut self, frames: u64) {
        for _ in 0..frames {
            let Some(frame) = self.handed.pop_front() else { break };
            self.done = frame.behind();
            self.pending -= frame.amount();
        }
        self.settle();
    }

    /// What lies here and is not done, whether handed out or not.
    pub(crate) fn pending(&self) -> Amount {
        self.pending
    }

    /// Frames that turned out to be damaged since this was last asked. They are not pending any
    /// more.
    pub(crate) fn take_lost(&mut self) -> Amount {
        std::mem::take(&mut self.lost)
    }

    /// The segment that was given up since this was last asked, the last one if there were more:
    /// the disk could not read it, so it has a name now under which it is left alone.
    pub(crate) fn take_set_aside(&mut self) -> Option<PathBuf> {
        self.set_aside.take()
    }

    /// Drops the segments that are too old, except for frames in them that were handed out, and
    /// tells what was dropped.
    pub(crate) fn expire(&mut self) -> Amount {
        let mut expired = Amount::default();
        let (Some(max_age), Some(span)) = (self.settings.max_age, self.settings.span()) else {
            return expired;
        };
        let age = i64::try_from(max_age.as_secs().saturating_add(span)).unwrap_or(i64::MAX);
        let now = (self.clock)();
        for index in 0..self.segments.len() {
            let segment = self.segments[index];
            if now.saturating_sub(segment.created) <= age {
                break;
            }
            if index + 1 == self.segments.len() {
                self.close_writer();
            }
            let from = segment.first.later(self.cursor);
            if segment.end.frame > from.frame {
                expired += self.between(from, segment.end);
                self.segments[index].end = from;
                self.cursor = segment.end;
                self.current = None;
            }
        }
        self.pending -= expired;
        if !expired.is_none() {
            self.settle();
        }
        expired
    }

    /// Waits until everything appended and the position are on the disk.
    ///
    /// # Errors
    ///
    /// When the file system fails. Then nothing since the last success is known to be there; the
    /// next call tries again.
    pub(crate) fn sync(&mut self) -> Result<(), SpillError> {
        while let Some((number, file)) = self.unsynced.last() {
            let path = self.directory.segment(*number);
            disk::sync(file).map_err(SpillError::io("sync", &path))?;
            self.unsynced.pop();
        }
        if let Some(writer) = &mut self.writer {
            let number = self.segments.back().map_or(0, |segment| segment.number);
            writer.sync().map_err(SpillError::io("sync", &self.directory.segment(number)))?;
        }
        if self.unsynced_names {
            let path = self.directory.path();
            disk::sync_directory(path).map_err(SpillError::io("sync", path))?;
            self.unsynced_names = false;
        }
        self.position.write(self.place())?;
        self.position.sync()?;
        // What was written to the agent does not lie about on a disk that is at rest.
        if self.pending.is_none() && self.used > HEADER_BYTES {
            self.close_writer();
            self.unsynced.clear();
            self.prune();
        }
        Ok(())
    }

    /// After something was done, lost or dropped: saves the position and gives disk space back.
    fn settle(&mut self) {
        if self.handed.is_empty() {
            self.done = self.done.later(self.cursor);
            self.known_gaps.clear();
        }
        // What fails is tried again, and told, by the next sync.
        drop(self.position.write(self.place()));
        self.prune();
    }

    fn place(&self) -> Place {
        Place { done: self.done, handed: self.handed_to }
    }

    /// Removes segments from which nothing is wanted any more.
    fn prune(&mut self) {
        let kept = if self.writer.is_some() { self.segments.pop_back() } else { None };
        let done = self.done.frame;
        self.segments.retain(|segment| {
            let wanted = segment.end.frame > done.max(segment.first.frame);
            if !wanted {
                self.used = self.used.saturating_sub(segment.bytes);
                self.unsynced.retain(|(number, _)| *number != segment.number);
                if self.walker.as_ref().is_some_and(|walker| walker.number() == segment.number) {
                    self.walker = None;
                }
                // If it stays, it is removed when the directory is opened the next time.
                drop(disk::remove(&self.directory.segment(segment.number)));
            }
            wanted
        });
        self.segments.extend(kept);
    }

    /// What lies between two marks and was not counted before.
    fn between(&self, from: Mark, to: Mark) -> Amount {
        let mut amount = to.since(from);
        for (begin, end) in &self.known_gaps {
            let end = if end.frame < to.frame { *end } else { to };
            amount -= end.since(begin.later(from));
        }
        amount
    }

    /// Whether the last segment is too old to take more.
    fn is_stale(&self, created: i64) -> bool {
        let age = (self.clock)().saturating_sub(created);
        self.settings.span().is_some_and(|span| u64::try_from(age).is_ok_and(|age| age > span))
    }
}

impl fmt::Debug for Spill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spill")
            .field("dir", &self.settings.dir)
            .field("pending", &self.pending)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}
