//! Places in the stream of all frames that a directory ever took, and amounts of frames.

use std::ops::{AddAssign, SubAssign};

/// The place before a frame: how many frames came before it, and how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) frame: u64,
    pub(crate) byte: u64,
}

/// A number of frames and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl Mark {
    /// What lies between `earlier` and here; nothing if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Amount {
        if self.frame <= earlier.frame {
            return Amount::default();
        }
        Amount { frames: self.frame - earlier.frame, bytes: self.byte.saturating_sub(earlier.byte) }
    }

    /// The place behind `amount`.
    pub(crate) fn after(self, amount: Amount) -> Self {
        Self {
            frame: self.frame.saturating_add(amount.frames),
            byte: self.byte.saturating_add(amount.bytes),
        }
    }

    /// The later of two.
    pub(crate) fn later(self, other: Self) -> Self {
        if other.frame > self.frame { other } else { self }
    }
}

impl Amount {
    pub(crate) fn is_none(self) -> bool {
        self.frames == 0
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.frames = self.frames.saturating_add(other.frames);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl SubAssign for Amount {
    /// Byte numbers come from the disk, so they are not trusted to add up.
    fn sub_assign(&mut self, other: Self) {
        self.frames = self.frames.saturating_sub(other.frames);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}
