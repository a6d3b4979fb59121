//! The same settings as the reference handler from the same command line, file and environment.

use std::collections::BTreeMap;
use std::time::Duration;

use ev_config::{Credentials, Lock, Origin, Owner, Settings, format_duration, options};

use crate::rig::Rig;

/// One row of the table.
#[derive(Default)]
struct Row {
    title: String,
    unset: Vec<String>,
    env: Vec<(String, String)>,
    toml: String,
    flags: Vec<String>,
    gives: BTreeMap<String, String>,
    refused: Option<String>,
    reference: Option<String>,
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in include_str!("parity.txt").lines() {
        if let Some(title) = line.strip_prefix("- ") {
            rows.push(Row { title: title.to_owned(), ..Row::default() });
            continue;
        }
        let Some(line) = line.strip_prefix("  ") else {
            assert!(line.is_empty() || line.starts_with('#'), "{line}");
            continue;
        };
        let row = rows.last_mut().expect("a row has begun");
        let (word, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        let pair = || {
            let (name, value) = rest.split_once('=').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.to_owned())
        };
        match word {
            "unset" => row.unset.push(rest.to_owned()),
            "env" => row.env.push(pair()),
            "toml" => row.toml.push_str(&format!("{rest}\n")),
            "flag" => row.flags.push(rest.to_owned()),
            "gives" => {
                let (name, value) = pair();
                assert!(row.gives.insert(name, value).is_none(), "twice: {line}");
            }
            "refused" => row.refused = Some(rest.to_owned()),
            "reference" => row.reference = Some(rest.to_owned()),
            _ => panic!("{line}"),
        }
    }
    rows
}

impl Row {
    fn rig(&self) -> Rig {
        let mut rig = Rig::new();
        std::fs::write(rig.path("dir/home-ca"), "").expect("can be written");
        let home = rig.path("dir").display().to_string();
        rig = rig.env("HOME", home);
        for name in &self.unset {
            rig = rig.without(name);
        }
        for (name, value) in &self.env {
            rig = rig.env(name, value);
        }
        if !self.toml.is_empty() {
            rig = rig.toml(&self.toml);
        }
        for flag in &self.flags {
            rig = rig.flag(flag);
        }
        rig
    }
}

/// The settings under the names of the reference handler's flags, as it would print them.
///
/// What belongs to locking or reloading that is off is shown with its default: nobody looks at it.
fn view(rig: &Rig, settings: &Settings) -> BTreeMap<String, String> {
    let time = |duration: Duration| {
        format_duration(i64::try_from(duration.as_nanos()).expect("is one of the settings"))
    };
    let path = |path: Option<&std::path::PathBuf>| {
        path.map(|path| path.display().to_string()).unwrap_or_default()
    };
    let Settings { teleport, fluentd, ingest, .. } = settings;
    let fluentd = fluentd.as_ref().expect("the reference handler has no other receiver");
    let (identity, cert, key, ca) = match &teleport.credentials {
        Credentials::Identity(identity) => (Some(identity), None, None, None),
        Credentials::Files { cert, key, ca } => (None, Some(cert), Some(key), Some(ca)),
    };
    let start_time = ingest.start_time_unix_secs.map(|seconds| {
        jiff::Timestamp::from_second(seconds).expect("is one of the settings").to_string()
    });
    let client = fluentd.client.as_ref();
    let minute = Duration::from_secs(60);
    let lock = settings.lock.unwrap_or(Lock { failed_attempts: 3, period: minute, lock_for: None });
    let view = [
        ("storage", settings.storage.display().to_string()),
        ("debug", settings.debug.to_string()),
        ("dry-run", settings.dry_run.to_string()),
        ("batch", ingest.page_size.to_string()),
        ("concurrency", ingest.concurrency.to_string()),
        ("types", ingest.types.join("|")),
        ("skip-event-types", ingest.skip_event_types.join("|")),
        ("skip-session-types", ingest.skip_session_types.join("|")),
        ("start-time", start_time.unwrap_or_default()),
        ("cursor", ingest.cursor.clone().unwrap_or_default()),
        ("timeout", time(ingest.poll_interval)),
        ("window-size", time(ingest.window_size)),
        ("exit-on-last-event", ingest.exit_on_last_event.to_string()),
        ("fluentd-url", fluentd.url.clone()),
        ("fluentd-session-url", fluentd.session_url.clone()),
        ("fluentd-ca", path(fluentd.ca.as_ref())),
        ("fluentd-cert", path(client.map(|client| &client.cert))),
        ("fluentd-key", path(client.map(|client| &client.key))),
        ("fluentd-max-connections", fluentd.max_connections.to_string()),
        ("teleport-addr", teleport.addr.clone()),
        ("teleport-identity", path(identity)),
        ("teleport-cert", path(cert)),
        ("teleport-key", path(key)),
        ("teleport-ca", path(ca)),
        ("teleport-refresh-enabled", teleport.refresh.is_some().to_string()),
        ("teleport-refresh-interval", time(teleport.refresh.unwrap_or(minute))),
        ("lock-enabled", settings.lock.is_some().to_string()),
        ("lock-failed-attempts-count", lock.failed_attempts.to_string()),
        ("lock-period", time(lock.period)),
        ("lock-for", lock.lock_for.map(time).unwrap_or_default()),
    ];
    let directory = rig.path("").display().to_string();
    let directory = directory.trim_end_matches('/');
    view.map(|(name, value)| (name.to_owned(), value.replace(directory, "DIR"))).into()
}

