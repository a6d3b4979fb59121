//! JSON as far as it is needed to tell whether two bodies say the same.
//!
//! A reader of its own, because the bodies are others' and the usual ones answer another question:
//! nesting is not limited by the stack, every key of an object is kept, and numbers are read as the
//! nearest double.

mod differ;
mod print;
mod read;

pub use differ::{Difference, DifferenceKind};

pub(crate) use differ::differences;
pub(crate) use print::{Digest, Fingerprint, Spelling, digest};
pub(crate) use read::{Kind, Tree};
