//! The store on a real disk, and against the model.

#![allow(
    clippy::print_stderr,
    reason = "long forms say what they counted, and what is skipped why"
)]

mod artifacts;
mod begin;
mod by_hand;
mod child;
mod copies;
mod damage;
mod directory;
mod disk;
mod kill;
mod model;
mod numbered;
mod power;
mod recorded;
mod reopen;

use std::path::{Path, PathBuf};

use ev_core::StateStore;
use ev_core::testing::state::contract;
use ev_state::SqliteStore;

/// Where the database of a storage directory is.
fn database(storage: &Path) -> PathBuf {
    storage.join("ev-state/state.db")
}

#[test]
fn keeps_the_contract_on_disk() {
    let mut directories = Vec::new();
    contract(|| {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let store = SqliteStore::open(directory.path()).expect("a new state opens");
        directories.push(directory);
        Box::new(store) as Box<dyn StateStore>
    });
}

#[test]
fn keeps_the_contract_in_memory() {
    contract(|| Box::new(SqliteStore::in_memory().expect("memory is there")));
}
