//! Flag, then TOML, then environment, then default; every name of every option.

use ev_config::{Kind, OptionSpec, Toml, options};

use crate::rig::Rig;

/// Two values of an option that differ from each other and from its default.
pub(crate) fn values(option: &OptionSpec) -> [&'static str; 2] {
    match (option.name, option.kind) {
        ("teleport-addr", _) => ["one:1", "two:2"],
        ("diag-addr", _) => ["127.0.0.1:3000", "[::1]:3001"],
        ("forward-url", _) => ["tls://one", "tcp://two"],
        ("audit-endpoint", _) => ["unix:/one", "tcp:two:2"],
        ("audit-service", _) => {
            ["01234567-89ab-cdef-0123-456789abcdef", "11234567-89ab-cdef-0123-456789abcdef"]
        }
        ("audit-caller", _) => ["192.0.2.1", "2001:db8::1"],
        (_, Kind::Switch) => match option.default {
            Some("true") => ["false", "0"],
            _ => ["true", "1"],
        },
        ("fluentd-token-scheme", _) => ["Splunk", "Token"],
        ("rescan", _) => ["1m", "2m"],
        ("export-chunks", _) => ["8", "9"],
        ("export-backlog", _) => ["1", "3"],
        (_, Kind::Number) => ["2000", "3000"],
        (_, Kind::Duration) => ["31s", "32s"],
        (_, Kind::Time) => ["2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"],
        (_, Kind::Url) => ["https://one/x", "https://two/x"],
        (_, Kind::Path | Kind::PathOrDash | Kind::List | Kind::Text | Kind::Secret) => {
            ["/one", "/two"]
        }
        // Shown as they are, because this is how values are shown.
        (_, Kind::Headers) => ["X-A: ***", "X-B: ***"],
        (_, Kind::File) => ["identity", "other"],
        (_, Kind::DirectoryOrUrl) => ["dir", "https://two/x"],
        (_, Kind::Choice(words)) => match option.default {
            Some(default) if words[0] == default => [words[1], words[1]],
            _ => [words[0], words[1]],
        },
    }
}

/// Options that can be given alone without others standing in the way.
pub(crate) fn alone() -> impl Iterator<Item = &'static OptionSpec> {
    options().iter().filter(|option| {
        let is_paired = option.name.starts_with("teleport-c") // cert, ca
            || ["teleport-key", "fluentd-cert", "fluentd-key"].contains(&option.name)
            || ["decoder-artifacts-cert", "decoder-artifacts-key"].contains(&option.name);
        // What is secret is not shown, so it cannot be compared here.
        !is_paired && option.name != "config" && option.kind != Kind::Secret
    })
}

/// A rig that has what is required, except by the names of `option` itself.
fn rig(option: &OptionSpec) -> Rig {
    let rig = Rig::new();
    match option.name {
        "storage" => rig.without("FDFWD_STORAGE"),
        "fluentd-url" => rig.without("FDFWD_FLUENTD_URL"),
        "fluentd-session-url" => rig.without("FDFWD_FLUENTD_SESSION_URL"),
        "teleport-identity" => rig.without("FDFWD_TELEPORT_IDENTITY"),
        "audit-endpoint" => rig.env("EV_AUDIT_SERVICE", values(find("audit-service"))[0]),
        _ => rig,
    }
}

fn find(name: &str) -> &'static OptionSpec {
    options().iter().find(|option| option.name == name).expect("it is there")
}

#[track_caller]
fn check(option: &OptionSpec, rig: &Rig, value: &str, origin: &str) {
    let loaded = rig.load();
    let effective = loaded
        .effective()
        .find(|effective| effective.option.name == option.name)
        .expect("all options are listed");
    assert_eq!(effective.value, Some(value), "{}", option.name);
    let found = effective.origin.to_string();
    assert!(found.ends_with(origin), "{}: {found}, not {origin}", option.name);
}

#[test]
fn every_environment_name_is_read() {
    for option in alone() {
        let [value, other] = values(option);
        for name in option.env {
            check(option, &rig(option).env(name, value), value, name);
        }
        // The first spelling wins.
        if let [first, second] = option.env {
            check(option, &rig(option).env(first, value).env(second, other), value, first);
        }
    }
}

