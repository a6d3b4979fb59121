//! The one table of options: names, defaults and help of every setting.
//!
//! The reference handler's are as its newest release has them, environment names of all releases
//! included; `FDWRD_` is its own misspelling, which deployments in the field use.

use crate::options::{Group, Kind, OptionSpec, Owner, Support, Toml};

const fn reference(
    name: &'static str,
    kind: Kind,
    env: &'static [&'static str],
    group: Group,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        short: None,
        kind,
        env,
        toml: Toml::AsReference,
        default: None,
        group,
        owner: Owner::Reference,
        support: Support::Full,
        help,
    }
}

const fn ours(
    name: &'static str,
    kind: Kind,
    env: &'static [&'static str],
    path: &'static str,
    group: Group,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        toml: Toml::At(path),
        owner: Owner::Ours,
        ..reference(name, kind, env, group, help)
    }
}

const fn default(option: OptionSpec, default: &'static str) -> OptionSpec {
    OptionSpec { default: Some(default), ..option }
}

const fn support(option: OptionSpec, support: Support) -> OptionSpec {
    OptionSpec { support, ..option }
}

pub(crate) const OPTIONS: &[OptionSpec] = &[
    // General.
    OptionSpec {
        short: Some('c'),
        toml: Toml::No,
        ..reference(
            "config",
            Kind::File,
            &["FDFWD_CONFIG"],
            Group::General,
            "TOML file with settings.",
        )
    },
    OptionSpec {
        short: Some('d'),
        ..default(
            reference(
                "debug",
                Kind::Switch,
                &["FDFWD_DEBUG"],
                Group::General,
                "Log what is done in detail; never event bodies.",
            ),
            "false",
        )
    },
    OptionSpec {
        toml: Toml::No,
        owner: Owner::OursForChecking,
        ..default(
            ours(
                "strict",
                Kind::Switch,
                &["EV_STRICT"],
                "",
                Group::General,
                "Refuse to start when the TOML file has an unknown key, a value is misspelt or has no effect, \
                 or an address is not encrypted: what is otherwise a warning.",
            ),
            "false",
        )
    },
    default(
        ours(
            "log-format",
            Kind::Choice(&["text", "json"]),
            &["EV_LOG_FORMAT"],
            "log.format",
            Group::General,
            "Form of the log lines on stderr.",
        ),
        "text",
    ),
    ours(
        "diag-addr",
        Kind::Text,
        &["EV_DIAG_ADDR"],
        "diag-addr",
        Group::General,
        "Address on which metrics, health and a status page are served, as `127.0.0.1:3000`; \
         `:3000` is that port on all addresses. Without it nothing is served.",
    ),
    // Teleport.
    default(
        reference(
            "teleport-addr",
            Kind::Text,
            &["FDFWD_TELEPORT_ADDR"],
            Group::Teleport,
            "Address of the Teleport Auth service, host:port.",
        ),
        "localhost:3025",
    ),
    reference(
        "teleport-identity",
        Kind::File,
        &["FDFWD_TELEPORT_IDENTITY"],
        Group::Teleport,
        "Identity file, as tctl or tbot writes it. Excludes the three key files.",
    ),
    default(
        reference(
            "teleport-refresh-enabled",
            Kind::Switch,
            &["FDFWD_TELEPORT_REFRESH_ENABLED"],
            Group::Teleport,
            "Read the identity or key files again when they change.",
        ),
        // The reference handler's is false; nobody wants a process that dies with its first
        // identity, so here only an explicit `false` turns it off.
        "true",
    ),
    default(
        reference(
            "teleport-refresh-interval",
            Kind::Duration,
            &["FDFWD_TELEPORT_REFRESH_INTERVAL"],
            Group::Teleport,
            "Longest time until a change of these files is noticed.",
        ),
        "1m",
    ),
    reference(
        "teleport-ca",
        Kind::File,
        &["FDFWD_TELEPORT_CA"],
        Group::Teleport,
        "CA certificates of the Auth service; with the certificate and the key.",
    ),
    reference(
        "teleport-cert",
        Kind::File,
        &["FDFWD_TELEPORT_CERT", "FDWRD_TELEPORT_CERT"],
        Group::Teleport,
        "Client certificate; with the key and the CA.",
    ),
    reference(
        "teleport-key",
        Kind::File,
        &["FDFWD_TELEPORT_KEY"],
        Group::Teleport,
        "Private key of the client certificate.",
    ),
    support(
        reference(
            "teleport-debug",
            Kind::Switch,
            &[],
            Group::Teleport,
            "use `debug`, which is for the whole program",
        ),
        Support::Obsolete,
    ),
    ours(
        "teleport-proxy-ca",
        Kind::File,
        &["EV_TELEPORT_PROXY_CA"],
        "teleport.proxy-ca",
        Group::Teleport,
        "CA certificates of the Proxy's web service, when `teleport.addr` is that of a Proxy; \
         without it the system's.",
    ),
    // Fluentd.
    reference(
        "fluentd-url",
        Kind::Url,
        &["FDFWD_FLUENTD_URL"],
        Group::Fluentd,
        "Where audit events go; the path is Fluentd's tag. Required.",
    ),
    reference(
        "fluentd-session-url",
        Kind::Url,
        &["FDFWD_FLUENTD_SESSION_URL"],
        Group::Fluentd,
        "Where session recordings go; `.<session id>.log` is put behind it, or the id alone in the \
         place of `{session-id}` if it has that. Required.",
    ),
    reference(
        "fluentd-cert",
        Kind::File,
        &["FDFWD_FLUENTD_CERT", "FDWRD_FLUENTD_CERT"],
        Group::Fluentd,
        "Client certificate for Fluentd; with its key.",
    ),
    reference(
        "fluentd-key",
        Kind::File,
        &["FDFWD_FLUENTD_KEY", "FDWRD_FLUENTD_KEY"],
        Group::Fluentd,
        "Private key of that certificate.",
    ),
    reference(
        "fluentd-ca",
        Kind::File,
        &["FDFWD_FLUENTD_CA", "FDWRD_FLUENTD_CA"],
        Group::Fluentd,
        "CA certificates of Fluentd; without it the system's.",
    ),
    reference(
        "fluentd-max-connections",
        Kind::Number,
        &["FDFWD_MAX_CONNECTIONS", "FDWRD_MAX_CONNECTIONS"],
        Group::Fluentd,
        "Most requests to Fluentd at one time; less than 1, or nothing, means twice `concurrency` in \
         batch mode `single`, and 4 in batch mode `array`.",
    ),
    default(
        ours(
            "fluentd-in-flight",
            Kind::Choice(&["adaptive", "fixed"]),
            &["EV_FLUENTD_IN_FLIGHT"],
            "forward.fluentd.in-flight",
            Group::Fluentd,
            "Requests to Fluentd at one time: between one and `max-connections`, by how fast and \
             how well it answers, or always `max-connections`.",
        ),
        "adaptive",
    ),
    ours(
        "fluentd-batch-mode",
        Kind::Choice(&["array", "single"]),
        &["EV_FLUENTD_BATCH_MODE"],
        "forward.fluentd.batch-mode",
        Group::Fluentd,
        "A JSON array of events in a request, or one event as the reference handler sends it. \
         Default: `single` when only settings of the reference handler are used, else `array`.",
    ),
    default(
        ours(
            "fluentd-body",
            Kind::Choice(&["json", "ndjson", "splunk-hec", "loki"]),
            &["EV_FLUENTD_BODY"],
            "forward.fluentd.body",
            Group::Fluentd,
            "How the events of a request stand in its body: as JSON object or array, a line each, \
             as Splunk's HTTP event collector takes them, or as a push to Loki. The last two name \
             the recording in the body, so nothing is put behind `session-url`.",
        ),
        "json",
    ),
    ours(
        "fluentd-headers",
        Kind::Headers,
        &["EV_FLUENTD_HEADERS"],
        "forward.fluentd.headers",
        Group::Fluentd,
        "Headers that every request has, each as `Name: value`; values are never printed. Not \
         those that HTTP itself needs.",
    ),
    ours(
        "fluentd-token-file",
        Kind::File,
        &["EV_FLUENTD_TOKEN_FILE"],
        "forward.fluentd.token-file",
        Group::Fluentd,
        "File with a token that is sent in `Authorization`. A changed file is noticed within \
         `refresh-interval`, and at once when the receiver refuses the token.",
    ),
    default(
        ours(
            "fluentd-token-scheme",
            Kind::Text,
            &["EV_FLUENTD_TOKEN_SCHEME"],
            "forward.fluentd.token-scheme",
            Group::Fluentd,
            "What stands in front of the token; Splunk's collector wants `Splunk`.",
        ),
        "Bearer",
    ),
    default(
        ours(
            "fluentd-batch-events",
            Kind::Number,
            &["EV_FLUENTD_BATCH_EVENTS"],
            "forward.fluentd.batch-events",
            Group::Fluentd,
            "Most events in an array, 1 to 10000.",
        ),
        "500",
    ),
    default(
        ours(
            "fluentd-batch-bytes",
            Kind::Number,
            &["EV_FLUENTD_BATCH_BYTES"],
            "forward.fluentd.batch-bytes",
            Group::Fluentd,
            "Most bytes in an array, 1024 to 33554432; a larger event goes alone.",
        ),
        "1048576",
    ),
    default(
        ours(
            "fluentd-batch-age",
            Kind::Duration,
            &["EV_FLUENTD_BATCH_AGE"],
            "forward.fluentd.batch-age",
            Group::Fluentd,
            "Longest time that an event waits for its array to fill, 0s to 1m.",
        ),
        "200ms",
    ),
    ours(
        "fluentd-gzip",
        Kind::Choice(&["off", "auto", "always"]),
        &["EV_FLUENTD_GZIP"],
        "forward.fluentd.gzip",
        Group::Fluentd,
        "Requests that are compressed: none, those above `gzip-above` if they shrink, or all. Every \
         Fluentd takes gzip without being told. Arrays of events shrink to less than a third, for \
         some 8 µs of CPU time an event. Default: `auto` in batch mode `array`; `off` in batch \
         mode `single`, whose requests are those of the reference handler.",
    ),
    default(
        ours(
            "fluentd-gzip-above",
            Kind::Number,
            &["EV_FLUENTD_GZIP_ABOVE"],
            "forward.fluentd.gzip-above",
            Group::Fluentd,
            "Largest body, in bytes, that `gzip` `auto` leaves as it is, 0 to 33554432; below the \
             default compressing saves no packet worth its time.",
        ),
        "8192",
    ),
    default(
        ours(
            "fluentd-id-headers",
            Kind::Switch,
            &["EV_FLUENTD_ID_HEADERS"],
            "forward.fluentd.id-headers",
            Group::Fluentd,
            "Send ids by which a receiver can drop repeats: `Ev-Batch-Id`, the same for all \
             attempts of a batch, and in batch mode `single` `Ev-Event-Id`. Fluentd takes no notice \
             of them.",
        ),
        "true",
    ),
    default(
        ours(
            "fluentd-connect-timeout",
            Kind::Duration,
            &["EV_FLUENTD_CONNECT_TIMEOUT"],
            "forward.fluentd.connect-timeout",
            Group::Fluentd,
            "Longest time until a TCP connection to Fluentd is there, name resolution included, \
             100ms to 10m.",
        ),
        "5s",
    ),
    default(
        ours(
            "fluentd-handshake-timeout",
            Kind::Duration,
            &["EV_FLUENTD_HANDSHAKE_TIMEOUT"],
            "forward.fluentd.handshake-timeout",
            Group::Fluentd,
            "Longest time for the TLS handshake with Fluentd, 100ms to 10m; one that restarts lets \
             it hang for seconds.",
        ),
        "5s",
    ),
    default(
        ours(
            "fluentd-request-timeout",
            Kind::Duration,
            &["EV_FLUENTD_REQUEST_TIMEOUT"],
            "forward.fluentd.request-timeout",
            Group::Fluentd,
            "Longest time until a whole request has been taken by the network, 100ms to 10m.",
        ),
        "30s",
    ),
    default(
        ours(
            "fluentd-response-timeout",
            Kind::Duration,
            &["EV_FLUENTD_RESPONSE_TIMEOUT"],
            "forward.fluentd.response-timeout",
            Group::Fluentd,
            "Longest time from then until Fluentd's whole answer is there, 100ms to 10m; without \
             one it is unknown whether the request was stored, and it is sent again.",
        ),
        "30s",
    ),
    default(
        ours(
            "fluentd-probe-receiver",
            Kind::Switch,
            &["EV_FLUENTD_PROBE_RECEIVER"],
            "forward.fluentd.probe-receiver",
            Group::Fluentd,
            "Ask Fluentd at the start whether it stores what it is sent, as far as that can be told \
             without sending an event, and log the answer; events flow whatever it is.",
        ),
        "false",
    ),
    ours(
        "fluentd-key-passphrase-file",
        Kind::File,
        &["EV_FLUENTD_KEY_PASSPHRASE_FILE"],
        "forward.fluentd.key-passphrase-file",
        Group::Fluentd,
        "File with the passphrase of the private key for Fluentd, when that is encrypted.",
    ),
    default(
        ours(
            "fluentd-key-passphrase-env",
            Kind::Text,
            &["EV_FLUENTD_KEY_PASSPHRASE_ENV"],
            "forward.fluentd.key-passphrase-env",
            Group::Fluentd,
            "Name of the environment variable that holds that passphrase, when no file does.",
        ),
        "EV_FLUENTD_KEY_PASSPHRASE",
    ),
    default(
        ours(
            "fluentd-refresh-interval",
            Kind::Duration,
            &["EV_FLUENTD_REFRESH_INTERVAL"],
            "forward.fluentd.refresh-interval",
            Group::Fluentd,
            "Longest time until a change of the certificate, key and CA files for Fluentd is \
             noticed, 1s to 1h. Files that cannot be used are reported once, and those in use stay.",
        ),
        "30s",
    ),
    // The Forward protocol.
    ours(
        "forward-url",
        Kind::Text,
        &["EV_FORWARD_URL"],
        "forward.forward.url",
        Group::Forward,
        "A receiver of Fluentd's Forward protocol: `tls://host:port`, or `tcp://host:port` without encryption; without a port 24224. Setting it turns this sink on, beside the others that are set.",
    ),
    default(
        ours(
            "forward-tag",
            Kind::Text,
            &["EV_FORWARD_TAG"],
            "forward.forward.tag",
            Group::Forward,
            "Tag of audit events.",
        ),
        "events.log",
    ),
    default(
        ours(
            "forward-session-tag",
            Kind::Text,
            &["EV_FORWARD_SESSION_TAG"],
            "forward.forward.session-tag",
            Group::Forward,
            "Tag of session recordings; `.<session id>.log` is put behind it, or the id alone in the place of `{session-id}` if it has that.",
        ),
        "session",
    ),
    ours(
        "forward-ca",
        Kind::File,
        &["EV_FORWARD_CA"],
        "forward.forward.ca",
        Group::Forward,
        "CA certificates of the receiver; without it the system's.",
    ),
    ours(
        "forward-cert",
        Kind::File,
        &["EV_FORWARD_CERT"],
        "forward.forward.cert",
        Group::Forward,
        "Client certificate for the receiver; with its key.",
    ),
    ours(
        "forward-key",
        Kind::File,
        &["EV_FORWARD_KEY"],
        "forward.forward.key",
        Group::Forward,
        "Private key of that certificate.",
    ),
    ours(
        "forward-key-passphrase-file",
        Kind::File,
        &["EV_FORWARD_KEY_PASSPHRASE_FILE"],
        "forward.forward.key-passphrase-file",
        Group::Forward,
        "File with the passphrase of that key, when it is encrypted.",
    ),
    default(
        ours(
            "forward-refresh-interval",
            Kind::Duration,
            &["EV_FORWARD_REFRESH_INTERVAL"],
            "forward.forward.refresh-interval",
            Group::Forward,
            "Longest time until a change of these files is noticed, 1s to 1h.",
        ),
        "30s",
    ),
    ours(
        "forward-shared-key",
        Kind::Secret,
        &["EV_FORWARD_SHARED_KEY"],
        "forward.forward.shared-key",
        Group::Forward,
        "The `shared_key` of the receiver's `<security>` section. Flags can be seen by everybody on the machine: the file or the variable is the better place. Never printed.",
    ),
    ours(
        "forward-shared-key-file",
        Kind::File,
        &["EV_FORWARD_SHARED_KEY_FILE"],
        "forward.forward.shared-key-file",
        Group::Forward,
        "File with that key, instead of the key itself; one line end behind it does not belong to it.",
    ),
    ours(
        "forward-user",
        Kind::Text,
        &["EV_FORWARD_USER"],
        "forward.forward.user",
        Group::Forward,
        "User, where the receiver has `user_auth`; with its password and the shared key.",
    ),
    ours(
        "forward-password",
        Kind::Secret,
        &["EV_FORWARD_PASSWORD"],
        "forward.forward.password",
        Group::Forward,
        "Password of that user. Never printed.",
    ),
    ours(
        "forward-password-file",
        Kind::File,
        &["EV_FORWARD_PASSWORD_FILE"],
        "forward.forward.password-file",
        Group::Forward,
        "File with that password, instead of the password itself.",
    ),
    default(
        ours(
            "forward-max-connections",
            Kind::Number,
            &["EV_FORWARD_MAX_CONNECTIONS"],
            "forward.forward.max-connections",
            Group::Forward,
            "Most chunks under way at one time, each on a connection of its own, 1 to 10000.",
        ),
        "4",
    ),
    default(
        ours(
            "forward-batch-events",
            Kind::Number,
            &["EV_FORWARD_BATCH_EVENTS"],
            "forward.forward.batch-events",
            Group::Forward,
            "Most events in a chunk, 1 to 10000.",
        ),
        "500",
    ),
    default(
        ours(
            "forward-batch-bytes",
            Kind::Number,
            &["EV_FORWARD_BATCH_BYTES"],
            "forward.forward.batch-bytes",
            Group::Forward,
            "Most bytes of JSON in a chunk, 1024 to 33554432; a larger event goes alone. Must stay below the receiver's `chunk_size_limit`, above which it drops a chunk without a word.",
        ),
        "1048576",
    ),
    default(
        ours(
            "forward-batch-age",
            Kind::Duration,
            &["EV_FORWARD_BATCH_AGE"],
            "forward.forward.batch-age",
            Group::Forward,
            "Longest time that an event waits for its chunk to fill, 0s to 1m.",
        ),
        "200ms",
    ),
    default(
        ours(
            "forward-gzip",
            Kind::Choice(&["off", "auto", "always"]),
            &["EV_FORWARD_GZIP"],
            "forward.forward.gzip",
            Group::Forward,
            "Chunks that are compressed: none, those above `gzip-above` if they shrink, or all.",
        ),
        "auto",
    ),
    default(
        ours(
            "forward-gzip-above",
            Kind::Number,
            &["EV_FORWARD_GZIP_ABOVE"],
            "forward.forward.gzip-above",
            Group::Forward,
            "Largest chunk, in bytes, that `gzip` `auto` leaves as it is, 0 to 33554432.",
        ),
        "8192",
    ),
    default(
        ours(
            "forward-connect-timeout",
            Kind::Duration,
            &["EV_FORWARD_CONNECT_TIMEOUT"],
            "forward.forward.connect-timeout",
            Group::Forward,
            "Longest time until a TCP connection is there, name resolution included, 100ms to 10m.",
        ),
        "5s",
    ),
    default(
        ours(
            "forward-handshake-timeout",
            Kind::Duration,
            &["EV_FORWARD_HANDSHAKE_TIMEOUT"],
            "forward.forward.handshake-timeout",
            Group::Forward,
            "Longest time for the TLS handshake, and then again for that of the shared key, 100ms to 10m.",
        ),
        "5s",
    ),
    default(
        ours(
            "forward-request-timeout",
            Kind::Duration,
            &["EV_FORWARD_REQUEST_TIMEOUT"],
            "forward.forward.request-timeout",
            Group::Forward,
            "Longest time until a whole chunk has been taken by the network, 100ms to 10m.",
        ),
        "30s",
    ),
    default(
        ours(
            "forward-ack-timeout",
            Kind::Duration,
            &["EV_FORWARD_ACK_TIMEOUT"],
            "forward.forward.ack-timeout",
            Group::Forward,
            "Longest time from then until the receiver's acknowledgement, 100ms to 10m; without one it is unknown whether the chunk was stored, its connection is dropped, and it is sent again.",
        ),
        "1m",
    ),
    // Files and stdout.
    ours(
        "file-path",
        Kind::PathOrDash,
        &["EV_FILE_PATH"],
        "forward.file.path",
        Group::File,
        "File to which audit events are added, one JSON object a line; `-` is stdout. Setting it turns this sink on, beside the others that are set.",
    ),
    ours(
        "file-session-path",
        Kind::PathOrDash,
        &["EV_FILE_SESSION_PATH"],
        "forward.file.session-path",
        Group::File,
        "The same for session recordings, with the session's id in the place of `{session-id}`; without that all go to one file. Default: `sessions/{session-id}.ndjson` beside the file of audit events, or stdout if that is.",
    ),
    default(
        ours(
            "file-rotate-bytes",
            Kind::Number,
            &["EV_FILE_ROTATE_BYTES"],
            "forward.file.rotate-bytes",
            Group::File,
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
            Group::File,
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
            Group::File,
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
            Group::File,
            "Longest time that an event waits for its batch to fill, 0s to 1m.",
        ),
        "200ms",
    ),
    // Ingestion.
    reference(
        "storage",
        Kind::Path,
        &["FDFWD_STORAGE"],
        Group::Ingest,
        "Directory for the state, made if it is not there. Required.",
    ),
    default(
        reference(
            "batch",
            Kind::Number,
            &["FDFWD_BATCH"],
            Group::Ingest,
            "Events per page when searching the log, 1 to 5000; not the size of a request to \
             Fluentd.",
        ),
        "20",
    ),
    reference(
        "types",
        Kind::List,
        &["FDFWD_TYPES"],
        Group::Ingest,
        "Event types to read, exact names; nothing means all.",
    ),
    reference(
        "skip-event-types",
        Kind::List,
        &["FDFWD_SKIP_EVENT_TYPES"],
        Group::Ingest,
        "Event types not to send, exact names.",
    ),
    default(
        reference(
            "skip-session-types",
            Kind::List,
            &["FDFWD_SKIP_SESSION_TYPES"],
            Group::Ingest,
            "Event types inside session recordings not to send; `print` holds what was on the \
             terminal.",
        ),
        "print,desktop.recording",
    ),
    reference(
        "start-time",
        Kind::Time,
        &["FDFWD_START_TIME"],
        Group::Ingest,
        "Where to start when the state is new, RFC 3339; nothing means now.",
    ),
    default(
        reference(
            "timeout",
            Kind::Duration,
            &["FDFWD_TIMEOUT"],
            Group::Ingest,
            "Pause between two looks at the end of the log.",
        ),
        "10s",
    ),
    default(
        reference(
            "dry-run",
            Kind::Switch,
            &["FDFWD_DRY_RUN"],
            Group::Ingest,
            "Do everything but sending, locking, and moving the resume point.",
        ),
        "false",
    ),
    OptionSpec {
        owner: Owner::OursForChecking,
        ..default(
            ours(
                "dry-run-print",
                Kind::Switch,
                &["EV_DRY_RUN_PRINT"],
                "dry-run-print",
                Group::Ingest,
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
            Group::Ingest,
            "Stop when the end of the log is reached and everything is settled.",
        ),
        "false",
    ),
    default(
        reference(
            "concurrency",
            Kind::Number,
            &["FDFWD_CONCURRENCY"],
            Group::Ingest,
            "Session recordings to read at one time, 1 to 1000.",
        ),
        "5",
    ),
    default(
        reference(
            "window-size",
            Kind::Duration,
            &["FDFWD_WINDOW_SIZE"],
            Group::Ingest,
            "Stretch of time that one search covers, at least 1s.",
        ),
        "24h",
    ),
    reference(
        "cursor",
        Kind::Text,
        &["FDFWD_CURSOR"],
        Group::Ingest,
        "Event id or page key to start behind when the state is new; refused once there is one.",
    ),
    support(
        reference(
            "namespace",
            Kind::Text,
            &["FDFWD_NAMESPACE"],
            Group::Ingest,
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
            Group::Ingest,
            "Calls by which events are read from Auth.",
        ),
        "auto",
    ),
    ours(
        "export-chunks",
        Kind::Number,
        &["EV_EXPORT_CHUNKS"],
        "export.chunks",
        Group::Ingest,
        "Chunks of one date that the bulk export reads at one time, 1 to 1000; without it a quarter \
         of `concurrency`, and at least 3.",
    ),
    default(
        ours(
            "export-backlog",
            Kind::Number,
            &["EV_EXPORT_BACKLOG"],
            "export.backlog",
            Group::Ingest,
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
            Group::Ingest,
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
            Group::Ingest,
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
            Group::Ingest,
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
            Group::Ingest,
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
            Group::Ingest,
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
            Group::Ingest,
            "What becomes of such events beyond: `stop` lets them and what is behind them stand \
             still, `export` writes them to files in `parked` in the storage directory and goes on.",
        ),
        "stop",
    ),
    // Decoding.
    default(
        ours(
            "json-flavour",
            Kind::Choice(&["auto", "go", "struct"]),
            &["EV_JSON_FLAVOUR"],
            "json-flavour",
            Group::Decoder,
            "Form of the JSON: Go's struct order (by the typed calls alone), or sorted keys. Fixed when the state is new: by `auto`, sorted for one that is taken over or begins with JSON of Auth's.",
        ),
        "auto",
    ),
    default(
        ours(
            "print-data",
            Kind::Switch,
            &["EV_PRINT_DATA"],
            "print-data",
            Group::Decoder,
            "Add the terminal's bytes to `print` events in the `go` flavour.",
        ),
        "false",
    ),
    ours(
        "decoder-trust",
        Kind::File,
        &["EV_DECODER_TRUST"],
        "decoder.trust",
        Group::Decoder,
        "Public keys whose decoder artifacts are trusted; without it none is.",
    ),
    ours(
        "decoder-artifacts",
        Kind::DirectoryOrUrl,
        &["EV_DECODER_ARTIFACTS"],
        "decoder.artifacts",
        Group::Decoder,
        "Directory with signed decoder artifacts, or `https` address of one, asked before Auth.",
    ),
    ours(
        "decoder-artifacts-ca",
        Kind::File,
        &["EV_DECODER_ARTIFACTS_CA"],
        "decoder.artifacts-ca",
        Group::Decoder,
        "CA certificates of the server with artifacts; without it the system's.",
    ),
    ours(
        "decoder-artifacts-cert",
        Kind::File,
        &["EV_DECODER_ARTIFACTS_CERT"],
        "decoder.artifacts-cert",
        Group::Decoder,
        "Client certificate for the server with artifacts; with its key.",
    ),
    ours(
        "decoder-artifacts-key",
        Kind::File,
        &["EV_DECODER_ARTIFACTS_KEY"],
        "decoder.artifacts-key",
        Group::Decoder,
        "Private key of that certificate.",
    ),
    default(
        ours(
            "decoder-version-policy",
            Kind::Choice(&["exact", "nearest-newer-in-major"]),
            &["EV_DECODER_VERSION_POLICY"],
            "decoder.version-policy",
            Group::Decoder,
            "Take artifacts of Auth's very version only, or, where `decoder.artifacts` has none, \
             the nearest newer one of the same major; its events count as inexact.",
        ),
        "exact",
    ),
    default(
        ours(
            "decoder-exactness",
            Kind::Choice(&["auth", "known-native"]),
            &["EV_DECODER_EXACTNESS"],
            "decoder.exactness",
            Group::Decoder,
            "Decode every event with the schema of Auth's version, or known events with the \
             nearest built-in one.",
        ),
        "auth",
    ),
    default(
        ours(
            "decoder-unknown",
            Kind::Choice(&["auto", "park", "incomplete"]),
            &["EV_DECODER_UNKNOWN"],
            "decoder.unknown",
            Group::Decoder,
            "Park an event with unknown fields, or send the known part, when no artifact is to \
             be had. `auto`: park when artifacts are offered or configured.",
        ),
        "auto",
    ),
    default(
        ours(
            "decoder-artifact-wait",
            Kind::Duration,
            &["EV_DECODER_ARTIFACT_WAIT"],
            "decoder.artifact-wait",
            Group::Decoder,
            "How long events wait for an artifact that is offered but not usable yet, 0s to 24h.",
        ),
        "60s",
    ),
    default(
        ours(
            "decoder-embedded",
            Kind::Choice(&["all", "oldest"]),
            &["EV_DECODER_EMBEDDED"],
            "decoder.embedded",
            Group::Decoder,
            "Built-in schemas to use; `oldest` is for demonstrations and tests.",
        ),
        "all",
    ),
    default(
        ours(
            "decoder-downgrade",
            Kind::Choice(&["always", "within-minor", "never"]),
            &["EV_DECODER_DOWNGRADE"],
            "decoder.downgrade",
            Group::Decoder,
            "Whether an artifact of an older Auth version than seen before is taken.",
        ),
        "always",
    ),
    default(
        ours(
            "allow-wasi-modules",
            Kind::Switch,
            &["EV_ALLOW_WASI_MODULES"],
            "decoder.allow-wasi-modules",
            Group::Decoder,
            "Take decoder modules of toolchains that need WASI (Go): up to 32 MiB, 256 MiB of \
             memory, 10 s to compile. They still reach nothing.",
        ),
        "false",
    ),
    // Locking.
    default(
        reference(
            "lock-enabled",
            Kind::Switch,
            &["FDFWD_LOCKING_ENABLED"],
            Group::Lock,
            "Lock users out after failed logins.",
        ),
        "false",
    ),
    default(
        reference(
            "lock-failed-attempts-count",
            Kind::Number,
            &["FDFWD_LOCKING_FAILED_ATTEMPTS"],
            Group::Lock,
            "Failed logins within the period that are let pass, at least 1; each one more locks.",
        ),
        "3",
    ),
    default(
        reference(
            "lock-period",
            Kind::Duration,
            &["FDFWD_LOCKING_PERIOD"],
            Group::Lock,
            "Time within which they count.",
        ),
        "1m",
    ),
    reference(
        "lock-for",
        Kind::Duration,
        &["FDFWD_LOCKING_FOR"],
        Group::Lock,
        "How long the lock lasts; nothing or 0 means for ever.",
    ),
    // The handler's own security events.
    ours(
        "audit-endpoint",
        Kind::Text,
        &["EV_AUDIT_ENDPOINT"],
        "audit.endpoint",
        Group::Audit,
        "Where an agent takes security events of the handler itself: `unix` for its usual sockets, \
         `unix:PATH`, or `tcp:HOST:PORT`; without it none are sent.",
    ),
    ours(
        "audit-service",
        Kind::Text,
        &["EV_AUDIT_SERVICE"],
        "audit.service",
        Group::Audit,
        "Service tree id under which they are sent, a GUID.",
    ),
    default(
        ours(
            "audit-plane",
            Kind::Choice(&["control", "data"]),
            &["EV_AUDIT_PLANE"],
            "audit.plane",
            Group::Audit,
            "Plane that they belong to.",
        ),
        "control",
    ),
    ours(
        "audit-caller",
        Kind::Text,
        &["EV_AUDIT_CALLER"],
        "audit.caller",
        Group::Audit,
        "IP address of the handler in them; without it that from which Auth is reached.",
    ),
];
