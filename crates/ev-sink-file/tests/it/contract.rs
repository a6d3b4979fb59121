//! The promises of every sink, kept by this one with every way of syncing.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ev_core::Route;
use ev_core::testing::sink::{Receiver, contract};
use ev_sink_file::{Config, FileSink, Fsync};

use crate::env::FixedEnv;

/// A directory with the files.
struct Folder {
    root: PathBuf,
}

impl Folder {
    fn blocked(&self) -> PathBuf {
        self.root.join("away")
    }
}

fn lines(path: &Path) -> Vec<Bytes> {
    let content = fs::read(path).unwrap_or_default();
    assert!(content.is_empty() || content.ends_with(b"\n"), "whole lines");
    content.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(Bytes::copy_from_slice).collect()
}

impl Receiver for Folder {
    fn stored(&self, route: &Route) -> Vec<Bytes> {
        let folder = self.root.join("events");
        let folder = if folder.is_dir() { folder } else { self.blocked() };
        lines(&match route {
            Route::Audit => folder.join("events.ndjson"),
            Route::Session(id) => folder.join(format!("sessions/{id}.ndjson")),
        })
    }

    fn accept(&self, everything: bool) {
        let folder = self.root.join("events");
        if everything {
            fs::remove_file(&folder).expect("what stood in the way");
            fs::rename(self.blocked(), &folder).expect("it was there");
        } else {
            fs::rename(&folder, self.blocked()).expect("it is there");
            // A file where the directory should be.
            fs::write(&folder, "").expect("a writable directory");
        }
    }
}

#[tokio::test]
async fn every_way_of_syncing_keeps_the_contract() {
    for sync in [Fsync::Always, Fsync::Batch, Fsync::Never] {
        let root = tempfile::tempdir().expect("a directory");
        let mut config = Config::new(root.path().join("events/events.ndjson"));
        config.sync = sync;
        let sink = FileSink::new(config, FixedEnv::of_files()).expect("good settings");
        contract(&sink, &Folder { root: root.path().to_owned() }).await;
    }
}
