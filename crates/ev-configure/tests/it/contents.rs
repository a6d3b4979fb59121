//! The text files: whole, and as the programs that they are for read them.

use ev_configure::{Config, Overwrite, Passphrase, configure};
use ev_test_support::Section;
use saphyr::{LoadableYamlNode as _, Yaml};

use crate::rig::{PASSPHRASE, Rig, ecdsa, now};

/// A text with the directory's path taken out.
fn masked(rig: &Rig, name: &str) -> String {
    let directory = std::fs::canonicalize(rig.directory.path()).unwrap();
    rig.read(name).replace(directory.to_str().unwrap(), "DIR")
}

#[test]
fn the_whole_texts() {
    let rig = ecdsa();
    insta::assert_snapshot!("fluent.conf", masked(rig, "fluent.conf"));
    insta::assert_snapshot!("handler.toml", masked(rig, "teleport-event-handler.toml"));
    insta::assert_snapshot!("role.yaml", masked(rig, "teleport-event-handler-role.yaml"));
    insta::assert_snapshot!(
        "values.yaml",
        masked(rig, "teleport-plugin-event-handler-values.yaml")
    );
}

#[test]
fn the_report() {
    let mut rig = Rig::new();
    let report = configure(&rig.config(), None, &mut rig, now()).unwrap();
    let directory = std::fs::canonicalize(rig.directory.path()).unwrap();
    insta::assert_snapshot!("report", report.to_text(&directory));
    // From elsewhere the paths are absolute.
    let text = report.to_text("/elsewhere".as_ref());
    let path = directory.join("fluent.conf");
    assert!(text.contains(&format!(
        "[3] Generated sample fluentd configuration file {}\n",
        path.display()
    )));
}

fn fluent_conf(rig: &Rig) -> Section {
    Section::parse(&rig.read("fluent.conf")).unwrap()
}

/// Everything that the reference handler's file has, at the place where Fluentd looks for it.
#[test]
fn fluentd_finds_each_setting_where_it_belongs() {
    let root = fluent_conf(ecdsa());
    let [source] = root.all("source").collect::<Vec<_>>()[..] else { panic!("one source") };
    assert_eq!(source.param("@type"), Some("http"));
    assert_eq!(source.param("port"), Some("8888"));
    assert_eq!(source.all("buffer").count(), 0, "Fluentd ignores one there");

    let tls = source.all("transport").next().unwrap();
    assert_eq!(tls.argument, "tls");
    assert_eq!(tls.param("client_cert_auth"), Some("true"));
    assert_eq!(tls.param("ca_path"), Some("/keys/ca.crt"));
    assert_eq!(tls.param("cert_path"), Some("/keys/server.crt"));
    assert_eq!(tls.param("private_key_path"), Some("/keys/server.key"));
    assert_eq!(tls.param("private_key_passphrase"), Some(PASSPHRASE), "with all its characters");

    let parse = source.all("parse").next().unwrap();
    for (key, value) in [
        ("@type", "json"),
        ("json_parser", "oj"),
        ("time_type", "string"),
        ("time_format", "%iso8601"),
        ("keep_time_key", "true"),
    ] {
        assert_eq!(parse.param(key), Some(value), "{key}");
    }

    let mut folders = std::collections::BTreeSet::new();
    assert_eq!(root.all("match").count(), 2);
    for section in root.all("match") {
        assert_eq!(section.param("@type"), Some("stdout"));
        let buffer = section.all("buffer").next().unwrap();
        for (key, value) in [
            ("@type", "file"),
            ("flush_thread_count", "8"),
            ("flush_interval", "1s"),
            ("chunk_limit_size", "10M"),
            ("queue_limit_length", "16"),
            ("retry_max_interval", "30"),
            ("retry_forever", "true"),
            ("overflow_action", "throw_exception"),
        ] {
            assert_eq!(buffer.param(key), Some(value), "{key}");
        }
        // Below the directory that is mounted, and that the container's user may write to.
        let path = buffer.param("path").unwrap();
        assert!(path.starts_with("/keys/"), "{path}");
        assert!(folders.insert(path.to_owned()), "Fluentd refuses two buffers in one folder");
    }
}

