//! The recorded events, hostile bytes, and the promises about time and memory.

mod data;
mod golden;
mod older;
