//! Locking users out.

use super::{default, reference};
use crate::options::{Kind, OptionSpec};

pub(super) const OPTIONS: &[OptionSpec] = &[
    default(
        reference(
            "lock-enabled",
            Kind::Switch,
            &["FDFWD_LOCKING_ENABLED"],
            "Lock users out after failed logins.",
        ),
        "false",
    ),
    default(
        reference(
            "lock-failed-attempts-count",
            Kind::Number,
            &["FDFWD_LOCKING_FAILED_ATTEMPTS"],
            "Failed logins within the period that are let pass, at least 1; each one more locks.",
        ),
        "3",
    ),
    default(
        reference(
            "lock-period",
            Kind::Duration,
            &["FDFWD_LOCKING_PERIOD"],
            "Time within which they count.",
        ),
        "1m",
    ),
    reference(
        "lock-for",
        Kind::Duration,
        &["FDFWD_LOCKING_FOR"],
        "How long the lock lasts; nothing or 0 means for ever.",
    ),
];
