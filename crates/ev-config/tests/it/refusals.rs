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
    assert_snapshot!(Rig::empty().refusal(), @r"
        4 settings cannot be used:
          `storage`: is required; set `--storage`, `storage` or `FDFWD_STORAGE`
          `teleport.identity`: neither an identity file nor key files are configured; set this one, or all of `teleport.cert`, `teleport.key`, `teleport.ca`
          `forward.fluentd.url`: is required; set `--fluentd-url`, `[forward.fluentd] url` or `FDFWD_FLUENTD_URL`; or another receiver: `[forward.forward] url`, or `[forward.file] path`, where `-` is stdout
          `forward.fluentd.session-url`: is required; set `--fluentd-session-url`, `[forward.fluentd] session-url` or `FDFWD_FLUENTD_SESSION_URL`
        ");
}

#[test]
fn the_configuration_file() {
    assert_snapshot!(flag("--config=missing.toml"), @"`--config` (--config): `DIR/missing.toml` cannot be used: No such file or directory (os error 2)");
    assert_snapshot!(flag("--config=dir"), @"`--config` (--config): `DIR/dir` is a directory, not a file");
    assert_snapshot!(toml("batch = 1\nstorage = /var/lib/ev\n"), @r#"
        DIR/ev.toml:2:11: string values must be quoted, expected literal string
          storage = /var/lib/ev
        text stands in quotes:
          storage = "/var/lib/ev"
        "#);
    assert_snapshot!(toml("[teleport\n"), @r"
        DIR/ev.toml:1:10: unclosed table, expected `]`
          [teleport
        ");
    assert_snapshot!(toml("batch = 1\nbatch = 2\n"), @r"
        DIR/ev.toml:2:1: duplicate key
          batch = 2
        ");
    let rig = Rig::new().toml("");
    std::fs::write(rig.path("ev.toml"), b"a = '\xff'").expect("can be written");
    assert_snapshot!(rig.refusal(), @"failed to read configuration file `DIR/ev.toml`");
    let error = rig.try_load().expect_err("refused");
    let cause = std::error::Error::source(&error).expect("the cause is kept");
    assert!(cause.to_string().contains("UTF-8"), "{cause}");
}

#[test]
fn numbers_out_of_range() {
    assert_snapshot!(toml("concurrency = 0"), @"`concurrency` (DIR/ev.toml:1): 0 is not in the range 1 to 1000");
    assert_snapshot!(flag("--concurrency=-1"), @"`concurrency` (--concurrency): -1 is not in the range 1 to 1000");
    assert_snapshot!(toml("parked.max-events = 0"), @"`parked.max-events` (DIR/ev.toml:1): 0 is not in the range 1 to 1000000000");
    assert_snapshot!(toml("parked.max-bytes = 10"), @"`parked.max-bytes` (DIR/ev.toml:1): 10 is not in the range 1024 to 1099511627776");
    assert_snapshot!(toml("batch = -5"), @"`batch` (DIR/ev.toml:1): -5 is not in the range 1 to 5000");
    assert_snapshot!(Rig::new().env("FDFWD_BATCH", "0").refusal(), @"`batch` (FDFWD_BATCH): 0 is not in the range 1 to 5000");
    assert_snapshot!(flag("--fluentd-batch-events=0"), @"`forward.fluentd.batch-events` (--fluentd-batch-events): 0 is not in the range 1 to 10000");
    assert_snapshot!(flag("--fluentd-batch-bytes=33554433"), @"`forward.fluentd.batch-bytes` (--fluentd-batch-bytes): 33554433 is not in the range 1024 to 33554432");
    assert_snapshot!(flag("--fluentd-gzip-above=-1"), @"`forward.fluentd.gzip-above` (--fluentd-gzip-above): -1 is not in the range 0 to 33554432");
    assert_snapshot!(toml("[forward.fluentd]\ngzip-above = 33554433"), @"`forward.fluentd.gzip-above` (DIR/ev.toml:2): 33554433 is not in the range 0 to 33554432");
    assert_snapshot!(flag("--batch=many"), @"`batch` (--batch): `many` is not a whole number");
    assert_snapshot!(toml("batch = 1.5"), @"`batch` (DIR/ev.toml:1): must be a whole number, not a number with a fraction");
    assert_snapshot!(toml("batch = [1]"), @"`batch` (DIR/ev.toml:1): must be a whole number, not an array of other things than texts");
    assert_snapshot!(toml("batch = 99999999999999999999"), @"`batch` (DIR/ev.toml:1): must be a whole number, not a number beyond 64 bits");
}

#[test]
fn locking_that_could_not_work() {
    let lock = |text: &str| toml(&format!("[lock]\nenabled = true\n{text}"));
    assert_snapshot!(lock("failed-attempts-count = 0"), @"`lock.failed.attempts.count` (DIR/ev.toml:3): 0 is not in the range 1 to 4294967295");
    assert_snapshot!(lock("failed.attempts.count = -3"), @"`lock.failed.attempts.count` (DIR/ev.toml:3): -3 is not in the range 1 to 4294967295");
    assert_snapshot!(lock("period = '0s'"), @"`lock.period` (DIR/ev.toml:3): 0s must be more than 0s");
    assert_snapshot!(lock("for = '-1h'"), @"`lock.for` (DIR/ev.toml:3): -1h0m0s must be at least 0s");
}

#[test]
fn durations_out_of_range() {
    assert_snapshot!(toml("window-size = '0'"), @"`window-size` (DIR/ev.toml:1): 0s must be at least 1s");
    assert_snapshot!(toml("rescan = ['10m', 'soon']"), @"`rescan` (DIR/ev.toml:1): `soon` is not a duration such as `10s`, `1h30m` or `1.5h`");
    assert_snapshot!(toml("export.backlog = 32"), @"`export.backlog` (DIR/ev.toml:1): 32 is not in the range 0 to 31");
    assert_snapshot!(toml("export.chunks = 0"), @"`export.chunks` (DIR/ev.toml:1): 0 is not in the range 1 to 1000");
    assert_snapshot!(toml("export.poll = '0s'"), @"`export.poll` (DIR/ev.toml:1): 0s must be more than 0s");
    assert_snapshot!(toml("rescan = ['0s']"), @"`rescan` (DIR/ev.toml:1): 0s is not in the range 1s to 720h");
    assert_snapshot!(toml("rescan = ['6h', '10m']"), @"`rescan` (DIR/ev.toml:1): the shortest delay comes first");
    assert_snapshot!(toml("window-size = '-24h'"), @"`window-size` (DIR/ev.toml:1): -24h0m0s must be at least 1s");
    assert_snapshot!(toml("window-size = '1d'"), @"`window-size` (DIR/ev.toml:1): `1d` has an unknown unit (there are `ns`, `us`, `ms`, `s`, `m` and `h`)");
    assert_snapshot!(toml("timeout = 10"), @r#"`timeout` (DIR/ev.toml:1): 10 lacks a unit; write it in quotes, for instance `"10s"`"#);
    assert_snapshot!(flag("--timeout=0s"), @"`timeout` (--timeout): 0s must be more than 0s");
    assert_snapshot!(flag("--timeout=10"), @"`timeout` (--timeout): `10` lacks a unit (`ns`, `us`, `ms`, `s`, `m` or `h`)");
    assert_snapshot!(flag("--teleport-refresh-interval=0s"), @"`teleport.refresh.interval` (--teleport-refresh-interval): 0s must be more than 0s");
    assert_snapshot!(flag("--fluentd-batch-age=2m"), @"`forward.fluentd.batch-age` (--fluentd-batch-age): 2m0s is not in the range 0s to 1m0s");
    assert_snapshot!(flag("--fluentd-connect-timeout=0s"), @"`forward.fluentd.connect-timeout` (--fluentd-connect-timeout): 0s is not in the range 100ms to 10m0s");
    assert_snapshot!(toml("[forward.fluentd]\nhandshake-timeout = '99ms'"), @"`forward.fluentd.handshake-timeout` (DIR/ev.toml:2): 99ms is not in the range 100ms to 10m0s");
    assert_snapshot!(Rig::new().env("EV_FLUENTD_REQUEST_TIMEOUT", "11m").refusal(), @"`forward.fluentd.request-timeout` (EV_FLUENTD_REQUEST_TIMEOUT): 11m0s is not in the range 100ms to 10m0s");
    assert_snapshot!(flag("--fluentd-response-timeout=600001ms"), @"`forward.fluentd.response-timeout` (--fluentd-response-timeout): 10m0.001s is not in the range 100ms to 10m0s");
    assert_snapshot!(flag("--fluentd-refresh-interval=999ms"), @"`forward.fluentd.refresh-interval` (--fluentd-refresh-interval): 999ms is not in the range 1s to 1h0m0s");
    assert_snapshot!(toml("[forward.fluentd]\nrefresh-interval = '61m'"), @"`forward.fluentd.refresh-interval` (DIR/ev.toml:2): 1h1m0s is not in the range 1s to 1h0m0s");
    assert_snapshot!(flag("--decoder-artifact-wait=-1s"), @"`decoder.artifact-wait` (--decoder-artifact-wait): -1s is not in the range 0s to 24h0m0s");
}

#[test]
fn other_values() {
    assert_snapshot!(flag("--start-time=2026-01-31"), @"`start-time` (--start-time): `2026-01-31` is not a time such as `2026-01-31T00:00:00Z`");
    assert_snapshot!(toml("start-time = 2026-01-31T00:00:00"), @"`start-time` (DIR/ev.toml:1): `2026-01-31T00:00:00` has no offset from UTC; put `Z` or, for instance, `+02:00` behind");
    assert_snapshot!(toml("start-time = 5"), @"`start-time` (DIR/ev.toml:1): must be a time such as `2026-01-31T00:00:00Z`, not a number");
    assert_snapshot!(toml("debug = 'maybe'"), @"`debug` (DIR/ev.toml:1): `maybe` is neither `true` nor `false`");
    assert_snapshot!(toml("debug = 2"), @"`debug` (DIR/ev.toml:1): must be `true` or `false`, not a number");
    assert_snapshot!(toml("types = [1]"), @"`types` (DIR/ev.toml:1): must be an array of texts, or one text with commas, not an array of other things than texts");
    assert_snapshot!(toml("storage = true"), @"`storage` (DIR/ev.toml:1): must be a path in quotes, not `true` or `false`");
    assert_snapshot!(toml("json-flavour = 'strukt'"), @"`json-flavour` (DIR/ev.toml:1): `strukt` is not one of `auto`, `go` or `struct`; did you mean `struct`?");
    assert_snapshot!(toml("[decoder]\nexactness = 'native'"), @"`decoder.exactness` (DIR/ev.toml:2): `native` is not one of `auth` or `known-native`; did you mean `known-native`?");
    assert_snapshot!(toml("[teleport]\naddr = 1"), @"`teleport.addr` (DIR/ev.toml:2): must be text in quotes, not a number");
    assert_snapshot!(toml("[forward.fluentd]\ngzip = true"), @"`forward.fluentd.gzip` (DIR/ev.toml:2): must be text in quotes, not `true` or `false`");
    assert_snapshot!(flag("--fluentd-gzip=on"), @"`forward.fluentd.gzip` (--fluentd-gzip): `on` is not one of `off`, `auto` or `always`");
    assert_snapshot!(flag("--fluentd-in-flight=fix"), @"`forward.fluentd.in-flight` (--fluentd-in-flight): `fix` is not one of `adaptive` or `fixed`");
    assert_snapshot!(toml("[forward.fluentd]\nid-headers = 'batch'"), @"`forward.fluentd.id-headers` (DIR/ev.toml:2): `batch` is neither `true` nor `false`");
    assert_snapshot!(Rig::new().env("EV_FLUENTD_PROBE_RECEIVER", "maybe").refusal(), @"`forward.fluentd.probe-receiver` (EV_FLUENTD_PROBE_RECEIVER): `maybe` is neither `true` nor `false`");
    assert_snapshot!(Rig::new().env("FDFWD_BATCH", OsString::from_vec(vec![0xff])).refusal(), @"`batch` (FDFWD_BATCH): is not UTF-8");
}

#[test]
fn a_road_without_the_flavour_that_is_asked_for() {
    assert_snapshot!(toml("source = 'unstructured'\njson-flavour = 'go'"), @"`source` (DIR/ev.toml:1): brings the JSON that Auth has made, which is the flavour `struct`; remove `json-flavour` (DIR/ev.toml:2), or use `typed`");
}

#[test]
fn addresses() {
    assert_snapshot!(flag("--teleport-addr=auth.example.com"), @"`teleport.addr` (--teleport-addr): `auth.example.com` has no port; it must be `host:port`, where the port is usually 443 or 3080 for a Proxy and 3025 for Auth");
    assert_snapshot!(flag("--teleport-addr=auth.example.com:"), @"`teleport.addr` (--teleport-addr): `auth.example.com:` has no port between 1 and 65535; it must be `host:port`");
    assert_snapshot!(flag("--teleport-addr=auth.example.com:65536"), @"`teleport.addr` (--teleport-addr): `auth.example.com:65536` has no port between 1 and 65535; it must be `host:port`");
    assert_snapshot!(flag("--teleport-addr=:"), @"`teleport.addr` (--teleport-addr): `:` has no host; it must be `host:port`");
    assert_snapshot!(flag("--teleport-addr=:3025"), @"`teleport.addr` (--teleport-addr): `:3025` has no host; it must be `host:port`");
    assert_snapshot!(flag("--teleport-addr=::1:3025"), @"`teleport.addr` (--teleport-addr): `::1:3025` has an IPv6 host without brackets; it must be `host:port`");
    assert_snapshot!(flag("--teleport-addr=https://auth:443"), @"`teleport.addr` (--teleport-addr): `https://auth:443` is a URL; it must be `host:port`");
    assert_snapshot!(flag("--fluentd-url=fluentd:8888"), @"`forward.fluentd.url` (--fluentd-url): `fluentd:8888` is no address that starts with `https://` or `http://`");
    assert_snapshot!(flag("--fluentd-url=https:///test.log"), @"`forward.fluentd.url` (--fluentd-url): `https:///test.log` has no host");
    assert_snapshot!(flag("--fluentd-session-url=ftp://user:secret@host/x"), @"`forward.fluentd.session-url` (--fluentd-session-url): `ftp://***@host/x` is no address that starts with `https://` or `http://`");
}

#[test]
fn teleport_credentials() {
    let none = || Rig::new().without("FDFWD_TELEPORT_IDENTITY");
    assert_snapshot!(none().refusal(), @"`teleport.identity`: neither an identity file nor key files are configured; set this one, or all of `teleport.cert`, `teleport.key`, `teleport.ca`");
    assert_snapshot!(none().flag("--teleport-cert=cert").refusal(), @"`teleport.cert` (--teleport-cert): certificate, key and CA go together; given: `teleport.cert` (--teleport-cert); missing: `teleport.key`, `teleport.ca`");
    let some = none().toml("[teleport]\nkey = 'key'\nca = 'ca'\n");
    assert_snapshot!(some.refusal(), @"`teleport.key` (DIR/ev.toml:2): certificate, key and CA go together; given: `teleport.key` (DIR/ev.toml:2), `teleport.ca` (DIR/ev.toml:3); missing: `teleport.cert`");
    let both = Rig::new().flag("--teleport-cert=cert").toml("teleport.key = 'key'\n");
    assert_snapshot!(both.refusal(), @"`teleport.identity` (FDFWD_TELEPORT_IDENTITY): an identity file and key files exclude each other; remove it or `teleport.cert` (--teleport-cert), `teleport.key` (DIR/ev.toml:1)");
    assert_snapshot!(none().flag("--teleport-identity=missing").refusal(), @"`teleport.identity` (--teleport-identity): `DIR/missing` cannot be used: No such file or directory (os error 2); `tbot` or `tctl auth sign` writes it, to the path that is set here");
    assert_snapshot!(none().flag("--teleport-identity=dir").refusal(), @"`teleport.identity` (--teleport-identity): `DIR/dir` is a directory, not a file");
}

#[test]
fn fluentd_certificates() {
    assert_snapshot!(flag("--fluentd-cert=cert"), @"`forward.fluentd.cert` (--fluentd-cert): certificate and key go together; missing: `forward.fluentd.key`");
    assert_snapshot!(Rig::new().env("FDWRD_FLUENTD_KEY", "key").refusal(), @"`forward.fluentd.key` (FDWRD_FLUENTD_KEY): certificate and key go together; missing: `forward.fluentd.cert`");
    assert_snapshot!(flag("--fluentd-ca=~/ca"), @"`forward.fluentd.ca` (--fluentd-ca): `DIR/~/ca` cannot be used: No such file or directory (os error 2)");
}

#[test]
fn decoder_files() {
    assert_snapshot!(flag("--decoder-trust=missing"), @"`decoder.trust` (--decoder-trust): `DIR/missing` cannot be used: No such file or directory (os error 2)");
    assert_snapshot!(flag("--decoder-artifacts=other"), @"`decoder.artifacts` (--decoder-artifacts): `DIR/other` is not a directory");
    assert_snapshot!(flag("--decoder-artifacts=ftp://user:s3cret@h/x?s3cret"), @"`decoder.artifacts` (--decoder-artifacts): `ftp://***@h/x?***` is no address that starts with `https://` or `http://`");
    assert_snapshot!(flag("--decoder-artifacts=https:///x"), @"`decoder.artifacts` (--decoder-artifacts): `https:///x` has no host");
    assert_snapshot!(toml("[decoder]
artifacts = 1"), @"`decoder.artifacts` (DIR/ev.toml:2): must be a path or an address in quotes, not a number");
    assert_snapshot!(flag("--decoder-artifacts-cert=cert"), @"`decoder.artifacts-cert` (--decoder-artifacts-cert): certificate and key go together; missing: `decoder.artifacts-key`");
    assert_snapshot!(flag("--decoder-version-policy=nearest"), @"`decoder.version-policy` (--decoder-version-policy): `nearest` is not one of `exact` or `nearest-newer-in-major`");
}

#[test]
fn all_problems_are_told_at_once() {
    let rig = Rig::empty().toml(
        "concurrency = 0\nwindow-size = 'long'\n[teleport]\naddr = 'x'\nidentity = 'missing'\n",
    );
    assert_snapshot!(rig.refusal(), @r"
        7 settings cannot be used:
          `teleport.identity` (DIR/ev.toml:5): `DIR/missing` cannot be used: No such file or directory (os error 2); `tbot` or `tctl auth sign` writes it, to the path that is set here
          `window-size` (DIR/ev.toml:2): `long` is not a duration such as `10s`, `1h30m` or `1.5h`
          `storage`: is required; set `--storage`, `storage` or `FDFWD_STORAGE`
          `teleport.addr` (DIR/ev.toml:4): `x` has no port; it must be `host:port`, where the port is usually 443 or 3080 for a Proxy and 3025 for Auth
          `concurrency` (DIR/ev.toml:1): 0 is not in the range 1 to 1000
          `forward.fluentd.url`: is required; set `--fluentd-url`, `[forward.fluentd] url` or `FDFWD_FLUENTD_URL`; or another receiver: `[forward.forward] url`, or `[forward.file] path`, where `-` is stdout
          `forward.fluentd.session-url`: is required; set `--fluentd-session-url`, `[forward.fluentd] session-url` or `FDFWD_FLUENTD_SESSION_URL`
        ");
}

#[test]
fn an_identity_that_is_not_there_yet_is_waited_for_by_whoever_starts_it_again() {
    let may_pass = |rig: &Rig| rig.try_load().expect_err("refused").may_pass();
    let missing = || Rig::new().flag("--teleport-identity=missing");
    assert!(may_pass(&missing()));
    assert!(!may_pass(&missing().flag("--batch=0")));
    assert!(!may_pass(&Rig::new().flag("--teleport-identity=dir")));
    assert!(!may_pass(&Rig::new().flag("--fluentd-ca=missing")));
    assert!(!may_pass(&Rig::new().flag("--config=missing")));
}

/// The example of the guide, whose values are not quoted.
#[test]
fn the_file_of_the_guide() {
    assert_snapshot!(toml(include_str!("guide.toml")), @r#"
        DIR/ev.toml:11:6: string values must be quoted, expected literal string
          ca = /home/bob/event-handler/ca.crt
        text stands in quotes:
          ca = "/home/bob/event-handler/ca.crt"
        so it does in lines 12, 13, 18
        "#);
}

#[test]
fn where_own_security_events_go() {
    let toml = |text: &str| toml(&format!("[audit]\n{text}"));
    let socket = |length: usize| {
        let path = format!("/{}", "x".repeat(length - 1));
        format!("endpoint = 'unix:{path}'\nservice = 'e6c9fcb1-7f08-4c1d-9e7a-123456789abc'")
    };
    assert_snapshot!(toml(&socket(108)), @"`audit.endpoint` (DIR/ev.toml:2): has a path of 108 bytes; that of a Unix socket has 107 at most");
    assert_snapshot!(toml("endpoint = 'unix'"), @"`audit.service`: is missing, and the agent of `audit.endpoint` (DIR/ev.toml:2) takes nothing without");
    assert_snapshot!(toml("endpoint = '/run/agent.sock'\nservice = 'my service'\ncaller = '::'"), @r"
        3 settings cannot be used:
          `audit.endpoint` (DIR/ev.toml:2): `/run/agent.sock` is no endpoint; it must be `unix`, `unix:` and an absolute path, or `tcp:host:port`
          `audit.service` (DIR/ev.toml:3): `my service` is no service tree id; it must be a GUID such as `01234567-89ab-cdef-0123-456789abcdef`, and not all zeros
          `audit.caller` (DIR/ev.toml:4): `::` is no IP address of a machine
        ");
    assert_snapshot!(toml("endpoint = 'tcp:agent'\nservice = '00000000-0000-0000-0000-000000000000'"), @r"
        2 settings cannot be used:
          `audit.endpoint` (DIR/ev.toml:2): `tcp:agent` is no endpoint; it must be `unix`, `unix:` and an absolute path, or `tcp:host:port`
          `audit.service` (DIR/ev.toml:3): `00000000-0000-0000-0000-000000000000` is no service tree id; it must be a GUID such as `01234567-89ab-cdef-0123-456789abcdef`, and not all zeros
        ");
}

/// Whoever writes it in some way means it to be on.
#[test]
fn a_misspelt_lock_hides_nothing_else_that_is_wrong_with_locking() {
    let message = toml("[lock]\nenabled = 'yeah'\nfailed-attempts-count = 0\nperiod = '0s'\n");
    for part in ["lock.enabled", "lock.failed.attempts.count", "lock.period"] {
        assert!(message.contains(&format!("`{part}` (")), "{part}: {message}");
    }
}
