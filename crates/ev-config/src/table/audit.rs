//! The handler's own security events.

use super::{beside, default, ours};
use crate::options::{Kind, OptionSpec};

pub(super) const OPTIONS: &[OptionSpec] = &[
    beside(ours(
        "audit-endpoint",
        Kind::Text,
        &["EV_AUDIT_ENDPOINT"],
        "audit.endpoint",
        "Where an agent takes security events of the handler itself: `unix` for its usual sockets, \
         `unix:PATH`, or `tcp:HOST:PORT`; without it none are sent.",
    )),
    beside(ours(
        "audit-service",
        Kind::Text,
        &["EV_AUDIT_SERVICE"],
        "audit.service",
        "Service tree id under which they are sent, a GUID.",
    )),
    beside(default(
        ours(
            "audit-plane",
            Kind::Choice(&["control", "data"]),
            &["EV_AUDIT_PLANE"],
            "audit.plane",
            "Plane that they belong to.",
        ),
        "control",
    )),
    beside(ours(
        "audit-caller",
        Kind::Text,
        &["EV_AUDIT_CALLER"],
        "audit.caller",
        "IP address of the handler in them; without it that from which Auth is reached.",
    )),
];
