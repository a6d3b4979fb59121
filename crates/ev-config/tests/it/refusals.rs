//! Everything that is refused, in the words that the operator sees.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use insta::assert_snapshot;

use crate::rig::Rig;

fn toml(text: &str) -> String {
    Rig::new().toml(text).refusal()
}

fn flag(flag: &str) -> String {
    Rig::new().flag(flag).refusal()
}

#[test]
fn what_is_required_is_told_with_every_way_to_give_it() {
    assert_snapshot!(Rig::empty().refusal(), @"");
}

#[test]
fn the_configuration_file() {
    assert_snapshot!(flag("--config=missing.toml"), @"");
    assert_snapshot!(flag("--config=dir"), @"");
    assert_snapshot!(toml("batch = 1\nstorage = /var/lib/ev\n"), @"");
    assert_snapshot!(toml("[teleport\n"), @"");
    assert_snapshot!(toml("batch = 1\nbatch = 2\n"), @"");
    let rig = Rig::new().toml("");
    std::fs::write(rig.path("ev.toml"), b"a = '\xff'").expect("can be written");
    assert_snapshot!(rig.refusal(), @"");
}

#[test]
fn numbers_out_of_range() {
    assert_snapshot!(toml("concurrency = 0"), @"");
    assert_snapshot!(flag("--concurrency=-1"), @"");
    assert_snapshot!(toml("batch = -5"), @"");
    assert_snapshot!(Rig::new().env("FDFWD_BATCH", "0").refusal(), @"");
    assert_snapshot!(flag("--fluentd-batch-events=0"), @"");
    assert_snapshot!(flag("--fluentd-batch-bytes=33554433"), @"");
    assert_snapshot!(flag("--batch=many"), @"");
    assert_snapshot!(toml("batch = 1.5"), @"");
    assert_snapshot!(toml("batch = [1]"), @"");
    assert_snapshot!(toml("batch = 99999999999999999999"), @"");
}

#[test]
fn durations_out_of_range() {
    assert_snapshot!(toml("window-size = '0'"), @"");
    assert_snapshot!(toml("window-size = '-24h'"), @"");
    assert_snapshot!(toml("window-size = '1d'"), @"");
    assert_snapshot!(toml("timeout = 10"), @"");
    assert_snapshot!(flag("--timeout=0s"), @"");
    assert_snapshot!(flag("--timeout=10"), @"");
    assert_snapshot!(flag("--teleport-refresh-interval=0s"), @"");
    assert_snapshot!(flag("--fluentd-batch-age=2m"), @"");
    assert_snapshot!(flag("--decoder-artifact-wait=-1s"), @"");
}

#[test]
fn other_values() {
    assert_snapshot!(flag("--start-time=2026-01-31"), @"");
    assert_snapshot!(toml("start-time = 2026-01-31T00:00:00"), @"");
    assert_snapshot!(toml("start-time = 5"), @"");
    assert_snapshot!(toml("debug = 'maybe'"), @"");
    assert_snapshot!(toml("debug = 2"), @"");
    assert_snapshot!(toml("types = [1]"), @"");
    assert_snapshot!(toml("storage = true"), @"");
    assert_snapshot!(toml("json-flavour = 'strukt'"), @"");
    assert_snapshot!(toml("[decoder]\nexactness = 'native'"), @"");
    assert_snapshot!(toml("[teleport]\naddr = 1"), @"");
    assert_snapshot!(Rig::new().env("FDFWD_BATCH", OsString::from_vec(vec![0xff])).refusal(), @"");
}

#[test]
fn what_this_release_cannot_do() {
    assert_snapshot!(flag("--dry-run"), @"");
    assert_snapshot!(toml("source = 'export'"), @"");
    assert_snapshot!(toml("source = 'unstructured'"), @"");
}

#[test]
fn addresses() {
    assert_snapshot!(flag("--teleport-addr=auth.example.com"), @"");
    assert_snapshot!(flag("--teleport-addr=auth.example.com:"), @"");
    assert_snapshot!(flag("--teleport-addr=auth.example.com:65536"), @"");
    assert_snapshot!(flag("--teleport-addr=:"), @"");
    assert_snapshot!(flag("--teleport-addr=:3025"), @"");
    assert_snapshot!(flag("--teleport-addr=::1:3025"), @"");
    assert_snapshot!(flag("--teleport-addr=https://auth:443"), @"");
    assert_snapshot!(flag("--fluentd-url=fluentd:8888"), @"");
    assert_snapshot!(flag("--fluentd-url=https:///test.log"), @"");
    assert_snapshot!(flag("--fluentd-session-url=ftp://user:secret@host/x"), @"");
}

#[test]
fn teleport_credentials() {
    let none = || Rig::new().without("FDFWD_TELEPORT_IDENTITY");
    assert_snapshot!(none().refusal(), @"");
    assert_snapshot!(none().flag("--teleport-cert=cert").refusal(), @"");
    let some = none().toml("[teleport]\nkey = 'key'\nca = 'ca'\n");
    assert_snapshot!(some.refusal(), @"");
    let both = Rig::new().flag("--teleport-cert=cert").toml("teleport.key = 'key'\n");
    assert_snapshot!(both.refusal(), @"");
    assert_snapshot!(none().flag("--teleport-identity=missing").refusal(), @"");
    assert_snapshot!(none().flag("--teleport-identity=dir").refusal(), @"");
}

#[test]
fn fluentd_certificates() {
    assert_snapshot!(flag("--fluentd-cert=cert"), @"");
    assert_snapshot!(Rig::new().env("FDWRD_FLUENTD_KEY", "key").refusal(), @"");
    assert_snapshot!(flag("--fluentd-ca=~/ca"), @"");
}

#[test]
fn decoder_files() {
    assert_snapshot!(flag("--decoder-trust=missing"), @"");
    assert_snapshot!(flag("--decoder-artifacts=other"), @"");
}

#[test]
fn all_problems_are_told_at_once() {
    let rig = Rig::empty().toml(
        "concurrency = 0\nwindow-size = 'long'\n[teleport]\naddr = 'x'\nidentity = 'missing'\n",
    );
    assert_snapshot!(rig.refusal(), @"");
}
