//! Receivers: which are chosen, and what is told of each.

use std::time::Duration;

use ev_config::{FileSync, Gzip, SecretText};

use crate::rig::Rig;

const NONE: [&str; 2] = ["FDFWD_FLUENTD_URL", "FDFWD_FLUENTD_SESSION_URL"];

/// Everything that is required, but no receiver.
fn without_fluentd() -> Rig {
    NONE.into_iter().fold(Rig::new(), Rig::without)
}

fn warnings(rig: &Rig) -> Vec<String> {
    rig.load().warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_set_is_chosen_beside_the_others() {
    let check = |rig: Rig, expected: (bool, bool, bool)| {
        let settings = rig.load().settings;
        let found =
            (settings.fluentd.is_some(), settings.forward.is_some(), settings.file.is_some());
        assert_eq!(found, expected);
    };
    let forward = "--forward-url=tls://fluentd";
    check(Rig::new(), (true, false, false));
    check(Rig::new().flag(forward), (true, true, false));
    check(Rig::new().flag(forward).flag("--file-path=-"), (true, true, true));
    check(without_fluentd().flag(forward), (false, true, false));
    check(without_fluentd().flag("--file-path=-"), (false, false, true));
    check(without_fluentd().env("EV_FILE_PATH", "events"), (false, false, true));
    check(without_fluentd().toml("forward.file.path = \"-\""), (false, false, true));
}

#[test]
fn half_of_a_receiver_is_still_told() {
    let rig = Rig::new().without("FDFWD_FLUENTD_URL").flag("--file-path=-");
    let error = rig.refusal();
    assert!(error.contains("`forward.fluentd.url`: is required"), "{error}");
    assert!(!error.contains("another receiver"), "{error}");
    let error = without_fluentd().refusal();
    assert!(error.contains("or another receiver: `[forward.forward] url`"), "{error}");
}

#[test]
fn a_receiver_of_the_forward_protocol_has_these_settings() {
    let settings = without_fluentd().flag("--forward-url=tls://fluentd:24224").load().settings;
    let forward = settings.forward.expect("set");
    assert_eq!((&*forward.tag, &*forward.session_tag), ("events.log", "session"));
    assert_eq!(forward.gzip, Gzip::Auto { above_bytes: 8192 });
    assert_eq!((forward.max_connections, forward.max_events), (4, 500));
    assert_eq!(forward.timeouts.response, Duration::from_secs(60));
    assert_eq!((forward.shared_key, forward.login), (None, None));

    let toml = r#"
        [forward.forward]
        url = "tcp://fluentd"
        tag = "test.log"
        session-tag = "teleport.{session-id}"
        shared-key-file = "key"
        user = "name"
        password = "word"
        gzip = "off"
        batch-age = "1s"
    "#;
    let rig = without_fluentd().toml(toml);
    let forward = rig.load().settings.forward.expect("set");
    assert_eq!((&*forward.tag, &*forward.session_tag), ("test.log", "teleport.{session-id}"));
    assert_eq!(forward.shared_key, Some(SecretText::File(rig.path("key"))));
    let login = forward.login.expect("set");
    assert_eq!((login.user, login.password), ("name".into(), SecretText::Known("word".into())));
    assert_eq!((forward.gzip, forward.max_age), (Gzip::Off, Duration::from_secs(1)));
    assert!(warnings(&rig)[0].contains("`forward.forward.url`"), "{:?}", warnings(&rig));
    assert!(warnings(&rig)[0].contains("is not encrypted"), "{:?}", warnings(&rig));
}

#[test]
fn secrets_are_never_printed() {
    let rig = without_fluentd()
        .env("EV_FORWARD_SHARED_KEY", "hidden-key")
        .flag("--forward-url=tls://fluentd")
        .flag("--forward-user=name")
        .flag("--forward-password=hidden-word");
    let loaded = rig.load();
    let shown = loaded.effective().filter_map(|one| one.value).collect::<Vec<_>>().join("\n");
    for text in [loaded.to_toml(), shown, format!("{:?}", loaded.settings)] {
        assert!(!text.contains("hidden"), "{text}");
    }
    assert!(loaded.to_toml().contains("# shared-key = \"***\""), "{}", loaded.to_toml());
    let forward = loaded.settings.forward.expect("set");
    assert_eq!(forward.shared_key, Some(SecretText::Known("hidden-key".to_owned())));
}

#[test]
fn what_cannot_be_meant_together_is_refused() {
    let check = |flags: &[&str], part: &str| {
        let rig = without_fluentd().flag("--forward-url=tls://fluentd");
        let error = flags.iter().fold(rig, |rig, flag| rig.flag(*flag)).refusal();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("hidden"), "{error}");
    };
    check(
        &["--forward-shared-key="],
        "`forward.forward.shared-key` (--forward-shared-key): is empty",
    );
    check(&["--forward-password="], "`forward.forward.password` (--forward-password): is empty");
    check(&["--forward-shared-key=hidden", "--forward-shared-key-file=key"], "exclude each other");
    check(&["--forward-shared-key=hidden", "--forward-user=a"], "user and password go together");
    check(&["--forward-password=hidden"], "user and password go together");
    check(&["--forward-user=a", "--forward-password=hidden"], "only with a shared key");
    check(&["--forward-url=https://fluentd"], "starts with `tls://` or `tcp://`");
    check(&["--forward-cert=cert"], "certificate and key go together");
    check(&["--forward-batch-events=0"], "not in the range");
    check(&["--file-path=-", "--file-rotate-bytes=5"], "not in the range");
    check(&["--file-path=-", "--file-rotate-age=5s"], "not in the range");
}