#[test]
fn every_place_in_the_file_is_read_and_wins_over_the_environment() {
    for option in alone() {
        let [value, other] = values(option);
        let paths = option.toml_paths();
        for path in &paths {
            let toml = format!("\n{path} = '{value}'\n");
            let mut rig = rig(option).toml(&toml);
            if let Some(variable) = option.env.first() {
                rig = rig.env(variable, other);
            }
            check(option, &rig, value, "ev.toml:2");
        }
        // The dotted path wins over the root key.
        if let [first, second, ..] = &paths[..] {
            let toml = format!("{second} = '{other}'\n{first} = '{value}'\n");
            check(option, &rig(option).toml(&toml), value, "ev.toml:2");
        }
    }
}

#[test]
fn every_flag_is_read_and_wins_over_the_file() {
    for option in alone().filter(|option| option.has_flag()) {
        let [value, other] = values(option);
        let mut rig = rig(option).env(option.env[0], other);
        if let Some(path) = option.toml_paths().first() {
            rig = rig.toml(&format!("{path} = '{other}'\n"));
        }
        let rig = rig.flag(format!("--{}={value}", option.name));
        check(option, &rig, value, &format!("--{}", option.name));
    }
}

#[test]
fn both_spellings_of_the_key_files_are_read() {
    let rig = |prefix: &str| {
        Rig::new()
            .without("FDFWD_TELEPORT_IDENTITY")
            .env(&format!("{prefix}_TELEPORT_CERT"), "cert")
            .env("FDFWD_TELEPORT_KEY", "key")
            .env("FDFWD_TELEPORT_CA", "ca")
            .env(&format!("{prefix}_FLUENTD_CERT"), "cert")
            .env(&format!("{prefix}_FLUENTD_KEY"), "key")
            .env(&format!("{prefix}_FLUENTD_CA"), "ca")
    };
    for prefix in ["FDFWD", "FDWRD"] {
        let rig = rig(prefix);
        let settings = rig.load().settings;
        let client = settings
            .fluentd
            .as_ref()
            .expect("set")
            .client
            .clone()
            .expect("certificate and key are given");
        assert_eq!((client.cert, client.key), (rig.path("cert"), rig.path("key")));
        assert_eq!(settings.fluentd.as_ref().expect("set").ca, Some(rig.path("ca")));
    }
}

#[test]
fn the_reference_paths_are_the_documented_ones() {
    // The root key of a Fluentd setting, and a table of its own, are not looked at.
    let rig = Rig::new().toml("fluentd-ca = 'ca'\n[fluentd]\nca = 'ca'\n");
    assert_eq!(rig.load().settings.fluentd.as_ref().expect("set").ca, None);
    assert_eq!(rig.load().warnings.len(), 2);
    let on_both_roads = options().iter().filter(|option| option.toml == Toml::AsReference);
    assert!(on_both_roads.count() > 25);
}

#[test]
fn an_empty_text_is_no_value_except_in_a_list() {
    let rig = Rig::new()
        .env("FDFWD_FLUENTD_CA", "")
        .env("FDFWD_BATCH", "")
        .toml("teleport.ca = ''\nstart-time = ''\n")
        .flag("--decoder-trust=");
    let loaded = rig.load();
    assert_eq!(loaded.settings.fluentd.as_ref().expect("set").ca, None);
    assert_eq!(loaded.settings.ingest.page_size, 20);
    assert_eq!(loaded.settings.ingest.start_time_unix_secs, None);
    assert_eq!(loaded.settings.decoder.trust, None);
    for name in ["fluentd-ca", "batch", "teleport-ca", "start-time", "decoder-trust"] {
        assert!(!loaded.origin(name).is_given(), "{name}");
    }
    let rig = Rig::new().env("FDFWD_SKIP_SESSION_TYPES", "").toml("types = ''");
    let ingest = rig.load().settings.ingest;
    assert!(ingest.skip_session_types.is_empty() && ingest.types.is_empty());
}
