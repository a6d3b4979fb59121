//! Tests of the sink on real files.

mod contract;
mod env;
mod files;
