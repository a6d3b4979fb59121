//! Measures the decode path, the whole pipeline and the audit client against baselines and against
//! fixed bars; shipped nowhere.
//!
//! Two ways in. `cargo xtask bench` builds the binary of this package in the release profile and
//! runs it: all cases in one process, in alternating rounds, and out of the medians one table of
//! ratios, which hold on any machine, against the bars that stand in [`bars`]. The criterion
//! benches in `benches/` measure the same cases one by one, for the record and for whoever works
//! on one of them; their groups are named `stage/case/size`.
//!
//! | module | holds |
//! |---|---|
//! | [`events`] | the event sets: small, medium, large, mixed |
//! | [`baselines`] | other ways to do the same work, and the least that any way has to do |
//! | [`clock`] | the one place that reads a clock |
//! | [`rounds`] | alternating rounds |
//! | [`stats`] | medians, ratios, spreads |
//! | [`bars`] | what has to be reached, as data |
//! | [`report`] | the table and its JSON |
//! | [`record`] | what the criterion benches share |
//! | [`measure`] | what is measured: one module a subject |

#![forbid(unsafe_code)]

pub mod bars;
pub mod baselines;
pub mod clock;
pub mod events;
pub mod measure;
pub mod record;
pub mod report;
pub mod rounds;
pub mod stats;
