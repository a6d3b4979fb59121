//! Events whose JSON is known, in any number, made from recorded ones.
//!
//! A recorded event is a pair: the bytes of an `events.OneOf`, and the JSON that Teleport's own
//! code made of exactly those bytes. [`Maker`] gives it another `uid` and `time`, in the bytes and
//! in the JSON alike, each of the same length as before, so that nothing else changes in either.
//! What it makes is checked by reading it again.

mod json;
mod maker;
mod rewrite;
mod vector;
pub(crate) mod wire;

pub use maker::{Maker, Recording};
pub use rewrite::{Change, Made, rewrite};
pub use vector::{Vector, read_vectors};
