//! The decoder against what Auth's own code made, against the typed road, and against a slow path.

mod data;
mod golden;
mod hostile;
mod random;
mod slow;
