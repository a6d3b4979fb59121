//! Decoders and artifacts.

use super::{default, ours};
use crate::options::{Kind, OptionSpec};

pub(super) const OPTIONS: &[OptionSpec] = &[
    default(
        ours(
            "json-flavour",
            Kind::Choice(&["auto", "go", "struct"]),
            &["EV_JSON_FLAVOUR"],
            "json-flavour",
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
            "Add the terminal's bytes to `print` events in the `go` flavour.",
        ),
        "false",
    ),
    ours(
        "decoder-trust",
        Kind::File,
        &["EV_DECODER_TRUST"],
        "decoder.trust",
        "Public keys whose decoder artifacts are trusted; without it none is.",
    ),
    ours(
        "decoder-artifacts",
        Kind::DirectoryOrUrl,
        &["EV_DECODER_ARTIFACTS"],
        "decoder.artifacts",
        "Directory with signed decoder artifacts, or `https` address of one, asked before Auth.",
    ),
    ours(
        "decoder-artifacts-ca",
        Kind::File,
        &["EV_DECODER_ARTIFACTS_CA"],
        "decoder.artifacts-ca",
        "CA certificates of the server with artifacts; without it the system's.",
    ),
    ours(
        "decoder-artifacts-cert",
        Kind::File,
        &["EV_DECODER_ARTIFACTS_CERT"],
        "decoder.artifacts-cert",
        "Client certificate for the server with artifacts; with its key.",
    ),
    ours(
        "decoder-artifacts-key",
        Kind::File,
        &["EV_DECODER_ARTIFACTS_KEY"],
        "decoder.artifacts-key",
        "Private key of that certificate.",
    ),
    default(
        ours(
            "decoder-version-policy",
            Kind::Choice(&["exact", "nearest-newer-in-major"]),
            &["EV_DECODER_VERSION_POLICY"],
            "decoder.version-policy",
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
            "Take decoder modules of toolchains that need WASI (Go): up to 32 MiB, 256 MiB of \
             memory, 10 s to compile. They still reach nothing.",
        ),
        "false",
    ),
];
