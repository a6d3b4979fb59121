//! Frames on disk: what memory has no room for while the agent is away, and what is left when the
//! process dies.
//!
//! A [`Spill`] is a queue of whole frames in a directory of its own. It is used by the sender's
//! side alone, never by `send`: every call may wait for the disk.
//!
//! # Files
//!
//! | name | holds |
//! |---|---|
//! | `lock` | nothing; its lock says that a process uses the directory |
//! | `position` | what was done and what was handed out, see [`position`] |
//! | `00000000000000000001.seg` … | frames, the oldest in the lowest number, see [`segment`] |
//! | `00000000000000000001.bad` … | a segment that says nothing of itself any more, set aside |
//!
//! The directory has mode 0700 and its files have 0600: frames name people.
//!
//! # Places
//!
//! Every frame that a directory takes has a number, and so has every byte; both only grow. A
//! [`Mark`] is such a pair, it stands in each segment, each entry and the position. That makes
//! every loss countable to the frame: what lies between two marks and cannot be read is lost,
//! whatever the damage looks like.
//!
//! # What holds after a crash
//!
//! * What [`Spill::sync`] returned for is on the disk.
//! * What was appended since may be there; a torn end is cut off at the last sound entry.
//! * The position survives the death of the process to the last [`Spill::done`], and the death of
//!   the machine to the last [`Spill::sync`]. Only frames behind it come twice.
//! * Damage in the middle costs the entries that it hits, and they are counted.

mod directory;
mod disk;
mod error;
mod mark;
mod position;
mod recover;
mod segment;
mod settings;
mod store;
mod system;
mod walk;

#[cfg(test)]
mod tests;

pub use error::SpillError;
pub use settings::SpillSettings;

#[cfg(test)]
pub(crate) use mark::Amount;
pub(crate) use recover::Recovered;
pub(crate) use store::Spill;
