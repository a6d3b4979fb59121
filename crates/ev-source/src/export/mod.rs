//! The bulk export: dates, their chunks, and what of their events is wanted.

mod day;
mod filter;
mod place;
mod plan;

pub use place::ExportPlace;
