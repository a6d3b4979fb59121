//! The end point of a comparison, against peers good and bad.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod before;
mod beside;
mod hostile;
mod rig;
mod tls;
