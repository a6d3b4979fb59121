//! What an option is. The options themselves are in the table.

use crate::table::OPTIONS;

/// All options, in the order in which help and documentation list them.
pub fn options() -> &'static [OptionSpec] {
    OPTIONS
}

/// One setting and every name it goes by.
#[derive(Debug)]
pub struct OptionSpec {
    /// The flag without its dashes; names the option everywhere in this crate's interface.
    pub name: &'static str,
    /// One-letter flag.
    pub short: Option<char>,
    /// How its value is written.
    pub kind: Kind,
    /// Environment variables, the one that wins first.
    pub env: &'static [&'static str],
    /// Where the TOML file has it.
    pub toml: Toml,
    /// The value when nobody gives one, as it would be written.
    pub default: Option<&'static str>,
    /// Heading in help and documentation.
    pub group: Group,
    /// Who brought it.
    pub owner: Owner,
    /// What this release does with it.
    pub support: Support,
    /// One or two sentences for help and documentation.
    pub help: &'static str,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false` in any of Go's spellings; as a flag also bare, and `--flag=false`.
    Switch,
    /// A whole number.
    Number,
    /// Any text.
    Text,
    /// Any text, which is never printed.
    Secret,
    /// An `http` or `https` address; its user and password are never printed.
    Url,
    /// A Go duration: `1h30m`, `1.5s`, `200ms`.
    Duration,
    /// RFC 3339 with offset, cut to whole seconds.
    Time,
    /// Texts separated by commas, a backslash keeps a comma; in TOML also an array of strings.
    List,
    /// As [`Kind::List`], of headers as `Name: value`, whose values are never printed.
    Headers,
    /// A path that need not exist.
    Path,
    /// The same, or `-`.
    PathOrDash,
    /// An existing file; `~` is the home directory.
    File,
    /// An existing directory (`~` is the home directory), or an `https` address, told apart by `://`. Of an address neither
    /// user nor password nor query is ever printed.
    DirectoryOrUrl,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// Whether it is several texts.
    pub fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Headers)
    }
}

/// Where the TOML file has an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toml {
    /// Where the reference handler looks: for the flag `a-b` the root key `a-b` and the path
    /// `a.b`, the latter winning (and for `lock-a-b` also `lock.a-b`); for `fluentd-a-b` only `forward.fluentd.a-b` and
    /// `forward.fluentd.a.b`.
    AsReference,
    /// At this path.
    At(&'static str),
    /// Nowhere.
    No,
}

/// Heading of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Configuration file, logs, checks.
    General,
    /// The Auth service and who we are.
    Teleport,
    /// The receiver by HTTP.
    Fluentd,
    /// The receiver by the Forward protocol.
    Forward,
    /// Files and stdout.
    File,
    /// What is read, and where from.
    Ingest,
    /// Decoders and artifacts.
    Decoder,
    /// Locking users out.
    Lock,
    /// The handler's own security events.
    Audit,
}

impl Group {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::Teleport => "Teleport",
            Self::Fluentd => "Fluentd",
            Self::Forward => "Forward protocol",
            Self::File => "Files and stdout",
            Self::Ingest => "Ingestion",
            Self::Decoder => "Decoding",
            Self::Lock => "Locking",
            Self::Audit => "Own security events",
        }
    }
}

/// Who brought an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The reference handler has it.
    Reference,
    /// Ours. A configuration that uses one was written for this program.
    Ours,
    /// Ours, but it changes nothing that is sent, as it is about checking, logging or watching: says
    /// nothing about whom a configuration was written for.
    OursBeside,
}

/// What this release does with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It acts on it.
    Full,
    /// Nobody has acted on it for years; it is named as obsolete, and its help says what to do.
    Obsolete,
}

impl OptionSpec {
    /// Paths in the TOML file, the one that wins first.
    pub fn toml_paths(&self) -> Vec<String> {
        match (self.toml, self.name.strip_prefix("fluentd-")) {
            (Toml::No, _) => Vec::new(),
            (Toml::At(path), _) => vec![path.to_owned()],
            (Toml::AsReference, Some(rest)) => {
                distinct(format!("forward.fluentd.{}", rest.replace('-', ".")), || {
                    format!("forward.fluentd.{rest}")
                })
            }
            (Toml::AsReference, None) => {
                let mut paths = distinct(self.name.replace('-', "."), || self.name.to_owned());
                // Its own example has `failed-attempts-count` under `[lock]`, where it never looks.
                if let (Group::Lock, Some((table, key))) = (self.group, self.name.split_once('-'))
                    && key.contains('-')
                {
                    paths.push(format!("{table}.{key}"));
                }
                paths
            }
        }
    }

