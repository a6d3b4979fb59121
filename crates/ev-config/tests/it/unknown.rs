//! Keys that are no option.

use crate::rig::Rig;

const TOML: &str = "\
storrage = '/s'
namespace = 'default'
[teleport]
adr = 'a:1'
refresh-enabled = true
[fluentd]
url = 'https://f'
[forward.fluentd]
session_url = 'https://f'
[something]
else = 1
[lock]
failed-attempt-count = 3
[decoder]
artefact-wait = '1m'
";

#[test]
fn they_are_named_with_line_and_nearest_key() {
    insta::assert_snapshot!(Rig::new().toml(TOML).warnings(), @r"
        `namespace` (DIR/ev.toml:2): is obsolete and without effect; remove it, Teleport has no namespaces any more
        `storrage` (DIR/ev.toml:1): unknown setting, ignored; did you mean `storage`?
        `teleport.adr` (DIR/ev.toml:4): unknown setting, ignored; did you mean `teleport.addr`?
        `teleport.refresh-enabled` (DIR/ev.toml:5): unknown setting, ignored; did you mean `teleport.refresh.enabled`?
        `fluentd.url` (DIR/ev.toml:7): unknown setting, ignored; did you mean `forward.fluentd.url`?
        `forward.fluentd.session_url` (DIR/ev.toml:9): unknown setting, ignored; did you mean `forward.fluentd.session-url`?
        `something.else` (DIR/ev.toml:11): unknown setting, ignored
        `lock.failed-attempt-count` (DIR/ev.toml:13): unknown setting, ignored; did you mean `lock.failed.attempts.count`?
        `decoder.artefact-wait` (DIR/ev.toml:15): unknown setting, ignored; did you mean `decoder.artifact-wait`?
        ");
}

#[test]
fn strict_makes_them_errors() {
    insta::assert_snapshot!(Rig::new().toml(TOML).flag("--strict").refusal(), @r"
        8 settings cannot be used:
          `storrage` (DIR/ev.toml:1): unknown setting; did you mean `storage`?
          `teleport.adr` (DIR/ev.toml:4): unknown setting; did you mean `teleport.addr`?
          `teleport.refresh-enabled` (DIR/ev.toml:5): unknown setting; did you mean `teleport.refresh.enabled`?
          `fluentd.url` (DIR/ev.toml:7): unknown setting; did you mean `forward.fluentd.url`?
          `forward.fluentd.session_url` (DIR/ev.toml:9): unknown setting; did you mean `forward.fluentd.session-url`?
          `something.else` (DIR/ev.toml:11): unknown setting
          `lock.failed-attempt-count` (DIR/ev.toml:13): unknown setting; did you mean `lock.failed.attempts.count`?
          `decoder.artefact-wait` (DIR/ev.toml:15): unknown setting; did you mean `decoder.artifact-wait`?
        ");
    insta::assert_snapshot!(Rig::new().toml("bacth = 1").env("EV_STRICT", "1").refusal(), @"`bacth` (DIR/ev.toml:1): unknown setting; did you mean `batch`?");
    // A value misspelt, and what else nobody can have meant.
    insta::assert_snapshot!(Rig::new().flag("--strict").flag("--types=user.logn,session.upload").refusal(), @"`types` (--types): `user.logn` is no event type known here; did you mean `user.login`?");
    let rig =
        Rig::new().flag("--strict").env("FDWRD_FLUENTD_CA", "ca").flag("--fluentd-url=http://f/a");
    insta::assert_snapshot!(rig.refusal(), @r"
        2 settings cannot be used:
          `forward.fluentd.ca` (FDWRD_FLUENTD_CA): `FDWRD_FLUENTD_CA` is a historic misspelling; use `FDFWD_FLUENTD_CA`
          `forward.fluentd.url` (--fluentd-url): is not encrypted: whoever is on the way to it can read and change the events, and store some of their own
        ");
    // What is odd but meant by some is let through.
    let rig = Rig::new().flag("--strict").flag("--skip-session-types=").flag("--types=user.login");
    assert_eq!(rig.load().warnings.len(), 2);
    // Obsolete is not unknown: generated files in the field have it.
    Rig::new().toml("namespace = 'default'").flag("--strict").load();
    Rig::new().toml("batch = 1").flag("--strict").load();
}

/// A precaution that is silently not taken is worse than a start that fails.
#[test]
fn locking_that_was_meant_to_be_on_is_not_left_off() {
    let refused = |text: &str| Rig::new().toml(text).refusal();
    insta::assert_snapshot!(refused("[lock]\nenabeld = true\nfailed-attempts-count = 5"), @"`lock.enabeld` (DIR/ev.toml:2): unknown setting; did you mean `lock.enabled`? Nobody would be locked out: correct its name, or set `lock.enabled` too, to `false` if locking is to be off");
    for text in [
        "[lock]\nenable = 'yes'",
        "[lock]\nEnabled = 1",
        "[lock]\nlock-enabled = true",
        "[locking]\nenabled = true",
        "lock_enabled = true",
        "lock-enabeld = true",
        // Nobody knows what that says, but that it is off it does not.
        "[lock]\nenabeld = 'please'",
    ] {
        let refusal = refused(text);
        assert!(refusal.contains("did you mean `lock.enabled`? Nobody would be"), "{refusal}");
    }
    // Whoever says elsewhere what is meant, and whoever means it to be off.
    for rig in [
        Rig::new().toml("[lock]\nenabeld = true\nenabled = false"),
        Rig::new().toml("[lock]\nenabeld = true").flag("--lock-enabled"),
        Rig::new().toml("[lock]\nenabeld = true").env("FDFWD_LOCKING_ENABLED", "false"),
        Rig::new().toml("[lock]\nenabeld = false"),
        // Other tables, and other keys of this one, are none of it: the reference handler takes any.
        Rig::new().toml("[block]\nenabled = true"),
        Rig::new().toml("[lock]\nfailed-attempt-count = 3\nperiods = '1m'\nlabel = 'x'"),
        Rig::new().toml("[lock.auto]\ncleanup = true"),
    ] {
        let warnings = rig.load().warnings;
        assert!(!warnings.is_empty());
        assert!(warnings.iter().all(|warning| warning.is_mistake()), "{warnings:?}");
    }
}
