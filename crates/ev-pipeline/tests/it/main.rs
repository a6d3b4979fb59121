//! The engine against scripted parts, on a paused clock and with blocking work done in place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "the rig drives tokio's paused clock")]

mod crash;
mod delivery;
mod late;
mod ledger;
mod parking;
mod receivers;
mod recording_ledger;
mod recordings;
mod rig;
mod road_change;
mod road_seeds;
mod schedules;
mod trouble;
mod unstructured;
mod watch;
