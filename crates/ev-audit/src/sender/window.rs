//! What was written last on a connection and may not have been read.

use std::collections::VecDeque;

use crate::model::ConnectionType;
use crate::queue::Chunks;

/// What may be unread behind a broken connection over a Unix socket: it holds 212,992 bytes by
/// default and goes over that by one write of ours (64 KiB), and the agent may have read as much
/// again into its own memory without having used it. Rounded up.
const UNREAD_UNIX: u64 = 512 * 1024;

/// The same over TCP: half a megabyte on this side, as much on its way, and the agent's side,
/// which grows to 6 MiB by default. And over whatever else a transport opens, of which nothing is
/// known.
const UNREAD_ELSEWHERE: u64 = 8 * 1024 * 1024;

/// What may be unread behind a broken connection of that type.
fn unread(destination: ConnectionType) -> u64 {
    match destination {
        ConnectionType::UNIX_DOMAIN_SOCKET => UNREAD_UNIX,
        _ => UNREAD_ELSEWHERE,
    }
}

/// Writes are counted together up to so many bytes: what is remembered of a connection over which
/// single records go stays small.
const GRAIN: u64 = 4 * 1024;

/// A connection that takes less than this, one write, may simply have been closed at once.
const SAYS_NOTHING: u64 = 64 * 1024;

/// So many connections in a row may get nowhere before the window shrinks: an agent that dies a
/// few times while it starts is no reason to risk anything.
const PATIENCE: u32 = 4;

/// The last frames written on the present connection.
///
/// Their number is always kept, to be able to say how many may be lost; their bytes only up to
/// the limit of the retain window, to send them again.
///
/// An agent that dies before it took more than the window holds would get the same frames again
/// and again, and never a new one. So the window shrinks by a quarter with each further connection
/// that takes frames again and gets nowhere, until one gets somewhere; below what can be unread for
/// certain only when it gets nowhere at all. A connection that proves itself restores it.
#[derive(Debug, Default)]
pub(super) struct Window {
    limit: usize,
    /// The limit as far as it is shrunk.
    effective: usize,
    kept: Chunks,
    number: u64,
    /// What may be unread on the present connection.
    unread: u64,
    /// Frames and bytes of the last writes.
    writes: VecDeque<(u64, u64)>,
    bytes: u64,
    /// All bytes of frames noted on this connection.
    total: u64,
    /// Those of them that were written for the first time.
    fresh: u64,
    /// Connections in a row that got nowhere.
    fruitless: u32,
    /// What the connection began with: bytes to be sent again.
    began_with: u64,
}

