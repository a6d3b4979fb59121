//! What was written last on a connection and may not have been read.

use std::collections::VecDeque;

use crate::queue::Chunks;

/// What a Unix socket may hold unread (212,992 bytes by default), rounded up: behind a broken
/// connection, so much may be lost.
const UNREAD_BYTES: u64 = 256 * 1024;

/// The last frames written on the present connection.
///
/// Their number is always kept, to be able to say how many may be lost; their bytes only up to
/// the limit of the retain window, to send them again.
#[derive(Debug, Default)]
pub(super) struct Window {
    limit: usize,
    kept: Chunks,
    number: u64,
    /// Frames and bytes of the last writes.
    writes: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl Window {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Notes what one write completed.
    pub(super) fn note<'a>(&mut self, frames: impl Iterator<Item = &'a [u8]>) {
        let (mut count, mut bytes) = (0, 0);
        for frame in frames {
            count += 1;
            bytes += frame.len() as u64;
            if self.limit > 0 {
                self.kept.push(self.number, frame);
                self.number += 1;
            }
        }
        // The last one is kept even if it is longer than the window.
        while self.kept.bytes() > self.limit && self.kept.frames() > 1 {
            self.kept.drop_first(|_, _| ());
        }
        self.bytes += bytes;
        self.writes.push_back((count, bytes));
        while let Some((_, first)) = self.writes.front()
            && self.bytes - first >= UNREAD_BYTES
        {
            self.bytes -= first;
            self.writes.pop_front();
        }
    }

    /// The connection ended well: what was written last may still be read.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.limit);
    }

    /// The connection broke: returns what is to be sent again, and how many more frames may be
    /// lost.
    pub(super) fn broke(&mut self) -> (Chunks, u64) {
        let maybe_unread: u64 = self.writes.iter().map(|(frames, _)| frames).sum();
        let kept = std::mem::take(&mut self.kept);
        // The count goes by whole writes; a window of that size has whatever can be unread.
        let lost = match self.limit as u64 >= UNREAD_BYTES {
            true => 0,
            false => maybe_unread.saturating_sub(kept.frames() as u64),
        };
        self.forget();
        (kept, lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(window: &mut Window, frames: &[Vec<u8>]) {
        window.note(frames.iter().map(Vec::as_slice));
    }

    #[test]
    fn the_last_frames_within_the_limit_are_kept() {
        let mut window = Window::new(100);
        for byte in 0..20 {
            note(&mut window, &[vec![byte; 30]]);
        }
        let (again, lost) = window.broke();
        let bytes: Vec<u8> = again.iter().map(|frame| frame[0]).collect();
        assert_eq!(bytes, [17, 18, 19]);
        assert_eq!(lost, 17);
        let (again, lost) = window.broke();
        assert!(again.is_empty() && lost == 0, "told once");
    }

    #[test]
    fn a_window_of_what_can_be_unread_leaves_nothing_in_doubt() {
        let mut window = Window::new(256 * 1024);
        for byte in 0..40 {
            note(&mut window, &[vec![byte; 60_000]]);
        }
        let (again, lost) = window.broke();
        assert_eq!((again.frames(), lost), (4, 0));
        note(&mut window, &[vec![0; 10], vec![1; 300_000]]);
        let (again, lost) = window.broke();
        assert_eq!((again.frames(), again.bytes(), lost), (1, 300_000, 0));
    }

    #[test]
    fn without_a_limit_only_the_count_is_kept() {
        let mut window = Window::new(0);
        for _ in 0..10_000 {
            note(&mut window, &[vec![0; 500], vec![0; 500]]);
        }
        let (again, lost) = window.broke();
        assert!(again.is_empty());
        assert_eq!(lost, 526, "as many whole writes as reach over 256 KiB");
    }

    #[test]
    fn a_connection_that_ended_well_leaves_nothing() {
        let mut window = Window::new(100);
        note(&mut window, &[vec![0; 10]]);
        window.forget();
        let (again, lost) = window.broke();
        assert!(again.is_empty() && lost == 0);
    }
}
