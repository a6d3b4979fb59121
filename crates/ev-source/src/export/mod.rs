//! The bulk export: dates, their chunks, and what of their events is wanted.

mod filter;
mod place;
mod plan;
mod reading;

pub(crate) use filter::Filter;
pub use place::ExportPlace;
pub(crate) use plan::{Left, Limits, Plan, Turn};
pub(crate) use reading::{Ending, Reading, Taken};