/// What the newest release has when nobody says otherwise; the credentials are watched here.
const DEFAULTS: [(&str, &str); 30] = [
    ("storage", "/var/lib/ev"),
    ("debug", "false"),
    ("dry-run", "false"),
    ("batch", "20"),
    ("concurrency", "5"),
    ("types", ""),
    ("skip-event-types", ""),
    ("skip-session-types", "print|desktop.recording"),
    ("start-time", ""),
    ("cursor", ""),
    ("timeout", "10s"),
    ("window-size", "24h0m0s"),
    ("exit-on-last-event", "false"),
    ("fluentd-url", "https://fluentd:8888/test.log"),
    ("fluentd-session-url", "https://fluentd:8888/session"),
    ("fluentd-ca", ""),
    ("fluentd-cert", ""),
    ("fluentd-key", ""),
    ("fluentd-max-connections", "10"),
    ("teleport-addr", "localhost:3025"),
    ("teleport-identity", "DIR/identity"),
    ("teleport-cert", ""),
    ("teleport-key", ""),
    ("teleport-ca", ""),
    ("teleport-refresh-enabled", "true"),
    ("teleport-refresh-interval", "1m0s"),
    ("lock-enabled", "false"),
    ("lock-failed-attempts-count", "3"),
    ("lock-period", "1m0s"),
    ("lock-for", ""),
];

#[test]
fn every_row_gives_what_it_says() {
    let rows = rows();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    for row in &rows {
        let rig = row.rig();
        let title = &row.title;
        match (&row.refused, rig.try_load()) {
            (None, Ok(loaded)) => {
                let mut expected: BTreeMap<String, String> =
                    DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                for (name, value) in &row.gives {
                    let old = expected.insert(name.clone(), value.clone());
                    assert!(
                        old.is_some_and(|old| old != *value),
                        "{title}: {name} changes nothing"
                    );
                }
                let found = view(&rig, &loaded.settings);
                assert_eq!(found.len(), expected.len());
                for (name, value) in found {
                    assert_eq!(value, expected[&name], "{title}: {name}");
                }
            }
            (Some(part), Err(_)) => {
                assert!(row.gives.is_empty(), "{title}");
                let refusal = rig.refusal();
                assert!(refusal.contains(part), "{title}: {refusal}");
            }
            (None, Err(_)) => panic!("{title}: {}", rig.refusal()),
            (Some(part), Ok(_)) => panic!("{title}: `{part}` is not said"),
        }
    }
}

/// A difference is one that is known, and known by its name.
#[test]
fn every_row_says_who_says_so() {
    let mut titles = std::collections::BTreeSet::new();
    for row in rows() {
        let (_, who) = row.title.split_once('[').unwrap_or_else(|| panic!("{}", row.title));
        let words: Vec<_> = who.trim_end_matches(']').split(' ').collect();
        let is_known = |word: &&str| {
            let label = |start| {
                word.strip_prefix(start).is_some_and(|number: &str| number.parse::<u8>().is_ok())
            };
            matches!(*word, "seen" | "A" | "B") || label("T-") || label("EVH-") || label("C")
        };
        assert!(words.iter().all(is_known), "{}", row.title);
        let is_trap = words.iter().any(|word| word.starts_with("T-") || word.starts_with("EVH-"));
        assert!(row.reference.is_none() || is_trap, "{} differs without a reason", row.title);
        assert!(titles.insert(row.title.clone()), "twice: {}", row.title);
    }
}

/// Every option of the reference handler is in some row by each way in which it can be given.
#[test]
fn the_table_leaves_no_option_and_no_variable_out() {
    let table = include_str!("parity.txt");
    let reference = options().iter().filter(|option| option.owner == Owner::Reference);
    for option in reference.filter(|option| option.has_flag()) {
        let is_changed = rows().iter().any(|row| row.gives.contains_key(option.name));
        assert!(is_changed || option.name == "config", "{} is in no row", option.name);
        for variable in option.env.iter().filter(|name| **name != "FDFWD_CONFIG") {
            assert!(table.contains(&format!(" {variable}")), "{variable} is in no row");
        }
    }
    // The file is named by the variable wherever a row has one.
    let loaded = Rig::new().toml("batch = 1").load();
    assert_eq!(*loaded.origin("config"), Origin::Env("FDFWD_CONFIG"));
}
