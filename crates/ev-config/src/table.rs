//! The one table of options: names, defaults and help of every setting, a file for each heading.
//!
//! The reference handler's are as its newest release has them, environment names of all releases
//! included; `FDWRD_` is its own misspelling, which deployments in the field use.

mod audit;
mod decoder;
mod file;
mod fluentd;
mod forward;
mod general;
mod ingest;
mod lock;
mod teleport;

use crate::options::{Group, Kind, OptionSpec, Owner, Support, Toml};

/// The sections in the order in which help and documentation list them.
const SECTIONS: &[(Group, &[OptionSpec])] = &[
    (Group::General, general::OPTIONS),
    (Group::Teleport, teleport::OPTIONS),
    (Group::Fluentd, fluentd::OPTIONS),
    (Group::Forward, forward::OPTIONS),
    (Group::File, file::OPTIONS),
    (Group::Ingest, ingest::OPTIONS),
    (Group::Decoder, decoder::OPTIONS),
    (Group::Lock, lock::OPTIONS),
    (Group::Audit, audit::OPTIONS),
];

/// All sections, one behind the other.
pub(crate) const OPTIONS: &[OptionSpec] = &joined::<{ count() }>();

const fn count() -> usize {
    let (mut count, mut section) = (0, 0);
    while section < SECTIONS.len() {
        count += SECTIONS[section].1.len();
        section += 1;
    }
    count
}

/// Each option under the heading of its section.
const fn joined<const COUNT: usize>() -> [OptionSpec; COUNT] {
    let mut all = [const { reference("", Kind::Text, &[], "") }; COUNT];
    let (mut at, mut section) = (0, 0);
    while section < SECTIONS.len() {
        let (group, options) = SECTIONS[section];
        let mut option = 0;
        while option < options.len() {
            all[at] = OptionSpec { group, ..options[option] };
            at += 1;
            option += 1;
        }
        section += 1;
    }
    all
}

/// An option that the reference handler has.
const fn reference(
    name: &'static str,
    kind: Kind,
    env: &'static [&'static str],
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        short: None,
        kind,
        env,
        toml: Toml::AsReference,
        default: None,
        // Until it is known which section it stands in.
        group: Group::General,
        owner: Owner::Reference,
        support: Support::Full,
        help,
    }
}

/// One that only we have, at `path` in the TOML file.
const fn ours(
    name: &'static str,
    kind: Kind,
    env: &'static [&'static str],
    path: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec { toml: Toml::At(path), owner: Owner::Ours, ..reference(name, kind, env, help) }
}

/// The same of one that changes nothing that is sent.
const fn beside(option: OptionSpec) -> OptionSpec {
    OptionSpec { owner: Owner::OursBeside, ..option }
}

const fn default(option: OptionSpec, default: &'static str) -> OptionSpec {
    OptionSpec { default: Some(default), ..option }
}

const fn support(option: OptionSpec, support: Support) -> OptionSpec {
    OptionSpec { support, ..option }
}
