//! Settings of a file sink.

use std::path::PathBuf;
use std::time::Duration;

/// Where and how to write. Checked by [`crate::FileSink::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file of audit events; `-` is stdout.
    pub path: PathBuf,
    /// The files of session recordings, with the session's id in the place of `{session-id}`;
    /// without that, one file for all. `-` is stdout.
    pub session_path: PathBuf,
    /// When a file is put aside and a new one begun.
    pub rotation: Rotation,
    /// When the disk has to have what was written.
    pub sync: Fsync,
    /// Most events in a batch; at least 1.
    pub max_events: usize,
    /// Most bytes in a batch; at least 1.
    pub max_bytes: usize,
}

impl Config {
    /// Recordings in `sessions/<id>.ndjson` beside the file of audit events, or on stdout too;
    /// rotated at 256 MiB, synced after each batch of at most 500 events or 1 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let session_path = match path.as_os_str() == "-" {
            true => path.clone(),
            false => path.with_file_name("sessions").join("{session-id}.ndjson"),
        };
        Self {
            path,
            session_path,
            rotation: Rotation::default(),
            sync: Fsync::Batch,
            max_events: 500,
            max_bytes: 1024 * 1024,
        }
    }
}

/// When a file is put aside. It gets the time of that into its name, `events.2026-11-23T01-02-03Z.ndjson`,
/// and is never touched again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// When it has this many bytes and more are to come; `None` for never.
    pub bytes: Option<u64>,
    /// When it was made that long ago and more is to come; `None` for never.
    pub age: Option<Duration>,
}

impl Default for Rotation {
    /// At 256 MiB, at no age.
    fn default() -> Self {
        Self { bytes: Some(256 << 20), age: None }
    }
}

/// When the disk has to have what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// After each event.
    Always,
    /// After each batch, before it counts as delivered.
    #[default]
    Batch,
    /// When the operating system thinks so: a power cut may lose delivered events.
    Never,
}
