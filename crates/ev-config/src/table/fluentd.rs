//! The receiver by HTTP.

use super::{default, ours, reference};
use crate::options::{Kind, OptionSpec};

pub(super) const OPTIONS: &[OptionSpec] = &[
    reference(
        "fluentd-url",
        Kind::Url,
        &["FDFWD_FLUENTD_URL"],
        "Where audit events go; the path is Fluentd's tag. Required.",
    ),
    reference(
        "fluentd-session-url",
        Kind::Url,
        &["FDFWD_FLUENTD_SESSION_URL"],
        "Where session recordings go; `.<session id>.log` is put behind it, or the id alone in the \
         place of `{session-id}` if it has that. Required.",
    ),
    reference(
        "fluentd-cert",
        Kind::File,
        &["FDFWD_FLUENTD_CERT", "FDWRD_FLUENTD_CERT"],
        "Client certificate for Fluentd; with its key.",
    ),
    reference(
        "fluentd-key",
        Kind::File,
        &["FDFWD_FLUENTD_KEY", "FDWRD_FLUENTD_KEY"],
        "Private key of that certificate.",
    ),
    reference(
        "fluentd-ca",
        Kind::File,
        &["FDFWD_FLUENTD_CA", "FDWRD_FLUENTD_CA"],
        "CA certificates of Fluentd; without it the system's.",
    ),
    reference(
        "fluentd-max-connections",
        Kind::Number,
        &["FDFWD_MAX_CONNECTIONS", "FDWRD_MAX_CONNECTIONS"],
        "Most requests to Fluentd at one time; less than 1, or nothing, means twice `concurrency` in \
         batch mode `single`, and 4 in batch mode `array`.",
    ),
    default(
        ours(
            "fluentd-in-flight",
            Kind::Choice(&["adaptive", "fixed"]),
            &["EV_FLUENTD_IN_FLIGHT"],
            "forward.fluentd.in-flight",
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
        "A JSON array of events in a request, or one event as the reference handler sends it. \
         Default: `single` when no setting of ours is used that is about what is sent, else `array`; \
         those for checking, logging and watching are not (`strict`, `dry-run-print`, `diag-addr`, \
         `[log]`, `[audit]`).",
    ),
    default(
        ours(
            "fluentd-body",
            Kind::Choice(&["json", "ndjson", "splunk-hec", "loki"]),
            &["EV_FLUENTD_BODY"],
            "forward.fluentd.body",
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
        "Headers that every request has, each as `Name: value`; values are never printed. Not \
         those that HTTP itself needs.",
    ),
    ours(
        "fluentd-token-file",
        Kind::File,
        &["EV_FLUENTD_TOKEN_FILE"],
        "forward.fluentd.token-file",
        "File with a token that is sent in `Authorization`. A changed file is noticed within \
         `refresh-interval`, and at once when the receiver refuses the token.",
    ),
    default(
        ours(
            "fluentd-token-scheme",
            Kind::Text,
            &["EV_FLUENTD_TOKEN_SCHEME"],
            "forward.fluentd.token-scheme",
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
            "Longest time that an event waits for its array to fill, 0s to 1m.",
        ),
        "200ms",
    ),
    ours(
        "fluentd-gzip",
        Kind::Choice(&["off", "auto", "always"]),
        &["EV_FLUENTD_GZIP"],
        "forward.fluentd.gzip",
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
        "File with the passphrase of the private key for Fluentd, when that is encrypted.",
    ),
    default(
        ours(
            "fluentd-key-passphrase-env",
            Kind::Text,
            &["EV_FLUENTD_KEY_PASSPHRASE_ENV"],
            "forward.fluentd.key-passphrase-env",
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
            "Longest time until a change of the certificate, key and CA files for Fluentd is \
             noticed, 1s to 1h. Files that cannot be used are reported once, and those in use stay.",
        ),
        "30s",
    ),
];
