//! The bulk export: dates, their chunks, and what of their events is wanted.

mod day;
mod filter;
mod place;
mod plan;

pub(crate) use day::Day;
pub(crate) use filter::Filter;
pub use place::ExportPlace;
pub(crate) use plan::{Left, Limits, Plan, Turn};
