//! JSON Schemas held against what the decoder writes, by an independent validator.

mod data;
mod describes;
mod exact;
mod generated;
mod text;
mod told;
