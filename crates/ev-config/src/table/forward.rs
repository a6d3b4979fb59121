//! The receiver by the Forward protocol.

use super::{default, ours};
use crate::options::{Kind, OptionSpec};

pub(super) const OPTIONS: &[OptionSpec] = &[
    ours(
        "forward-url",
        Kind::Text,
        &["EV_FORWARD_URL"],
        "forward.forward.url",
        "A receiver of Fluentd's Forward protocol: `tls://host:port`, or `tcp://host:port` without encryption; without a port 24224. Setting it turns this sink on, beside the others that are set.",
    ),
    default(
        ours(
            "forward-tag",
            Kind::Text,
            &["EV_FORWARD_TAG"],
            "forward.forward.tag",
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
            "Tag of session recordings; `.<session id>.log` is put behind it, or the id alone in the place of `{session-id}` if it has that.",
        ),
        "session",
    ),
    ours(
        "forward-ca",
        Kind::File,
        &["EV_FORWARD_CA"],
        "forward.forward.ca",
        "CA certificates of the receiver; without it the system's.",
    ),
    ours(
        "forward-cert",
        Kind::File,
        &["EV_FORWARD_CERT"],
        "forward.forward.cert",
        "Client certificate for the receiver; with its key.",
    ),
    ours(
        "forward-key",
        Kind::File,
        &["EV_FORWARD_KEY"],
        "forward.forward.key",
        "Private key of that certificate.",
    ),
    ours(
        "forward-key-passphrase-file",
        Kind::File,
        &["EV_FORWARD_KEY_PASSPHRASE_FILE"],
        "forward.forward.key-passphrase-file",
        "File with the passphrase of that key, when it is encrypted.",
    ),
    default(
        ours(
            "forward-refresh-interval",
            Kind::Duration,
            &["EV_FORWARD_REFRESH_INTERVAL"],
            "forward.forward.refresh-interval",
            "Longest time until a change of these files is noticed, 1s to 1h.",
        ),
        "30s",
    ),
    ours(
        "forward-shared-key",
        Kind::Secret,
        &["EV_FORWARD_SHARED_KEY"],
        "forward.forward.shared-key",
        "The `shared_key` of the receiver's `<security>` section. Flags can be seen by everybody on the machine: the file or the variable is the better place. Never printed.",
    ),
    ours(
        "forward-shared-key-file",
        Kind::File,
        &["EV_FORWARD_SHARED_KEY_FILE"],
        "forward.forward.shared-key-file",
        "File with that key, instead of the key itself; one line end behind it does not belong to it.",
    ),
    ours(
        "forward-user",
        Kind::Text,
        &["EV_FORWARD_USER"],
        "forward.forward.user",
        "User, where the receiver has `user_auth`; with its password and the shared key.",
    ),
    ours(
        "forward-password",
        Kind::Secret,
        &["EV_FORWARD_PASSWORD"],
        "forward.forward.password",
        "Password of that user. Never printed.",
    ),
    ours(
        "forward-password-file",
        Kind::File,
        &["EV_FORWARD_PASSWORD_FILE"],
        "forward.forward.password-file",
        "File with that password, instead of the password itself.",
    ),
    default(
        ours(
            "forward-max-connections",
            Kind::Number,
            &["EV_FORWARD_MAX_CONNECTIONS"],
            "forward.forward.max-connections",
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
            "Longest time from then until the receiver's acknowledgement, 100ms to 10m; without one it is unknown whether the chunk was stored, its connection is dropped, and it is sent again.",
        ),
        "1m",
    ),
];