impl Window {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, effective: limit, unread: UNREAD_ELSEWHERE, ..Self::default() }
    }

    /// A connection of that type begins, with so many bytes to be sent again.
    pub(super) fn begin(&mut self, destination: ConnectionType, again: usize) {
        self.unread = unread(destination);
        self.began_with = again as u64;
    }

    /// Notes what one write completed, and whether that was written for the first time.
    pub(super) fn note<'a>(&mut self, frames: impl Iterator<Item = &'a [u8]>, fresh: bool) {
        let (mut count, mut bytes) = (0, 0);
        for frame in frames {
            count += 1;
            bytes += frame.len() as u64;
            if self.limit > 0 {
                self.kept.push(self.number, frame);
                self.number += 1;
            }
        }
        self.trim();
        self.total += bytes;
        self.fresh += if fresh { bytes } else { 0 };
        self.bytes += bytes;
        match self.writes.back_mut() {
            Some((last, length)) if *length + bytes <= GRAIN => {
                *last += count;
                *length += bytes;
            }
            _ => self.writes.push_back((count, bytes)),
        }
        while let Some((_, first)) = self.writes.front()
            && self.bytes - first >= self.unread
        {
            self.bytes -= first;
            self.writes.pop_front();
        }
    }

    /// Lets the oldest go. The last one is kept even if it is longer than the window.
    fn trim(&mut self) {
        while self.kept.bytes() > self.effective && self.kept.frames() > 1 {
            self.kept.drop_first(|_, _| ());
        }
    }

    /// Whether frames are kept that could be sent again.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The connection ended well: what was written last may still be read.
    pub(super) fn forget(&mut self) {
        *self = Self {
            effective: self.effective,
            fruitless: self.fruitless,
            unread: self.unread,
            ..Self::new(self.limit)
        };
    }

    /// The connection has shown that its agent lives: the window has its full size again.
    pub(super) fn restore(&mut self) {
        self.effective = self.limit;
        self.fruitless = 0;
    }

    /// Whether it is smaller than its owner wants. Then whoever writes goes slowly, so that an
    /// agent that reads at all has little unread when it dies, and a small window is enough.
    pub(super) fn is_shrunk(&self) -> bool {
        self.effective < self.limit
    }

    /// Makes the window smaller if the connection got nowhere.
    fn shrink(&mut self) {
        let smaller = self.effective / 4 * 3;
        let floor = usize::try_from(self.unread).unwrap_or(usize::MAX);
        // One that broke before it could take much says nothing about the window. (It may have
        // taken far less than it was to take: a small window goes with slow writing.)
        if self.began_with == 0 || self.total < SAYS_NOTHING.min(self.began_with / 2) {
            return;
        }
        if self.fresh >= self.total / 8 {
            self.fruitless = 0;
            return;
        }
        self.fruitless += 1;
        if self.fruitless < PATIENCE {
            return;
        }
        // It goes below what can be unread only when it got nowhere at all with just that.
        if self.effective > floor {
            self.effective = smaller.max(floor);
        } else if self.fresh == 0 {
            self.effective = smaller;
        }
        self.trim();
    }

    /// The connection broke: returns what is to be sent again, and how many more frames may be
    /// lost.
    pub(super) fn broke(&mut self) -> (Chunks, u64) {
        self.shrink();
        let maybe_unread: u64 = self.writes.iter().map(|(frames, _)| frames).sum();
        let kept = std::mem::take(&mut self.kept);
        // The count goes by whole writes; a window of that size has whatever can be unread.
        let lost = match self.effective as u64 >= self.unread {
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

    const UNIX: ConnectionType = ConnectionType::UNIX_DOMAIN_SOCKET;

    /// A window on a connection over a Unix socket.
    fn window(limit: usize) -> Window {
        let mut window = Window::new(limit);
        window.begin(UNIX, 0);
        window
    }

    fn note(window: &mut Window, frames: &[Vec<u8>]) {
        window.note(frames.iter().map(Vec::as_slice), true);
    }

    #[test]
    fn the_last_frames_within_the_limit_are_kept() {
        let mut window = window(100);
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
        let mut window = window(512 * 1024);
        for byte in 0..40 {
            note(&mut window, &[vec![byte; 60_000]]);
        }
        let (again, lost) = window.broke();
        assert_eq!((again.frames(), lost), (8, 0));
        note(&mut window, &[vec![0; 10], vec![1; 600_000]]);
        let (again, lost) = window.broke();
        assert_eq!((again.frames(), again.bytes(), lost), (1, 600_000, 0));
    }

    #[test]
    fn a_window_that_gets_nowhere_shrinks_until_it_does() {
        let mut window = window(2_000_000);
        let frames: Vec<Vec<u8>> = (0..100).map(|byte| vec![byte; 10_000]).collect();
        note(&mut window, &frames);
        let (mut again, _) = window.broke();
        let mut rounds = 0;
        // Each connection takes a million bytes, all of them for the second time.
        while again.frames() == 100 {
            window.begin(UNIX, again.bytes());
            window.note(again.iter(), false);
            let (next, lost) = window.broke();
            assert_eq!(lost, 0);
            again = next;
            rounds += 1;
        }
        assert_eq!(rounds, 6, "patience, then a quarter each time");
        assert_eq!(again.frames(), 84, "what can be unread is among it");
        window.restore();
        note(&mut window, &frames);
        assert_eq!(window.broke().0.frames(), 100);
    }

    /// The first connection took several megabytes in one go, all later ones, written to slowly,
    /// take a fraction of it.
    #[test]
    fn a_window_shrinks_to_what_slow_connections_take() {
        let mut window = window(8 * 1024 * 1024);
        let frames: Vec<Vec<u8>> = (0..200).map(|byte| vec![byte; 10_000]).collect();
        note(&mut window, &frames);
        let (mut again, _) = window.broke();
        let mut first = 0;
        let mut rounds = 0;
        while first == 0 {
            window.begin(UNIX, again.bytes());
            window.note(again.iter().take(60), false);
            let (kept, lost) = window.broke();
            assert_eq!(lost, 0);
            let mut next = Chunks::default();
            for (number, frame) in kept.iter().chain(again.iter().skip(60)).enumerate() {
                next.push(number as u64, frame);
            }
            again = next;
            first = again.iter().next().unwrap()[0];
            rounds += 1;
        }
        assert!(window.is_shrunk() && window.effective as u64 >= UNREAD_UNIX);
        assert_eq!(rounds, 13);
    }

    #[test]
    fn a_window_that_gets_on_keeps_its_size() {
        let mut window = window(1_000_000);
        for round in 0..50 {
            // Restarts of the agent, with a few new frames between: all of them are kept.
            window.begin(UNIX, round * 1_000);
            let kept: Vec<Vec<u8>> = vec![vec![0; 1_000]; round];
            window.note(kept.iter().map(Vec::as_slice), false);
            note(&mut window, &[vec![0; 1_000]]);
            let (again, lost) = window.broke();
            assert_eq!((again.frames(), lost), (round + 1, 0));
        }
        // Accepted and closed: nothing was learnt.
        for _ in 0..50 {
            window.begin(UNIX, 900_000);
            window.note([[0; 1_000].as_slice()].into_iter(), false);
            window.broke();
        }
        assert!(window.effective as u64 >= UNREAD_UNIX, "{}", window.effective);
    }

    #[test]
    fn without_a_limit_only_the_count_is_kept() {
        let mut window = window(0);
        for _ in 0..10_000 {
            note(&mut window, &[vec![0; 500], vec![0; 500]]);
        }
        let (again, lost) = window.broke();
        assert!(again.is_empty());
        assert_eq!(lost, 1_056, "as many writes of about 4 KiB as reach over 512 KiB");
    }

    #[test]
    fn over_tcp_more_may_be_unread() {
        for (destination, lost_without, lost_with) in
            [(UNIX, 9, 0), (ConnectionType::TCP, 140, 132), (ConnectionType::UNKNOWN, 140, 132)]
        {
            for (limit, wanted) in [(0, lost_without), (UNREAD_UNIX, lost_with)] {
                let mut window = Window::new(usize::try_from(limit).unwrap());
                window.begin(destination, 0);
                for byte in 0..200 {
                    note(&mut window, &[vec![byte; 60_000]]);
                }
                let (again, lost) = window.broke();
                assert_eq!(lost, wanted, "{destination}, {limit}");
                assert_eq!(again.frames(), if limit == 0 { 0 } else { 8 });
            }
            let mut window = Window::new(8 * 1024 * 1024);
            window.begin(destination, 0);
            for byte in 0..200 {
                note(&mut window, &[vec![byte; 60_000]]);
            }
            assert_eq!(window.broke().1, 0, "{destination}");
        }
    }

    #[test]
    fn little_is_remembered_of_many_small_writes() {
        let mut window = Window::new(0);
        window.begin(ConnectionType::TCP, 0);
        for _ in 0..100_000 {
            note(&mut window, &[vec![0; 500]]);
        }
        assert!(window.writes.len() <= 2_200, "{}", window.writes.len());
        let lost = window.broke().1;
        let least = UNREAD_ELSEWHERE / 500;
        assert!((least..least + 20).contains(&lost), "{lost}");
    }

    #[test]
    fn a_connection_that_ended_well_leaves_nothing() {
        let mut window = window(100);
        note(&mut window, &[vec![0; 10]]);
        window.forget();
        let (again, lost) = window.broke();
        assert!(again.is_empty() && lost == 0);
    }
}
