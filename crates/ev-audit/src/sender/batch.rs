//! A chunk on its way out.

use std::ops::Range;
use std::sync::Arc;

use crate::queue::{Chunk, Source};

/// What its frames are to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not written yet.
    Fresh(Source),
    /// Written before, to a connection that broke.
    Again,
}

/// A chunk and how far it is written.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) chunk: Arc<Chunk>,
    pub(super) kind: Kind,
    /// The first byte that was not written.
    at: usize,
    /// The first frame that was not written whole.
    next: usize,
}

impl Batch {
    pub(super) fn new(chunk: Arc<Chunk>, kind: Kind) -> Self {
        let next = chunk.start();
        Self { at: chunk.offset(next), next, chunk, kind }
    }

    /// What is to be written next: up to the end of the present frame, or of the chunk.
    pub(super) fn rest(&self, one_frame: bool) -> &[u8] {
        let end = if one_frame { self.next + 1 } else { self.chunk.end() };
        &self.chunk.all_bytes()[self.at..self.chunk.offset(end)]
    }

    /// `taken` more bytes are out; returns the frames that are out whole with them.
    pub(super) fn advance(&mut self, taken: usize) -> Range<usize> {
        let before = self.next;
        self.at += taken;
        self.next = self.chunk.frames_within(self.at).max(before);
        before..self.next
    }

    pub(super) fn is_between_frames(&self) -> bool {
        self.at == self.chunk.offset(self.next)
    }

    pub(super) fn is_done(&self) -> bool {
        self.next == self.chunk.end()
    }

    /// Goes back to the start of the first frame that was not written whole.
    pub(super) fn rewind(&mut self) {
        self.at = self.chunk.offset(self.next);
    }

    /// The frames that were not written whole.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = &[u8]> {
        (self.next..self.chunk.end()).map(|index| self.chunk.frame(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frames_are_told_once() {
        let chunk = Arc::new(Chunk::of(0, (0..60).collect(), vec![10, 30, 60]));
        let mut batch = Batch::new(chunk, Kind::Fresh(Source::Memory));
        assert_eq!(batch.rest(true).len(), 10);
        assert_eq!(batch.rest(false).len(), 60);
        assert_eq!(batch.advance(9), 0..0);
        assert!(!batch.is_between_frames());
        assert_eq!(batch.rest(true), [9]);
        assert_eq!(batch.advance(22), 0..2);
        assert_eq!(batch.rest(true).len(), 29);
        batch.rewind();
        assert!(batch.is_between_frames());
        assert_eq!(batch.rest(false)[0], 30);
        assert_eq!(batch.unwritten().count(), 1);
        assert_eq!(batch.advance(30), 2..3);
        assert!(batch.is_done());
    }
}
