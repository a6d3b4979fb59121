//! Tests of the crate from outside.

mod allocations;
mod data;
mod golden;
mod validation;