/// Tags of all addresses that are written, and of those in the reference handler's files.
#[test]
fn each_tag_has_a_match() {
    let rig = ecdsa();
    let root = fluent_conf(rig);
    let session = "5b1bc8cd-5e3e-4a9c-8a2f-0f8a5f0b1c2d";
    let toml: toml::Table = rig.read("teleport-event-handler.toml").parse().unwrap();
    let fluentd = &toml["forward"]["fluentd"];
    let values = rig.read("teleport-plugin-event-handler-values.yaml");
    let values = &Yaml::load_from_str(&values).unwrap()[0];
    let tag = |url: &str| url.rsplit_once('/').unwrap().1.to_owned();
    for (events, sessions) in [
        (fluentd["url"].as_str().unwrap(), fluentd["session-url"].as_str().unwrap()),
        (
            values["fluentd"]["url"].as_str().unwrap(),
            values["fluentd"]["sessionUrl"].as_str().unwrap(),
        ),
        ("https://localhost:8888/test.log", "https://localhost:8888/session"),
    ] {
        let of_events = root.match_of(&tag(events)).expect(events);
        let sessions = format!("{}.{session}.log", tag(sessions));
        let of_sessions = root.match_of(&sessions).expect(&sessions);
        assert_ne!(of_events, of_sessions);
    }
    assert_eq!(root.match_of("other.log"), None, "what is not sent is not taken");
}

#[test]
fn the_toml_file_fits_to_fluent_conf() {
    let rig = ecdsa();
    let toml: toml::Table = rig.read("teleport-event-handler.toml").parse().unwrap();
    let fluentd = &toml["forward"]["fluentd"];
    for (key, file) in [("ca", "ca.crt"), ("cert", "client.crt"), ("key", "client.key")] {
        let path = std::path::Path::new(fluentd[key].as_str().unwrap());
        assert!(path.is_absolute(), "{key}");
        assert_eq!(path.file_name().unwrap(), file);
        assert!(path.is_file(), "{key}");
    }
    assert_eq!(fluentd["batch-mode"].as_str(), Some("array"));
    let source = fluent_conf(rig);
    let port = source.all("source").next().unwrap().param("port").unwrap().to_owned();
    for key in ["url", "session-url"] {
        let url = fluentd[key].as_str().unwrap();
        assert!(url.starts_with(&format!("https://localhost:{port}/")), "{url}");
        assert!(!url.contains('?') && !url.ends_with('/'), "{url}");
    }
    assert_eq!(toml["teleport"]["addr"].as_str(), Some("localhost:3025"));
    assert_eq!(toml["teleport"]["identity"].as_str(), Some("identity"));
    assert_eq!(toml["teleport"]["refresh"]["enabled"].as_bool(), Some(true));
    assert_eq!(toml["storage"].as_str(), Some("./storage"));
    assert_eq!(toml["timeout"].as_str(), Some("10s"));
    assert_eq!(toml["batch"].as_integer(), Some(20));
}

fn verbs(role: &Yaml<'_>, resource: &str) -> Option<Vec<String>> {
    let texts = |list: &Yaml<'_>| {
        let list = list.as_vec().unwrap().iter();
        list.map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let rules = role["spec"]["allow"]["rules"].as_vec().unwrap();
    let rule = rules.iter().find(|rule| texts(&rule["resources"]).iter().any(|r| r == resource))?;
    Some(texts(&rule["verbs"]))
}

#[test]
fn role_and_user_are_what_the_handler_needs_and_no_more() {
    for with_lock in [false, true] {
        let mut rig = Rig::new();
        let config = Config { with_lock, ..rig.config() };
        rig.run(&config).unwrap();
        let text = rig.read("teleport-event-handler-role.yaml");
        let documents = Yaml::load_from_str(&text).unwrap();
        let [role, user] = &documents[..] else { panic!("two documents: {text}") };
        assert_eq!(role["kind"].as_str(), Some("role"));
        assert_eq!(role["metadata"]["name"].as_str(), Some("teleport-event-handler"));
        // What Auth 13 takes, the oldest whose schema is built in.
        assert_eq!(role["version"].as_str(), Some("v6"));
        for resource in ["event", "session"] {
            assert_eq!(verbs(role, resource).unwrap(), ["list", "read"], "{resource}");
        }
        let lock = with_lock.then(|| vec!["create".to_owned(), "update".to_owned()]);
        assert_eq!(verbs(role, "lock"), lock);
        assert!(text.contains("resources: ['lock']"), "as a comment otherwise");
        assert_eq!(user["kind"].as_str(), Some("user"));
        assert_eq!(user["version"].as_str(), Some("v2"));
        assert_eq!(user["metadata"]["name"].as_str(), Some("teleport-event-handler"));
        assert_eq!(user["spec"]["roles"][0].as_str(), Some("teleport-event-handler"));
    }
}

