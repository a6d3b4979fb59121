//! The Auth service and who we are.

use super::{default, ours, reference, support};
use crate::options::{Kind, OptionSpec, Support};

pub(super) const OPTIONS: &[OptionSpec] = &[
    default(
        reference(
            "teleport-addr",
            Kind::Text,
            &["FDFWD_TELEPORT_ADDR"],
            "Address of the Teleport Auth service, host:port.",
        ),
        "localhost:3025",
    ),
    reference(
        "teleport-identity",
        Kind::File,
        &["FDFWD_TELEPORT_IDENTITY"],
        "Identity file, as tctl or tbot writes it. Excludes the three key files.",
    ),
    default(
        reference(
            "teleport-refresh-enabled",
            Kind::Switch,
            &["FDFWD_TELEPORT_REFRESH_ENABLED"],
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
            "Longest time until a change of these files is noticed.",
        ),
        "1m",
    ),
    reference(
        "teleport-ca",
        Kind::File,
        &["FDFWD_TELEPORT_CA"],
        "CA certificates of the Auth service; with the certificate and the key.",
    ),
    reference(
        "teleport-cert",
        Kind::File,
        &["FDFWD_TELEPORT_CERT", "FDWRD_TELEPORT_CERT"],
        "Client certificate; with the key and the CA.",
    ),
    reference(
        "teleport-key",
        Kind::File,
        &["FDFWD_TELEPORT_KEY"],
        "Private key of the client certificate.",
    ),
    support(
        reference(
            "teleport-debug",
            Kind::Switch,
            &[],
            "use `debug`, which is for the whole program",
        ),
        Support::Obsolete,
    ),
    ours(
        "teleport-proxy-ca",
        Kind::File,
        &["EV_TELEPORT_PROXY_CA"],
        "teleport.proxy-ca",
        "CA certificates of the Proxy's web service, when `teleport.addr` is that of a Proxy; \
         without it the system's.",
    ),
];
