//! Reading and writing whole directories.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod damage;
mod round_trip;
mod samples;

use std::path::{Path, PathBuf};

/// A directory that a reference handler wrote, or that was made as it describes them.
fn sample(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/reference-state");
    root.join(name).join("127.0.0.1_3025")
}

fn session(id: &str) -> ev_core::SessionId {
    ev_core::SessionId::try_new(id.as_bytes()).unwrap()
}

fn date(text: &str) -> ev_core::Date {
    ev_core::Date::parse(text).unwrap()
}