    /// The option's name in documents and messages: its usual path in the TOML file, or the flag
    /// of one that the file does not have.
    pub fn setting(&self) -> String {
        match (self.toml, self.group) {
            (Toml::No, _) => format!("--{}", self.name),
            (Toml::At(path), _) => path.to_owned(),
            (Toml::AsReference, Group::Teleport | Group::Lock) => self.name.replace('-', "."),
            (Toml::AsReference, Group::Fluentd) => self.toml_paths().pop().unwrap_or_default(),
            (Toml::AsReference, _) => self.name.to_owned(),
        }
    }

    /// Whether there is a flag; options that only old files have do not, and are refused as one.
    pub fn has_flag(&self) -> bool {
        self.support != Support::Obsolete
    }
}

/// The table of a path in the TOML file and the key inside of it; each receiver has a table of its
/// own below `forward`.
pub(crate) fn table_and_key(path: &str) -> (&str, &str) {
    let Some((table, key)) = path.split_once('.') else { return ("", path) };
    match key.split_once('.') {
        Some((sink, key)) if table == "forward" => (&path[..table.len() + 1 + sink.len()], key),
        _ => (table, key),
    }
}

fn distinct(first: String, second: impl FnOnce() -> String) -> Vec<String> {
    let second = second();
    if first == second { vec![first] } else { vec![first, second] }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn option(name: &str) -> &'static OptionSpec {
        options().iter().find(|option| option.name == name).expect("in the table")
    }

    #[test]
    fn paths_follow_the_reference() {
        let check = |name: &str, paths: &[&str], setting: &str| {
            assert_eq!(option(name).toml_paths(), paths);
            assert_eq!(option(name).setting(), setting);
        };
        check("batch", &["batch"], "batch");
        check("teleport-addr", &["teleport.addr", "teleport-addr"], "teleport.addr");
        check(
            "teleport-refresh-enabled",
            &["teleport.refresh.enabled", "teleport-refresh-enabled"],
            "teleport.refresh.enabled",
        );
        check(
            "fluentd-session-url",
            &["forward.fluentd.session.url", "forward.fluentd.session-url"],
            "forward.fluentd.session-url",
        );
        check("fluentd-ca", &["forward.fluentd.ca"], "forward.fluentd.ca");
        check(
            "skip-session-types",
            &["skip.session.types", "skip-session-types"],
            "skip-session-types",
        );
        check("decoder-artifact-wait", &["decoder.artifact-wait"], "decoder.artifact-wait");
        check(
            "lock-failed-attempts-count",
            &[
                "lock.failed.attempts.count",
                "lock-failed-attempts-count",
                "lock.failed-attempts-count",
            ],
            "lock.failed.attempts.count",
        );
        check("strict", &[], "--strict");
    }

    #[test]
    fn what_messages_and_hints_name_is_read() {
        for option in options().iter().filter(|option| option.toml != Toml::No) {
            assert!(option.toml_paths().contains(&option.setting()), "{}", option.name);
        }
    }

    #[test]
    fn no_name_stands_for_two_options() {
        let mut seen = BTreeSet::new();
        for option in options() {
            let names = option.env.iter().map(|name| format!("${name}"));
            let names = names.chain(option.toml_paths()).chain([format!("--{}", option.name)]);
            for name in names {
                assert!(seen.insert(name.clone()), "{name} is there twice");
            }
        }
    }

    #[test]
    fn ours_are_told_from_the_reference_by_their_variables() {
        for option in options() {
            let prefix = |prefix| option.env.iter().all(|name: &&str| name.starts_with(prefix));
            match option.owner {
                Owner::Reference => {
                    let misspelt = |name: &&&str| name.starts_with("FDWRD_");
                    assert!(option.env.iter().filter(misspelt).count() <= 1);
                    assert!(option.env.iter().all(|name| name.starts_with("FD")));
                }
                Owner::Ours | Owner::OursBeside => assert!(prefix("EV_"), "{}", option.name),
            }
        }
    }
}
