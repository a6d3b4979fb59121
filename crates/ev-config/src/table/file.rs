//! Files and stdout.

use super::{default, ours};
use crate::options::{Kind, OptionSpec};

pub(super) const OPTIONS: &[OptionSpec] = &[
    ours(
        "file-path",
        Kind::PathOrDash,
        &["EV_FILE_PATH"],
        "forward.file.path",
        "File to which audit events are added, one JSON object a line; `-` is stdout. Setting it turns this sink on, beside the others that are set.",
    ),
    ours(
        "file-session-path",
        Kind::PathOrDash,
        &["EV_FILE_SESSION_PATH"],
        "forward.file.session-path",
        "The same for session recordings, with the session's id in the place of `{session-id}`; without that all go to one file. Default: `sessions/{session-id}.ndjson` beside the file of audit events, or stdout if that is.",
    ),
    default(
        ours(
            "file-rotate-bytes",
            Kind::Number,
            &["EV_FILE_ROTATE_BYTES"],
            "forward.file.rotate-bytes",
            "Size at which a file is put aside, with the time in its name, and a new one begun, 1024 or more; 0 is never. Nothing is ever deleted.",
        ),
        "268435456",
    ),
    default(
        ours(
            "file-rotate-age",
            Kind::Duration,
            &["EV_FILE_ROTATE_AGE"],
            "forward.file.rotate-age",
            "Age at which that is done, 1m or more; 0s is never.",
        ),
        "0s",
    ),
    default(
        ours(
            "file-sync",
            Kind::Choice(&["always", "batch", "never"]),
            &["EV_FILE_SYNC"],
            "forward.file.sync",
            "When the disk has to have what was written: after each event, after each batch before it counts as delivered, or when the operating system thinks so, which may lose delivered events in a power cut.",
        ),
        "batch",
    ),
    default(
        ours(
            "file-batch-age",
            Kind::Duration,
            &["EV_FILE_BATCH_AGE"],
            "forward.file.batch-age",
            "Longest time that an event waits for its batch to fill, 0s to 1m.",
        ),
        "200ms",
    ),
];
