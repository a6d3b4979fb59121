//! What is odd but no reason to refuse.

use insta::assert_snapshot;

use crate::rig::Rig;

#[test]
fn what_this_release_does_not_act_on() {
    let toml = "cursor = 'abc'\nnamespace = 'default'\n[lock]\nenabled = true\nfor = '1h'\n";
    assert_snapshot!(Rig::new().toml(toml).warnings(), @"");
    let toml = "dry-run = false\n[lock]\nenabled = false\nfailed-attempts-count = 3\n";
    assert_snapshot!(Rig::new().toml(toml).warnings(), @"");
}

#[test]
fn misspelt_variables() {
    assert_snapshot!(Rig::new().env("FDWRD_FLUENTD_CA", "ca").warnings(), @"");
}

#[test]
fn values_that_hide_others() {
    let toml = "batch = 30\nteleport-addr = 'a:1'\n[teleport]\naddr = 'b:1'\n";
    let rig = Rig::new().toml(toml).env("FDFWD_BATCH", "40");
    assert_snapshot!(rig.warnings(), @"");
    // A flag is there to hide others, and equal values hide nothing.
    let rig = Rig::new().toml("timeout = '1s'").env("FDFWD_TIMEOUT", "1s").flag("--batch=9");
    assert_snapshot!(rig.env("FDFWD_BATCH", "8").warnings(), @"");
}

#[test]
fn recordings_that_would_be_sent_or_not_by_mistake() {
    assert_snapshot!(Rig::new().toml("skip-session-types = []").warnings(), @"");
    assert_snapshot!(Rig::new().flag("--types=user.login").warnings(), @"");
    assert_snapshot!(Rig::new().flag("--skip-event-types=session.upload").warnings(), @"");
}

#[test]
fn blanks_in_lists() {
    let rig = Rig::new().flag("--skip-event-types=a, b,");
    assert_snapshot!(rig.warnings(), @"");
    assert_eq!(rig.load().settings.ingest.skip_event_types, ["a", "b"]);
}

#[test]
fn numbers_beyond_use() {
    let rig = Rig::new().flag("--batch=100000").flag("--concurrency=100000");
    assert_snapshot!(rig.warnings(), @"");
    let settings = rig.load().settings;
    assert_eq!((settings.ingest.page_size, settings.ingest.concurrency), (5000, 1000));
    assert_eq!(settings.fluentd.max_connections, 2000);
}

#[test]
fn relative_storage() {
    assert_snapshot!(Rig::new().env("FDFWD_STORAGE", "./storage").warnings(), @"");
}

#[test]
fn settings_without_effect() {
    let rig = Rig::new()
        .flag("--fluentd-url=http://f/a")
        .flag("--fluentd-session-url=http://f/b?c=d")
        .flag("--fluentd-ca=ca")
        .flag("--decoder-artifacts=dir");
    assert_snapshot!(rig.warnings(), @"");
}