#[test]
fn files_have_these_settings() {
    let rig = without_fluentd().flag("--file-path=events/events.ndjson");
    let file = rig.load().settings.file.expect("set");
    assert_eq!(file.path, rig.path("events/events.ndjson"));
    assert_eq!(file.session_path, rig.path("events/sessions/{session-id}.ndjson"));
    assert_eq!((file.rotate_bytes, file.rotate_age), (Some(256 << 20), None));
    assert_eq!(file.sync, FileSync::Batch);

    let rig = without_fluentd()
        .flag("--file-path=-")
        .flag("--file-rotate-bytes=0")
        .flag("--file-rotate-age=1h")
        .flag("--file-sync=never");
    let file = rig.load().settings.file.expect("set");
    assert_eq!((file.path.to_str(), file.session_path.to_str()), (Some("-"), Some("-")));
    assert_eq!(file.rotate_bytes, None);
    assert_eq!(file.rotate_age, Some(Duration::from_secs(3600)));
    assert_eq!(file.sync, FileSync::Never);
}

#[test]
fn settings_of_a_receiver_that_is_not_turned_on_are_told() {
    let rig = Rig::new().flag("--forward-tag=x").flag("--file-sync=never");
    let warnings = warnings(&rig);
    let about = |part: &str| warnings.iter().any(|warning| warning.contains(part));
    assert!(about("`forward.forward.tag` (--forward-tag): has no effect without"), "{warnings:?}");
    assert!(about("`forward.file.sync` (--file-sync): has no effect without"), "{warnings:?}");
}

#[test]
fn what_is_printed_turns_on_the_same_receivers() {
    for flags in [&["--forward-url=tls://fluentd"][..], &["--file-path=-"], &["--file-path=e"]] {
        let rig = flags.iter().fold(Rig::new(), |rig, flag| rig.flag(*flag));
        let printed = rig.load().to_toml();
        let again = Rig::empty().toml(&printed.replace(&rig.path("").display().to_string(), "./"));
        let (first, again) = (rig.load().settings, again.load().settings);
        assert_eq!(first.forward, again.forward, "{printed}");
        assert_eq!(first.file.is_some(), again.file.is_some(), "{printed}");
        assert_eq!(
            first.file.map(|file| file.session_path.file_name().map(ToOwned::to_owned)),
            again.file.map(|file| file.session_path.file_name().map(ToOwned::to_owned)),
        );
    }
}
