//! What is read, and where from.

use super::{default, ours, reference, support};
use crate::options::{Kind, OptionSpec, Owner, Support};

pub(super) const OPTIONS: &[OptionSpec] = &[
    reference(
        "storage",
        Kind::Path,
        &["FDFWD_STORAGE"],
        "Directory for the state, made if it is not there. Required.",
    ),
    default(
        reference(
            "batch",
            Kind::Number,
            &["FDFWD_BATCH"],
            "Events per page when searching the log, 1 to 5000; not the size of a request to \
             Fluentd.",
        ),
        "20",
    ),
    reference(
        "types",
        Kind::List,
        &["FDFWD_TYPES"],
        "Event types to read, exact names; nothing means all.",
    ),
    reference(
        "skip-event-types",
        Kind::List,
        &["FDFWD_SKIP_EVENT_TYPES"],
        "Event types not to send, exact names.",
    ),
    default(
        reference(
            "skip-session-types",
            Kind::List,
            &["FDFWD_SKIP_SESSION_TYPES"],
            "Event types inside session recordings not to send; `print` holds what was on the \
             terminal.",
        ),
        "print,desktop.recording",
    ),
    reference(
        "start-time",
        Kind::Time,
        &["FDFWD_START_TIME"],
        "Where to start when the state is new, RFC 3339; nothing means now.",
    ),
    default(
        reference(
            "timeout",
            Kind::Duration,
            &["FDFWD_TIMEOUT"],
            "Pause between two looks at the end of the log.",
        ),
        "10s",
    ),
    default(
        reference(
            "dry-run",
            Kind::Switch,
            &["FDFWD_DRY_RUN"],
            "Do everything but sending, locking, and moving the resume point.",
        ),
        "false",
    ),
    OptionSpec {
        owner: Owner::OursBeside,
        ..default(
            ours(
                "dry-run-print",
                Kind::Switch,
                &["EV_DRY_RUN_PRINT"],
                "dry-run-print",
                "In a dry run, print what would be sent to stdout: an event a line.",
            ),
            "false",
        )
    },
    default(
        reference(
            "exit-on-last-event",
            Kind::Switch,
            &["FDFWD_EXIT_ON_LAST_EVENT"],
            "Stop when the end of the log is reached and everything is settled.",
        ),
        "false",
    ),
    default(
        reference(
            "concurrency",
            Kind::Number,
            &["FDFWD_CONCURRENCY"],
            "Session recordings to read at one time, 1 to 1000.",
        ),
        "5",
    ),
    default(
        reference(
            "window-size",
            Kind::Duration,
            &["FDFWD_WINDOW_SIZE"],
            "Stretch of time that one search covers, at least 1s.",
        ),
        "24h",
    ),
    reference(
        "cursor",
        Kind::Text,
        &["FDFWD_CURSOR"],
        "Event id or page key to start behind when the state is new; refused once there is one.",
    ),
    support(
        reference(
            "namespace",
            Kind::Text,
            &["FDFWD_NAMESPACE"],
            "remove it, Teleport has no namespaces any more",
        ),
        Support::Obsolete,
    ),
    default(
        ours(
            "source",
            Kind::Choice(&["auto", "typed", "unstructured", "export"]),
            &["EV_SOURCE"],
            "source",
            "Calls by which events are read from Auth.",
        ),
        "auto",
    ),
    ours(
        "export-chunks",
        Kind::Number,
        &["EV_EXPORT_CHUNKS"],
        "export.chunks",
        "Chunks of one date that the bulk export reads at one time, 1 to 1000; without it a quarter \
         of `concurrency`, and at least 3.",
    ),
    default(
        ours(
            "export-backlog",
            Kind::Number,
            &["EV_EXPORT_BACKLOG"],
            "export.backlog",
            "Dates before the newest one at which the bulk export goes on looking for chunks that \
             Auth adds late, 0 to 31.",
        ),
        "2",
    ),
    default(
        ours(
            "export-poll",
            Kind::Duration,
            &["EV_EXPORT_POLL"],
            "export.poll",
            "Pause between two looks of the bulk export for new chunks of a date, more than 0s.",
        ),
        "16s",
    ),
    default(
        ours(
            "rescan",
            Kind::List,
            &["EV_RESCAN"],
            "rescan",
            "How long after its end a stretch of the log is read again, for events that Auth stored \
             late: up to 8 durations of 1s to 720h, shortest first; an empty list turns it off.",
        ),
        "10m,6h",
    ),
    default(
        ours(
            "recording-patience",
            Kind::Duration,
            &["EV_RECORDING_PATIENCE"],
            "recording-patience",
            "How long a session recording that is missing is asked for before it is given up; 0s \
             means for ever. One that is there and cannot be read is never given up.",
        ),
        "48h",
    ),
    default(
        ours(
            "parked-max-events",
            Kind::Number,
            &["EV_PARKED_MAX_EVENTS"],
            "parked.max-events",
            "Most events that wait in the state because they cannot be decoded or delivered, 1 to \
             1000000000; for what comes beyond see `parked-overflow`.",
        ),
        "1000000",
    ),
    default(
        ours(
            "parked-max-bytes",
            Kind::Number,
            &["EV_PARKED_MAX_BYTES"],
            "parked.max-bytes",
            "Most bytes of such events, 1024 to 1099511627776.",
        ),
        "1073741824",
    ),
    default(
        ours(
            "parked-overflow",
            Kind::Choice(&["stop", "export"]),
            &["EV_PARKED_OVERFLOW"],
            "parked.overflow",
            "What becomes of such events beyond: `stop` lets them and what is behind them stand \
             still, `export` writes them to files in `parked` in the storage directory and goes on.",
        ),
        "stop",
    ),
];
