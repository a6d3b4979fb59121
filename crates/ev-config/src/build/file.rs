//! Files and stdout.

use std::path::{Path, PathBuf};

use super::fluentd::SESSION_ID;
use super::{Build, HOUR, SECOND};
use crate::settings::{FileOutput, FileSync};

/// Where recordings go when nobody says so, beside the file of audit events.
const SESSIONS: &str = "sessions/{session-id}.ndjson";
/// Smaller files would hold hardly an event.
const LEAST_BYTES: i64 = 1024;

impl Build<'_> {
    pub(super) fn file(&mut self) -> Option<FileOutput> {
        let path = self.path("file-path");
        let session_path = self.path("file-session-path");
        if let Some(session_path) = &session_path
            && let Some(text) = session_path.to_str()
            && text.contains('{')
            && !text.contains(SESSION_ID)
        {
            let message = format!("holds a brace and no `{SESSION_ID}`, which alone is replaced");
            self.warn("file-session-path", message);
        }
        let rotate_bytes = match self.number("file-rotate-bytes") {
            0 => 0,
            _ => self.ranged("file-rotate-bytes", LEAST_BYTES, i64::MAX),
        };
        let rotate_age = match self.duration("file-rotate-age", 0, 366 * 24 * HOUR) {
            age if age.is_zero() => None,
            _ => Some(self.duration("file-rotate-age", 60 * SECOND, 366 * 24 * HOUR)),
        };
        let sync = match self.choice("file-sync") {
            "always" => FileSync::Always,
            "never" => FileSync::Never,
            _ => FileSync::Batch,
        };
        let max_age = self.duration("file-batch-age", 0, 60 * SECOND);
        let path = path?;
        Some(FileOutput {
            session_path: session_path.unwrap_or_else(|| beside(&path)),
            path,
            rotate_bytes: u64::try_from(rotate_bytes).ok().filter(|bytes| *bytes > 0),
            rotate_age,
            sync,
            max_age,
        })
    }
}

fn beside(path: &Path) -> PathBuf {
    if path.as_os_str() == "-" { path.to_owned() } else { path.with_file_name(SESSIONS) }
}
