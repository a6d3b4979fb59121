//! Configuration file, logs, checks.

use super::{beside, default, ours, reference};
use crate::options::{Kind, OptionSpec, Owner, Toml};

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        short: Some('c'),
        toml: Toml::No,
        ..reference("config", Kind::File, &["FDFWD_CONFIG"], "TOML file with settings.")
    },
    OptionSpec {
        short: Some('d'),
        ..default(
            reference(
                "debug",
                Kind::Switch,
                &["FDFWD_DEBUG"],
                "Log what is done in detail; never event bodies.",
            ),
            "false",
        )
    },
    OptionSpec {
        toml: Toml::No,
        owner: Owner::OursBeside,
        ..default(
            ours(
                "strict",
                Kind::Switch,
                &["EV_STRICT"],
                "",
                "Refuse to start when the TOML file has an unknown key, a value is misspelt or has no effect, \
                 or an address is not encrypted: what is otherwise a warning.",
            ),
            "false",
        )
    },
    beside(default(
        ours(
            "log-format",
            Kind::Choice(&["text", "json"]),
            &["EV_LOG_FORMAT"],
            "log.format",
            "Form of the log lines on stderr.",
        ),
        "text",
    )),
    beside(ours(
        "diag-addr",
        Kind::Text,
        &["EV_DIAG_ADDR"],
        "diag-addr",
        "Address on which metrics, health and a status page are served, as `127.0.0.1:3000`; \
         `:3000` is that port on all addresses. Without it nothing is served.",
    )),
];
