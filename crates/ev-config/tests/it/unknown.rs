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
