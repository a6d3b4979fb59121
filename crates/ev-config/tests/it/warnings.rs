//! What is odd but no reason to refuse.

use insta::assert_snapshot;

use crate::rig::Rig;

#[test]
fn nothing_of_the_reference_handler_is_left_out() {
    let toml = "cursor = 'abc'\ndry-run = true\n[lock]\nenabled = true\nfor = '1h'\n";
    assert_snapshot!(Rig::new().toml(toml).warnings(), @"");
}

#[test]
fn misspelt_variables() {
    assert_snapshot!(Rig::new().env("FDWRD_FLUENTD_CA", "ca").warnings(), @"`forward.fluentd.ca` (FDWRD_FLUENTD_CA): `FDWRD_FLUENTD_CA` is a historic misspelling; use `FDFWD_FLUENTD_CA`");
}

#[test]
fn values_that_hide_others() {
    let toml = "batch = 30\nteleport-addr = 'a:1'\n[teleport]\naddr = 'b:1'\n";
    let rig = Rig::new().toml(toml).env("FDFWD_BATCH", "40");
    assert_snapshot!(rig.warnings(), @r"
        `teleport.addr` (DIR/ev.toml:4): another value is given by DIR/ev.toml:2; this one is used
        `batch` (DIR/ev.toml:1): another value is given by FDFWD_BATCH; this one is used
        ");
    // A flag is there to hide others, and equal values hide nothing.
    let rig = Rig::new().toml("timeout = '1s'").env("FDFWD_TIMEOUT", "1s").flag("--batch=9");
    assert_snapshot!(rig.env("FDFWD_BATCH", "8").warnings(), @"");
}

#[test]
fn recordings_that_would_be_sent_or_not_by_mistake() {
    assert_snapshot!(Rig::new().toml("skip-session-types = []").warnings(), @"`skip-session-types` (DIR/ev.toml:1): nothing is skipped: what was on terminals is sent too (`print` events); remove the setting to skip `print` and `desktop.recording`");
    assert_snapshot!(Rig::new().flag("--types=user.login").warnings(), @"`types` (--types): leaves out `session.upload`, so no session recording is sent");
    assert_snapshot!(Rig::new().flag("--skip-event-types=session.upload").warnings(), @"`skip-event-types` (--skip-event-types): leaves out `session.upload`, so no session recording is sent");
}

#[test]
fn event_types_that_no_event_has() {
    let rig = Rig::new().toml("types = 'session.*,user.logni,session.upload'\nskip-session-types = ['pring', 'db.session.malformed-packet']");
    assert_snapshot!(rig.warnings(), @r"
        `types` (DIR/ev.toml:1): `session.*`: names are exact, there are no wildcards
        `types` (DIR/ev.toml:1): `user.logni` is no event type known here; did you mean `user.login`?
        `skip-session-types` (DIR/ev.toml:2): `db.session.malformed-packet` is no event type known here; did you mean `db.session.malformed_packet`?
        ");
}

#[test]
fn addresses_that_are_not_encrypted_or_end_oddly() {
    let rig = || Rig::new().flag("--fluentd-url=http://u:s3cret@f/a");
    assert_snapshot!(rig().warnings(), @"`forward.fluentd.url` (--fluentd-url): is not encrypted: whoever is on the way to it can read and change the events, and store some of their own");
    assert_snapshot!(rig().flag("--fluentd-session-url=http://f/s").warnings(), @"`forward.fluentd.url` (--fluentd-url): is not encrypted: whoever is on the way to it can read and change the events, and store some of their own");
    assert_snapshot!(Rig::new().flag("--fluentd-session-url=http://f/s").warnings(), @"`forward.fluentd.session-url` (--fluentd-session-url): is not encrypted: whoever is on the way to it can read and change the events, and store some of their own");
    assert_snapshot!(Rig::new().flag("--fluentd-session-url=https://f/s/?id={session-id}").warnings(), @"");
    assert_snapshot!(Rig::new().flag("--fluentd-session-url=https://f/{sid}").warnings(), @"`forward.fluentd.session-url` (--fluentd-session-url): holds a brace and no `{session-id}`, which alone is replaced");
    assert_snapshot!(Rig::new().flag("--fluentd-session-url=https://f/s/").warnings(), @"`forward.fluentd.session-url` (--fluentd-session-url): `.<session id>.log` is put behind the whole address, so behind its last slash, as in `/.<session id>.log`");
}

#[test]
fn relative_paths_in_a_file_that_lies_elsewhere() {
    let rig = Rig::new().without("FDFWD_TELEPORT_IDENTITY").flag("--config=dir/ev.toml");
    let toml = "[teleport]\nidentity = 'identity'\n[forward.fluentd]\nca = '~/ca'\n";
    std::fs::write(rig.path("dir/ev.toml"), toml).expect("can be written");
    let home = rig.path("").display().to_string();
    assert_snapshot!(rig.env("HOME", home).warnings(), @"`teleport.identity` (DIR/dir/ev.toml:2): is relative to the working directory, not to the file: `DIR/identity` is used");
}

#[test]
fn keys_of_old_releases() {
    let toml = "namespace = 'default'\nteleport.debug = true\n";
    assert_snapshot!(Rig::new().toml(toml).warnings(), @r"
        `teleport.debug` (DIR/ev.toml:2): is obsolete and without effect; use `debug`, which is for the whole program
        `namespace` (DIR/ev.toml:1): is obsolete and without effect; remove it, Teleport has no namespaces any more
        ");
    assert!(!Rig::new().toml(toml).load().settings.debug);
}

#[test]
fn blanks_in_lists() {
    let rig = Rig::new().flag("--skip-event-types=a, b,");
    assert_snapshot!(rig.warnings(), @"`skip-event-types` (--skip-event-types): blanks around items are taken off");
    assert_eq!(rig.load().settings.ingest.skip_event_types, ["a", "b"]);
}

#[test]
fn numbers_beyond_use() {
    let rig = Rig::new().flag("--batch=100000").flag("--concurrency=100000");
    assert_snapshot!(rig.warnings(), @r"
        `batch` (--batch): 100000 is more than is of use; 5000 is used
        `concurrency` (--concurrency): 100000 is more than is of use; 1000 is used
        ");
    let settings = rig.load().settings;
    assert_eq!((settings.ingest.page_size, settings.ingest.concurrency), (5000, 1000));
    assert_eq!(settings.fluentd.as_ref().expect("set").max_connections, 2000);
}

#[test]
fn relative_storage() {
    assert_snapshot!(Rig::new().env("FDFWD_STORAGE", "./storage").warnings(), @"`storage` (FDFWD_STORAGE): is relative to the working directory: `DIR/storage` is used");
}

#[test]
fn settings_without_effect() {
    let rig = Rig::new()
        .flag("--fluentd-url=http://f/a")
        .flag("--fluentd-session-url=http://f/b?c=d")
        .flag("--fluentd-ca=ca")
        .flag("--decoder-artifacts=dir");
    assert_snapshot!(rig.warnings(), @r"
        `forward.fluentd.ca` (--fluentd-ca): has no effect, because both addresses are `http`
        `forward.fluentd.url` (--fluentd-url): is not encrypted: whoever is on the way to it can read and change the events, and store some of their own
        `forward.fluentd.session-url` (--fluentd-session-url): `.<session id>.log` is put behind the whole address, so behind its query too
        `decoder.artifacts` (--decoder-artifacts): has no effect without keys to trust; set `decoder.trust`
        ");
    let rig = Rig::new()
        .flag("--decoder-artifacts=http://localhost/ev")
        .flag("--decoder-trust=other")
        .flag("--decoder-artifacts-ca=ca");
    assert_snapshot!(rig.warnings(), @"`decoder.artifacts-ca` (--decoder-artifacts-ca): has no effect, because `decoder.artifacts` (--decoder-artifacts) is no `https` address");
    let rig = Rig::new().flag("--decoder-version-policy=nearest-newer-in-major");
    assert_snapshot!(rig.warnings(), @"`decoder.version-policy` (--decoder-version-policy): has no effect on what Auth itself offers; set `decoder.artifacts`");
    let rig = Rig::new().flag("--fluentd-gzip=off").flag("--fluentd-gzip-above=1");
    assert_snapshot!(rig.warnings(), @"`forward.fluentd.gzip-above` (--fluentd-gzip-above): has no effect, because `forward.fluentd.gzip` (--fluentd-gzip) is `off`");
    let rig = Rig::new().flag("--fluentd-batch-mode=single").flag("--fluentd-gzip-above=1");
    assert_snapshot!(rig.warnings(), @"`forward.fluentd.gzip-above` (--fluentd-gzip-above): has no effect, because `forward.fluentd.gzip` is `off`");
}
