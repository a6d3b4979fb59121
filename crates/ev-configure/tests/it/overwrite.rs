//! Files that are there already: asked about once, before anything is made, and replaced all
//! together or not at all.

use std::os::unix::fs::PermissionsExt as _;

use ev_configure::{Answer, Config, Error, Overwrite};

use crate::rig::{FILES, Rig};

/// A directory with `files`, each holding its own name.
fn rig(files: &[&str]) -> Rig {
    let rig = Rig::new();
    for name in files {
        std::fs::write(rig.path(name), name).unwrap();
    }
    rig
}

fn names(paths: &[std::path::PathBuf]) -> Vec<String> {
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = paths.iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn ten_files_are_written_for_their_owner_alone() {
    let mut rig = Rig::new();
    let report = rig.run(&rig.config()).unwrap();
    assert_eq!(rig.content().keys().collect::<Vec<_>>(), FILES.iter().collect::<Vec<_>>());
    for name in FILES {
        let mode = std::fs::metadata(rig.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(rig.asked.is_empty(), "nothing was there to ask about");
    let reported: Vec<_> = report.steps().iter().flat_map(|step| step.paths.clone()).collect();
    assert_eq!(names(&reported), FILES);
}

#[test]
fn names_of_files_follow_the_arguments() {
    let mut rig = Rig::new();
    let mut config = rig.config();
    config.files.ca = "my ca".into();
    config.files.server = "fluentd".into();
    config.files.client = "handler".into();
    rig.run(&config).unwrap();
    let content = rig.content();
    for name in
        ["my ca.crt", "my ca.key", "fluentd.crt", "fluentd.key", "handler.crt", "handler.key"]
    {
        assert!(content.contains_key(name), "{name}");
    }
    assert_eq!(content.len(), 10);
    let fluent_conf = rig.read("fluent.conf");
    for line in [
        "ca_path \"/keys/my ca.crt\"",
        "cert_path \"/keys/fluentd.crt\"",
        "private_key_path \"/keys/fluentd.key\"",
    ] {
        assert!(fluent_conf.contains(line), "{line}");
    }
    assert!(rig.read("teleport-event-handler.toml").contains("/handler.key\""));
    let values = rig.read("teleport-plugin-event-handler-values.yaml");
    assert!(values.contains("caPath: \"my ca.crt\""));
}

/// Any of the files is enough, a certificate without its key too.
#[test]
fn without_a_terminal_nothing_is_overwritten_or_even_looked_up() {
    for there in [&FILES[..], &["ca.crt"], &["fluent.conf", "client.key"]] {
        let mut rig = rig(there);
        let before = rig.content();
        let error = rig.run(&rig.config()).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        let text = error.to_string();
        assert!(there.iter().all(|name| text.contains(name)), "{text}");
        assert!(text.contains("--force") && text.contains("nothing was changed"), "{text}");
        assert_eq!(rig.content(), before);
        assert_eq!(rig.asked.len(), 1);
        assert!(rig.resolved.is_empty(), "refused before any work");
    }
}

/// Declining means all: no file is signed by an authority that was not saved.
#[test]
fn a_no_leaves_everything() {
    let mut rig = rig(&["ca.key", "fluent.conf"]);
    rig.answer = Answer::No;
    let before = rig.content();
    let error = rig.run(&rig.config()).unwrap_err();
    assert!(matches!(error, Error::Declined { .. }), "{error}");
    assert_eq!(rig.content(), before);
    assert_eq!(rig.asked.len(), 1);
    assert_eq!(names(&rig.asked[0]), ["ca.key", "fluent.conf"]);
    assert!(rig.resolved.is_empty());
}

#[test]
fn a_yes_replaces_all_and_is_asked_for_once() {
    let mut rig = rig(&FILES);
    std::fs::set_permissions(rig.path("ca.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    rig.answer = Answer::Yes;
    rig.run(&rig.config()).unwrap();
    assert_eq!(rig.asked.len(), 1);
    assert_eq!(names(&rig.asked[0]), FILES);
    for (name, content) in rig.content() {
        assert_ne!(content, name.as_bytes(), "{name} was replaced");
    }
    let mode = std::fs::metadata(rig.path("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "wide modes of before are gone");
}

#[test]
fn scripts_can_force_it() {
    let mut rig = rig(&FILES[2..5]);
    let config = Config { overwrite: Overwrite::Always, ..rig.config() };
    rig.run(&config).unwrap();
    assert!(rig.asked.is_empty());
    assert!(rig.content().iter().all(|(name, content)| content != name.as_bytes()));
}

#[test]
fn scripts_can_leave_a_whole_set_as_it_is() {
    let mut rig = rig(&FILES);
    let before = rig.content();
    let config = Config { overwrite: Overwrite::Never, ..rig.config() };
    let report = rig.run(&config).unwrap();
    assert!(report.steps().is_empty());
    assert!(report.to_text("/".as_ref()).contains("nothing was changed"));
    assert_eq!(rig.content(), before);

    // A part of a set can be completed by nobody: the rest would be signed by another authority.
    std::fs::remove_file(rig.path("server.key")).unwrap();
    let before = rig.content();
    let error = rig.run(&config).unwrap_err().to_string();
    assert!(error.contains("server.key") && !error.contains("ca.key"), "{error}");
    assert_eq!(rig.content(), before);

    let mut empty = Rig::new();
    empty.run(&Config { overwrite: Overwrite::Never, ..empty.config() }).unwrap();
    assert_eq!(empty.content().len(), 10, "nothing is there, so all is written");
}

#[test]
fn a_name_that_does_not_resolve_leaves_the_old_set() {
    let mut rig = rig(&FILES);
    let before = rig.content();
    let config = Config {
        overwrite: Overwrite::Always,
        dns_names: vec!["localhost".into(), "nowhere.example".into()],
        ..rig.config()
    };
    let error = rig.run(&config).unwrap_err().to_string();
    assert!(error.contains("`nowhere.example`") && error.contains("--ip"), "{error}");
    assert_eq!(rig.content(), before);
}

#[test]
fn what_is_no_file_is_not_overwritten() {
    let mut rig = Rig::new();
    std::fs::create_dir(rig.path("ca.crt")).unwrap();
    let config = Config { overwrite: Overwrite::Always, ..rig.config() };
    let error = rig.run(&config).unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    assert_eq!(rig.content().len(), 1);
}

#[test]
fn a_missing_directory_is_told() {
    let mut rig = Rig::new();
    let config = Config { out: rig.path("nowhere"), ..rig.config() };
    let error = rig.run(&config).unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
    assert!(rig.content().is_empty());
}

#[test]
fn wrong_settings_are_refused_before_anything_is_touched() {
    let check = |change: &dyn Fn(&mut Config), part: &str| {
        let mut rig = Rig::new();
        let mut config = rig.config();
        change(&mut config);
        let error = rig.run(&config).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(rig.content().is_empty() && rig.resolved.is_empty());
    };
    check(&|config| config.addr = "localhost".into(), "host:port");
    check(&|config| config.files.ca = "../ca".into(), "`../ca`");
    check(&|config| config.files.server = "client".into(), "different names");
    check(&|config| config.ttl = std::time::Duration::ZERO, "1 s");
    check(&|config| config.dns_names = vec![], "neither a DNS name nor");
    check(&|config| config.dns_names = vec!["127.0.0.1".into()], "--ip");
}