#[test]
fn the_chart_gets_its_values() {
    let mut rig = Rig::new();
    let host = "fluentd.fluentd.svc.cluster.local";
    let not_named = "is not for this name";
    let mut config = Config { addr: "tele\"port.example:443".into(), ..rig.config() };
    config.ips = vec!["127.0.0.1".parse().unwrap()];
    rig.run(&config).unwrap();
    let name = "teleport-plugin-event-handler-values.yaml";
    let text = rig.read(name);
    assert!(text.contains(not_named));
    let values = &Yaml::load_from_str(&text).unwrap()[0];
    let handler = &values["eventHandler"];
    assert_eq!(handler["storagePath"].as_str(), Some("./storage"));
    assert_eq!(handler["timeout"].as_str(), Some("10s"));
    assert_eq!(handler["batch"].as_integer(), Some(20));
    assert_eq!(values["teleport"]["address"].as_str(), Some("tele\"port.example:443"));
    assert_eq!(
        values["teleport"]["identitySecretName"].as_str(),
        Some("teleport-event-handler-identity")
    );
    assert_eq!(values["teleport"]["identitySecretPath"].as_str(), Some("identity"));
    let fluentd = &values["fluentd"];
    assert_eq!(fluentd["url"].as_str(), Some(&*format!("https://{host}/events.log")));
    assert_eq!(fluentd["sessionUrl"].as_str(), Some(&*format!("https://{host}/session.log")));
    let certificate = &fluentd["certificate"];
    assert_eq!(certificate["secretName"].as_str(), Some("teleport-event-handler-client-tls"));
    assert_eq!(certificate["caPath"].as_str(), Some("ca.crt"));
    assert_eq!(certificate["certPath"].as_str(), Some("client.crt"));
    assert_eq!(certificate["keyPath"].as_str(), Some("client.key"));
    assert_eq!(values["persistentVolumeClaim"]["enabled"].as_bool(), Some(true));

    config.dns_names = vec!["localhost".into(), host.into()];
    config.overwrite = ev_configure::Overwrite::Always;
    rig.run(&config).unwrap();
    assert!(!rig.read(name).contains(not_named), "now it is");
}

/// A passphrase that nobody chose is 64 hexadecimal digits, another one each time, and opens the
/// key, which is tried before anything is written.
#[test]
fn a_passphrase_is_made_when_none_is_given() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let mut rig = Rig::new();
        configure(&rig.config(), None, &mut rig, now()).unwrap();
        let root = fluent_conf(&rig);
        let tls = root.all("source").next().unwrap().all("transport").next().unwrap();
        let passphrase = tls.param("private_key_passphrase").unwrap().to_owned();
        assert_eq!(passphrase.len(), 64);
        assert!(passphrase.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(Passphrase::new(&passphrase).is_ok());
        for name in ["teleport-event-handler.toml", "teleport-plugin-event-handler-values.yaml"] {
            assert!(!rig.read(name).contains(&passphrase), "{name}");
        }
        // Once, to the operator, when all is done.
        assert_eq!(rig.shown, [(passphrase.clone(), true)]);
        assert!(seen.insert(passphrase));
        // One that somebody gave is known to them, and nothing is shown of what failed.
        assert!(configure(&rig.config(), None, &mut rig, now()).is_err());
        rig.run(&Config { overwrite: Overwrite::Always, ..rig.config() }).unwrap();
        assert_eq!(rig.shown.len(), 1);
    }
}
