//! How a receiver misbehaves.

use std::time::Duration;

/// How a receiver misbehaves. The default is that it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Read nothing while this is set; what was read before stays as it is.
    pub stalled: bool,
    /// Wait so long before each read.
    pub delay: Duration,
    /// Read at most so many bytes at a time; 0 for as many as there are.
    pub chunk: usize,
    /// Close so many connections as soon as they were accepted; [`u64::MAX`] for all.
    pub close_accepted: u64,
    /// End connections at this point.
    pub cut: Option<Cut>,
    /// Close one side of connections at this point.
    pub half_close: Option<HalfClose>,
}

/// The end of a connection by the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// When a connection ends.
    pub at: CutAt,
    /// Whether TCP sends a reset rather than an end; sockets of Unix know no reset, but the sender
    /// is told of one when bytes of it were not read.
    pub reset: bool,
    /// So many connections end; [`u64::MAX`] for all.
    pub times: u64,
}

/// When a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAt {
    /// Behind so many of its records.
    Records(u64),
    /// When so many bytes of the frame behind so many records were read.
    MidFrame {
        /// Records that are read whole.
        records: u64,
        /// Bytes of the next frame that are there at least.
        bytes: usize,
    },
    /// When just so many bytes of it were read.
    Bytes(u64),
}

/// The end of one side of a connection by the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfClose {
    /// Which side.
    pub side: Side,
    /// Behind so many of its records; 0 for at once.
    pub records: u64,
    /// So many connections are half closed; [`u64::MAX`] for all.
    pub times: u64,
}

/// One side of a connection, as the receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It reads no more: what is written to it fails.
    Read,
    /// It writes no more, which it never does: the sender sees the end of the stream.
    Write,
}

impl Cut {
    /// A reset of every connection at this point.
    pub const fn reset(at: CutAt) -> Self {
        Self { at, reset: true, times: u64::MAX }
    }

    /// The end of every connection at this point, without a reset.
    pub const fn close(at: CutAt) -> Self {
        Self { at, reset: false, times: u64::MAX }
    }

    /// The same for so many connections.
    #[must_use]
    pub const fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }
}

/// Takes one of so many times, [`u64::MAX`] being for ever.
pub(super) fn take_one(times: &mut u64) -> bool {
    let is_left = *times > 0;
    if is_left && *times != u64::MAX {
        *times -= 1;
    }
    is_left
}
