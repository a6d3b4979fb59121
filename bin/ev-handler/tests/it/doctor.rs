//! `ev-handler doctor`: each fault of the road is found by its name, with what to do about it.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use ev_diag::{Phase, Sink, Snapshot};
use ev_modules::SigningKey;
use ev_test_support::certs::{Authority, Identity, LeafRequest, Validity};
use ev_test_support::{
    CallFault, FailRule, FakeFluentd, FakeProxy, FluentdConfig, ProxyConfig, ProxySwitches,
    TlsVersions, UtcTime, loopback, server_config,
};
use serde_json::Value;

use crate::stage::{CLUSTER, Stage, now, write};
use crate::surroundings::encrypted;

/// What the process said and how it ended.
struct Seen {
    code: Option<i32>,
    report: Value,
}

impl Seen {
    /// The findings of a step.
    fn of<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a Value> {
        let findings = self.report["findings"].as_array().unwrap();
        findings.iter().filter(move |finding| finding["step"] == step)
    }

    /// There is such a finding, with these words in what it says and in the cure.
    #[track_caller]
    fn finds(&self, step: &str, severity: &str, what: &[&str], cure: &[&str]) {
        let says = |finding: &Value, key: &str, parts: &[&str]| {
            let text = finding[key].as_str().unwrap_or_default();
            parts.iter().all(|part| text.contains(part))
        };
        let is_there = self.of(step).any(|finding| {
            finding["severity"] == severity
                && says(finding, "what", what)
                && says(finding, "cure", cure)
        });
        assert!(is_there, "no {severity} of {step} with {what:?} and {cure:?}: {:#}", self.report);
    }

    /// A problem, after which the process ends with 1.
    #[track_caller]
    fn problem(&self, step: &str, what: &[&str], cure: &[&str]) {
        self.finds(step, "problem", what, cure);
        assert_eq!(self.code, Some(1));
    }

    #[track_caller]
    fn ok(&self, step: &str, what: &[&str]) {
        self.finds(step, "ok", what, &[]);
    }

    #[track_caller]
    fn not_tried(&self, step: &str, what: &str) {
        self.finds(step, "not-tried", &[what], &[]);
    }
}

/// Runs the command before which `shell` stands, as in `exec env`.
fn doctor_in(dir: &Path, shell: &str, args: &[&str]) -> Seen {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("{shell} exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_ev-handler"))
        .args(["doctor", "--json", "--config", "handler.toml"])
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stdout.contains("PRIVATE KEY") && !stdout.contains("s3cret"), "{stdout}");
    assert_eq!(stderr, "", "everything is in the report");
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
    Seen { code: output.status.code(), report }
}

fn doctor(stage: &Stage, args: &[&str]) -> Seen {
    stage.write_config(stage.auth.addr());
    doctor_in(stage.dir.path(), "", args)
}

/// Secrets for their owner alone, as they should be.
fn closed(stage: &Stage) {
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["identity", "client.key"] {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(stage.path(name), mode).unwrap();
    }
}

fn denied(method: &str, message: &str) -> CallFault {
    let (method, message) = (method.to_owned(), message.to_owned());
    CallFault { code: 7, method, message, ..CallFault::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_road_that_works_has_no_problem_and_nothing_is_left_behind() {
    let stage = Stage::new("13.3.8");
    closed(&stage);
    let seen = doctor(&stage, &[]);
    assert_eq!(seen.report["problems"], 0, "{:#}", seen.report);
    // Where this test runs the disk may be small, or one that does not last.
    let findings = seen.report["findings"].as_array().unwrap();
    let warned: Vec<&Value> =
        findings.iter().filter(|finding| finding["severity"] == "warning").collect();
    let is_of_the_disk =
        |finding: &&&Value| finding["step"].as_str().unwrap().starts_with("storage");
    assert_eq!(warned.iter().filter(is_of_the_disk).count(), warned.len(), "{warned:#?}");
    assert_eq!(seen.code, Some(if warned.is_empty() { 0 } else { 2 }));
    for (step, what) in [
        ("configuration", "all settings can be used"),
        ("storage", "can be made"),
        ("storage.lock", "no process"),
        ("storage.state", "no state yet"),
        ("auth.credentials", "valid until"),
        ("auth.name", "127.0.0.1"),
        ("auth.connection", "connected as an auth server"),
        ("auth.version", "version 13.3.8, cluster `rig.example.com`"),
        ("auth.clock", "30 s"),
        ("auth.calls", "GetEvents"),
        ("role.event", "may read the log"),
        ("role.session", "may read recordings"),
        ("decoder.trust", "can be read"),
        ("decoder.artifact", "is built in"),
        ("fluentd.credentials", "valid until"),
        ("fluentd.name", "127.0.0.1"),
        ("fluentd.connection", "takes connections"),
        ("fluentd.answers", "`<parse>`"),
    ] {
        seen.ok(step, &[what]);
    }
    seen.not_tried("fluentd.event", "`--probe`");
    assert!(!stage.path("storage").exists());
    assert_eq!(stage.fluentd.tally().events, 0);
    assert!(stage.auth.locks().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_beside_a_running_handler() {
    let stage = Stage::new("13.3.8");
    closed(&stage);
    stage
        .run_until(async |stage| {
            stage.auth.wait(|tally| tally.methods.contains_key("GetEvents")).await;
            let seen = doctor(stage, &[]);
            assert_eq!(seen.report["problems"], 0, "{:#}", seen.report);
            seen.finds("storage.lock", "note", &["the handler runs"], &[]);
            seen.ok("storage.state", &["of cluster `rig.example.com`"]);
        })
        .await;
    let seen = doctor(&stage, &[]);
    seen.ok("storage.lock", &["no process has the state open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_probe_one_marked_event_is_sent_and_a_lock_on_nobody_set() {
    let mut stage = Stage::new("13.3.8");
    stage.extra = "lock.enabled = true".into();
    let seen = doctor(&stage, &[]);
    seen.not_tried("role.lock", "`--probe`");
    let seen = doctor(&stage, &["--probe"]);
    seen.ok("role.lock", &["may lock users"]);
    seen.ok("fluentd.event", &["uid `ev-probe-"]);
    let events = stage.fluentd.received();
    assert!(events.iter().any(|event| event.body.windows(8).any(|part| part == b"ev.probe")));
    let locks = stage.auth.locks();
    assert_eq!(locks.keys().collect::<Vec<_>>(), ["ev-handler-doctor-probe"]);
    let lock = &locks["ev-handler-doctor-probe"];
    assert_eq!(lock.user, "ev-handler-doctor-probe");
    let expires = lock.expires.as_ref().expect("it is over");
    assert!(expires.as_str() < now().plus_nanos(-60 * 1_000_000_000).to_string().as_str());

    let text = "access denied to perform action \"create\" on \"lock\"";
    stage.auth.set(|switches| switches.fail.push(denied("UpsertLock", text)));
    let seen = doctor(&stage, &["--probe"]);
    seen.problem("role.lock", &["`create` is missing"], &["'lock'", "create, update"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_used() {
    let mut stage = Stage::new("13.3.8");
    stage.extra = "stroage = \"x\"".into();
    doctor(&stage, &[]).finds(
        "configuration",
        "warning",
        &["`stroage`", "`storage`"],
        &["correct"],
    );
    stage.extra = "concurrency = 0\nlog.format = \"loud\"".into();
    let seen = doctor(&stage, &[]);
    seen.problem("configuration", &["concurrency"], &["docs/configuration.md"]);
    seen.problem("configuration", &["log.format"], &[]);
    seen.not_tried("auth.connection", "there are no settings");
}

#[tokio::test(flavor = "multi_thread")]
async fn exp_98_expired_credentials_are_named_with_how_to_sign_new_ones() {
    let stage = Stage::new("13.3.8");
    let client = stage.authority.issue_teleport_client("handler", Validity::Expired).unwrap();
    let identity = Identity::new(&client, "handler", CLUSTER, stage.authority.cert_pem());
    write(stage.dir.path(), "identity", &identity.to_text());
    let seen = doctor(&stage, &[]);
    let cure = ["`tctl auth sign", "--ttl", "12 h", "`tbot`"];
    seen.problem("auth.credentials", &["teleport.identity", "`handler`", "expired at 2002"], &cure);
    seen.not_tried("auth.connection", "the credentials cannot be used");
    seen.not_tried("role.session", "the credentials cannot be used");
    seen.ok("fluentd.connection", &["takes connections"]);
    assert_eq!(stage.auth.tally().connections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn exp_99_credentials_that_end_soon_are_told_while_they_work() {
    let stage = Stage::new("13.3.8");
    let put = |hours: i64| {
        let end = now().plus_nanos(i128::from(hours) * 3_600_000_000_000);
        let validity = Validity::Until(u32::try_from(end.as_nanos() / 1_000_000_000).unwrap());
        let client = stage.authority.issue_teleport_client("handler", validity).unwrap();
        let identity = Identity::new(&client, "handler", CLUSTER, stage.authority.cert_pem());
        write(stage.dir.path(), "identity", &identity.to_text());
        let client = stage.fluentd_ca.issue_fluentd_client(validity).unwrap();
        write(stage.dir.path(), "client.crt", &client.cert_pem);
        write(stage.dir.path(), "client.key", &client.key_pem);
        closed(&stage);
        end.to_string()
    };
    let until = put(20);
    let seen = doctor(&stage, &[]);
    let said = ["`handler`", "valid until", &until[..16], "which is soon"];
    let cure = ["`tctl auth sign", "--ttl", "`tbot`"];
    seen.finds("auth.credentials", "warning", &said, &cure);
    let cure = ["make new certificates (`ev-handler configure`)"];
    seen.finds("fluentd.credentials", "warning", &said[1..], &cure);
    // It is no more than that yet.
    assert_eq!((seen.code, &seen.report["problems"]), (Some(2), &0.into()), "{:#}", seen.report);
    seen.ok("auth.connection", &["connected as an auth server"]);
    seen.ok("fluentd.connection", &["takes connections"]);

    let until = put(31 * 24);
    let seen = doctor(&stage, &[]);
    seen.ok("auth.credentials", &["`handler`", &until[..16]]);
    seen.ok("fluentd.credentials", &["valid until", &until[..16]]);
    for step in ["auth.credentials", "fluentd.credentials"] {
        assert!(seen.of(step).all(|finding| finding["severity"] == "ok"), "{:#}", seen.report);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_of_another_ca_and_one_that_does_not_take_us() {
    let stage = Stage::new("13.3.8");
    let other = Authority::new("Another CA").unwrap();
    let client = stage.authority.issue_teleport_client("handler", Validity::Long).unwrap();
    let identity = Identity::new(&client, "handler", CLUSTER, other.cert_pem());
    write(stage.dir.path(), "identity", &identity.to_text());
    let what = ["not signed by a trusted CA", "for `teleport.cluster.local`"];
    doctor(&stage, &[]).problem("auth.connection", &what, &["another cluster's"]);

    let client = other.issue_teleport_client("handler", Validity::Long).unwrap();
    let identity = Identity::new(&client, "handler", CLUSTER, stage.authority.cert_pem());
    write(stage.dir.path(), "identity", &identity.to_text());
    let what = ["the server does not trust the CA of our client certificate"];
    let seen = doctor(&stage, &[]);
    seen.problem("auth.connection", &what, &["sign new credentials at this cluster"]);
    seen.not_tried("auth.version", "auth was not reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn exp_100_wrong_hosts_and_ports_say_what_is_there() {
    let stage = Stage::new("13.3.8");
    let free = loopback().unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let elsewhere = |addr: &str| format!("--teleport-addr={addr}");
    let seen = doctor(&stage, &[&elsewhere(&addr.to_string())]);
    seen.problem("auth.connection", &[&addr.to_string(), "refused"], &["3025", "443"]);

    // A label longer than any may be, so that nobody is asked for it.
    let name = format!("{}.example.com:3025", "a".repeat(64));
    let seen = doctor(&stage, &[&elsewhere(&name)]);
    seen.problem("auth.name", &[&name, "is not found"], &["`teleport.addr`"]);
    seen.not_tried("auth.connection", "the name has no address");

    // Something that speaks no TLS, and something that speaks no gRPC.
    let plain = FluentdConfig { tls: None, ..FluentdConfig::default() };
    let plain = FakeFluentd::start(loopback().unwrap(), plain).unwrap();
    let seen = doctor(&stage, &[&elsewhere(&plain.addr().to_string())]);
    let cure = ["this is another server"];
    seen.problem("auth.connection", &["as an auth server", "`teleport.cluster.local`"], &cure);

    let leaf = stage.authority.issue_auth_server(CLUSTER, Validity::Long).unwrap();
    let clients = [stage.authority.cert_der()];
    let tls = server_config(&leaf, &clients, TlsVersions::Both, &["http/1.1"]).unwrap();
    let web = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
    let web = FakeFluentd::start(loopback().unwrap(), web).unwrap();
    let seen = doctor(&stage, &[&elsewhere(&web.addr().to_string())]);
    seen.problem("auth.connection", &["ALPN"], &cure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_certificate_for_another_name_says_which_was_expected() {
    let stage = Stage::new("13.3.8");
    let request = LeafRequest {
        names: vec!["other.example.com".into()],
        server: true,
        ..LeafRequest::default()
    };
    let leaf = stage.authority.issue(&request).unwrap();
    let clients = [stage.authority.cert_der()];
    stage.auth.set_tls(server_config(&leaf, &clients, TlsVersions::Both, &["h2"]).unwrap());
    let leaf = stage.fluentd_ca.issue(&request).unwrap();
    let clients = [stage.fluentd_ca.cert_der()];
    stage.fluentd.set_tls(server_config(&leaf, &clients, TlsVersions::Only12, &[]).unwrap());
    stage.auth.stop().await;
    stage.auth.start_again().await.unwrap();
    stage.fluentd.stop().await;
    stage.fluentd.start_again().await.unwrap();
    let seen = doctor(&stage, &[]);
    let what = ["not valid for `teleport.cluster.local`, only for other.example.com"];
    seen.problem("auth.connection", &what, &["this is another server"]);
    let what = ["not valid for `localhost`, only for other.example.com"];
    seen.problem("fluentd.connection", &what, &["`ev-handler configure --dns-names`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_role_lacks_is_named_by_its_verb() {
    let stage = Stage::new("13.3.8");
    let text = "access denied to perform action \"list\" on \"session\"";
    stage.auth.set(|switches| switches.fail.push(denied("StreamSessionEvents", text)));
    let seen = doctor(&stage, &[]);
    seen.ok("role.event", &["may read the log"]);
    seen.problem("role.session", &["`list` is missing", text], &["'session'", "list, read"]);

    let text = "access denied to perform action \"read\" on \"event\"";
    stage.auth.set(|switches| switches.fail.push(denied("GetEvents", text)));
    let seen = doctor(&stage, &[]);
    seen.problem("role.event", &["`read` is missing", text], &["'event'", "tctl edit"]);
    seen.ok("auth.calls", &["GetEvents"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told_with_its_distance() {
    let stage = Stage::new("13.3.8");
    let date = |ahead: i64| {
        let at = ev_core::Timestamp::parse(&now().to_string()).unwrap().seconds() + ahead;
        let time = UtcTime::from_seconds(at).to_string();
        let (day, clock) = time.trim_end_matches('Z').split_once('T').unwrap();
        let [year, month, day] = day.split('-').collect::<Vec<_>>()[..] else { panic!("{day}") };
        let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let month = 3 * (month.parse::<usize>().unwrap() - 1);
        format!("Mon, {day} {} {year} {clock} GMT", &months[month..month + 3])
    };
    stage.auth.set(|switches| switches.date = date(3600));
    let seen = doctor(&stage, &[]);
    seen.problem("auth.clock", &["s behind Auth's"], &["NTP"]);
    stage.auth.set(|switches| switches.date = date(-120));
    doctor(&stage, &[]).finds("auth.clock", "warning", &["s ahead of Auth's"], &["NTP"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_tried_as_the_handler_tries_them() {
    let stage = Stage::new("15.0.0-dev");
    let seen = doctor(&stage, &[]);
    seen.finds("decoder.artifact", "note", &["auth offers none for Auth 15.0.0-dev"], &[]);
    seen.finds("decoder.artifact", "warning", &["no artifact"], &["`ev-handler decoder build`"]);
    stage.auth.offer(stage.module("v15dev"));
    doctor(&stage, &[]).ok("decoder.artifact", &["auth has a module", "trusted"]);

    stage.auth.set(|switches| switches.flip_artifact_byte = true);
    doctor(&stage, &[]).problem("decoder.artifact", &["that of auth is refused"], &["damaged"]);
    stage.auth.set(|switches| switches.flip_artifact_byte = false);

    let other = SigningKey::generate().unwrap();
    write(stage.dir.path(), "trust.json", &other.trust_json("others"));
    let seen = doctor(&stage, &[]);
    seen.problem("decoder.artifact", &["signed by untrusted key"], &["trust file", "decoder sign"]);
    write(stage.dir.path(), "trust.json", "{");
    let seen = doctor(&stage, &[]);
    seen.problem("decoder.trust", &["trust.json"], &["`ev-handler decoder keygen`"]);
    seen.not_tried("decoder.artifact", "the trust file cannot be used");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_was_kept_is_enough() {
    let stage = Stage::new("15.0.0-dev");
    stage.auth.offer(stage.table("v15dev"));
    stage
        .run_until(async |stage| {
            stage.auth.wait(|tally| tally.artifacts_sent > 0).await;
            let read =
                |path: &Path| ev_state::StateReader::open(path).and_then(|state| state.artifacts());
            let storage = stage.path("storage");
            while read(&storage).map_or(0, |kept| kept.len()) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    stage.auth.withdraw_artifacts();
    doctor(&stage, &[]).ok("decoder.artifact", &["the state has a table", "trusted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_artifacts_goes_before_auth() {
    let mut stage = Stage::new("15.0.0-dev");
    let table = stage.table("v15dev");
    let folder = stage.path("artifacts/15.0.0-dev");
    std::fs::create_dir_all(&folder).unwrap();
    stage.decoder = "artifacts = \"artifacts\"".into();
    doctor(&stage, &[]).finds("decoder.artifact", "note", &["directory", "offers none"], &[]);
    std::fs::write(folder.join("table-v1.evt"), &table.payload).unwrap();
    std::fs::write(folder.join("table-v1.evt.dsse.json"), &table.envelope).unwrap();
    let seen = doctor(&stage, &[]);
    seen.ok("decoder.artifact", &["directory", "has a table for Auth 15.0.0-dev"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_do_not_fit_or_cannot_be_opened() {
    let stage = Stage::new("13.3.8");
    let other = stage.fluentd_ca.issue_fluentd_client(Validity::Long).unwrap();
    write(stage.dir.path(), "client.crt", &other.cert_pem);
    let seen = doctor(&stage, &[]);
    let what = ["forward.fluentd.cert", "does not belong to the first certificate"];
    seen.problem("fluentd.credentials", &what, &["made with this certificate"]);
    seen.not_tried("fluentd.connection", "the certificates cannot be used");

    write(stage.dir.path(), "client.key", &encrypted(&other));
    let seen = doctor(&stage, &[]);
    let what = ["is encrypted and no passphrase is set"];
    seen.problem("fluentd.credentials", &what, &["`key-passphrase-file`"]);

    let expired = stage.fluentd_ca.issue_fluentd_client(Validity::Expired).unwrap();
    write(stage.dir.path(), "client.crt", &expired.cert_pem);
    write(stage.dir.path(), "client.key", &expired.key_pem);
    let seen = doctor(&stage, &[]);
    let cure = ["`ev-handler configure`", "restart Fluentd"];
    seen.problem("fluentd.credentials", &["expired at"], &cure);
    let what = ["can be used by others than its owner"];
    seen.finds("fluentd.credentials", "warning", &what, &["`chmod 600`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn exp_101_a_fluentd_that_is_not_there_is_waited_for() {
    let stage = Stage::new("13.3.8");
    let free = loopback().unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let url = format!("--fluentd-url=https://user:s3cret@{addr}/events.log");
    let session = format!("--fluentd-session-url=https://{addr}/session");
    let seen = doctor(&stage, &[&url, &session]);
    let cure = ["start Fluentd", "the order of starts does not matter"];
    seen.problem("fluentd.connection", &["refused"], &cure);
    seen.not_tried("fluentd.answers", "Fluentd was not reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_fluentd_is_found() {
    let stage = Stage::new("13.3.8");
    stage.fluentd.set(|switches| switches.parse = false);
    let seen = doctor(&stage, &[]);
    seen.problem("fluentd.answers", &["no `<parse>` section"], &["`@type json`", "fluent.conf"]);
    stage.fluentd.set(|switches| switches.parse = true);

    let other = Authority::new("Another CA").unwrap();
    write(stage.dir.path(), "fluentd-ca.crt", other.cert_pem());
    let seen = doctor(&stage, &[]);
    seen.problem("fluentd.connection", &["not signed by a trusted CA"], &["`ca` under"]);
    seen.finds("fluentd.credentials", "warning", &["signed by none"], &["made together"]);
    write(stage.dir.path(), "fluentd-ca.crt", stage.fluentd_ca.cert_pem());

    let client = other.issue_fluentd_client(Validity::Long).unwrap();
    write(stage.dir.path(), "client.crt", &client.cert_pem);
    write(stage.dir.path(), "client.key", &client.key_pem);
    let seen = doctor(&stage, &[]);
    seen.problem("fluentd.connection", &["our client certificate"], &["`ca_path`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_nothing_is_a_problem_and_no_matter_of_arrays() {
    let stage = Stage::new("13.3.8");
    let rule = FailRule { status: 503, ..FailRule::default() };
    stage.fluentd.set(|switches| switches.fail = vec![rule]);
    let seen = doctor(&stage, &[]);
    let cure = ["see Fluentd's own log", "tries again until it is taken"];
    seen.problem("fluentd.answers", &["arrays", "answered 503"], &cure);
    assert!(!seen.report.to_string().contains("batch-mode"), "{:#}", seen.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fluentd_that_hangs_holds_nobody_up() {
    let mut stage = Stage::new("13.3.8");
    stage.forward = "handshake-timeout = \"300ms\"".into();
    stage.fluentd.set(|switches| switches.frozen = true);
    let seen = doctor(&stage, &[]);
    seen.problem("fluentd.connection", &["no TLS handshake within 300ms"], &["start Fluentd"]);
    seen.not_tried("fluentd.answers", "Fluentd was not reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_metrics_that_somebody_else_has() {
    let mut stage = Stage::new("13.3.8");
    let held = loopback().unwrap();
    let addr = held.local_addr().unwrap();
    stage.extra = format!("diag-addr = \"{addr}\"");
    let seen = doctor(&stage, &[]);
    seen.problem("diag", &[&addr.to_string(), "in use by another process"], &["`diag-addr`"]);
    let _running = ev_state::SqliteStore::open(stage.path("storage")).unwrap();
    // A handler that runs sees what nobody beside it can: that its state is locked, for one.
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut well = Snapshot { version, phase: Phase::Running, ..Snapshot::default() };
    well.auth.connected = true;
    let mut locked = well.clone();
    locked.storage_trouble = Some("it cannot be written: database is locked".to_owned());
    let mut parked = well.clone();
    let counts = [("unknown".to_owned(), 3)].into();
    parked.sinks = vec![Sink { name: "fluentd".to_owned(), parked: counts, ..Sink::default() }];
    let stopping = Snapshot { phase: Phase::Stopping, ..well };
    let said = [&locked, &parked, &stopping].map(|said| serde_json::to_string(said).unwrap());
    let handler = std::thread::spawn(move || {
        for said in said {
            let (mut stream, _) = held.accept().unwrap();
            // The whole question first, so that the end is no reset.
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                question.push(byte[0]);
            }
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n{said}").unwrap();
        }
    });
    let seen = doctor(&stage, &[]);
    let says = ["the handler that runs says of `state`", "database is locked"];
    seen.problem("diag", &says, &["see the same step here (`storage.*`)", "log"]);
    let (seen, cure) = (doctor(&stage, &[]), ["see `/readyz` of that handler, and its log"]);
    let says = ["the handler that runs says of `sink fluentd`", "3 events are parked"];
    seen.finds("diag", "warning", &says, &cure);
    seen.ok("diag", &["that it is ready"]);
    assert_eq!((seen.code, &seen.report["problems"]), (Some(2), &Value::from(0)));
    // Of that doctor has no step.
    doctor(&stage, &[]).problem("diag", &["says of `run`: stopping"], &cure);
    handler.join().unwrap();
    doctor(&stage, &[]).ok("diag", &["is free"]);
}

/// Through a Proxy, and one that hands nothing on.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_told_by_what_it_does() {
    let stage = Stage::new("13.3.8");
    let web = Authority::new("Web CA").unwrap();
    write(stage.dir.path(), "web.crt", web.cert_pem());
    let proxy = |switches: ProxySwitches| {
        let config = ProxyConfig {
            web: web.issue_fluentd_server(Validity::Long).unwrap(),
            auth: stage.auth.addr(),
            cluster: CLUSTER.to_owned(),
            switches,
        };
        FakeProxy::start(loopback().unwrap(), config).unwrap()
    };
    let good = proxy(ProxySwitches::default());
    let tunnels = proxy(ProxySwitches { tls_routing: false, ..ProxySwitches::default() });
    let ca = format!("--teleport-proxy-ca={}", stage.path("web.crt").display());
    let at = |proxy: &FakeProxy| format!("--teleport-addr={}", proxy.addr());
    let seen = doctor(&stage, &[&at(&good), &ca]);
    seen.ok("auth.connection", &["connected as a proxy", "by TLS routing to cluster"]);
    seen.ok("auth.clock", &["30 s"]);
    let seen = doctor(&stage, &[&at(&tunnels), &ca]);
    let cure = ["`proxy_listener_mode: multiplex`"];
    seen.problem("auth.connection", &["has no TLS routing"], &cure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_cannot_be_written_to() {
    let stage = Stage::new("13.3.8");
    stage.write_config(stage.auth.addr());
    write(stage.dir.path(), "storage", "a file");
    doctor(&stage, &[]).problem("storage", &["no directory"], &["`storage`"]);
    std::fs::remove_file(stage.path("storage")).unwrap();

    std::fs::create_dir(stage.path("storage")).unwrap();
    // As on a full disk, and with the signal that a limit sends as well.
    let seen = doctor_in(stage.dir.path(), "trap '' XFSZ; ulimit -f 0;", &[]);
    seen.problem("storage", &["cannot be written to", "storage"], &["LimitFSIZE"]);
    assert_eq!(std::fs::read_dir(stage.path("storage")).unwrap().count(), 0, "nothing is left");

    // Nobody makes files there, whatever the rights.
    let seen = doctor(&stage, &["--storage=/proc/self/task"]);
    seen.problem("storage", &["`/proc/self/task` cannot be written to"], &["mode 0700"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_another_cluster_and_a_damaged_one() {
    let stage = Stage::new("13.3.8");
    let claim = ev_core::Claim {
        sink: ev_core::SinkId("fluentd".into()),
        cluster: "other.example.com".into(),
        flavour: None,
        start_time: ev_core::Timestamp::EPOCH,
    };
    let store = ev_state::SqliteStore::open(stage.path("storage")).unwrap();
    ev_core::StateStore::open_sink(&store, &claim).unwrap();
    drop(store);
    let seen = doctor(&stage, &[]);
    seen.problem("storage.state", &["`other.example.com`", "`rig.example.com`"], &["`storage`"]);

    write(stage.dir.path(), "storage/ev-state/state.db", &"no database ".repeat(100));
    let seen = doctor(&stage, &[]);
    seen.problem("storage.state", &["state.db"], &["backup"]);
}

/// Whatever runs the command looks for it in all that is printed.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_an_address_is_never_printed() {
    let stage = Stage::new("13.3.8");
    let with_login = |url: String| url.replace("https://", "https://user:s3cret@");
    let url = format!("--fluentd-url={}", with_login(stage.fluentd.url("events.log")));
    let session = format!("--fluentd-session-url={}", with_login(stage.fluentd.url("session")));
    let seen = doctor(&stage, &[&url, &session, "--probe"]);
    seen.ok("fluentd.event", &["uid `ev-probe-"]);
    stage.fluentd.stop().await;
    doctor(&stage, &[&url, &session]).problem("fluentd.connection", &["refused"], &[]);
}

/// For people the same stands in lines, and each cure behind its finding.
#[tokio::test(flavor = "multi_thread")]
async fn people_read_lines() {
    let stage = Stage::new("13.3.8");
    stage.fluentd.set(|switches| switches.parse = false);
    stage.write_config(stage.auth.addr());
    let output = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(["doctor", "--config", "handler.toml"])
        .current_dir(stage.dir.path())
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ok         auth.version         version 13.3.8, cluster"), "{text}");
    assert!(text.contains("problem    fluentd.answers      "), "{text}");
    assert!(text.contains("\n                                -> add `<parse>`"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("1 problem"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

/// The page names each step, and no finding in other words than those that are printed.
#[test]
fn the_page_says_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/troubleshooting.md")).unwrap();
    let mut sources = String::new();
    for folder in [
        "bin/ev-handler/src/config",
        "bin/ev-handler/src/doctor",
        "bin/ev-handler/src",
        "crates/ev-config/src",
        "crates/ev-core/src",
        "crates/ev-dial/src",
        "crates/ev-modules/src",
        "crates/ev-sink-file/src",
        "crates/ev-sink-fluentd/src/examine",
        "crates/ev-sink-forward/src",
        "crates/ev-source/src/dial",
        "crates/ev-tls/src",
    ] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    // Texts that go over several lines.
    let parts: Vec<&str> = sources.split("\\\n").map(str::trim_start).collect();
    let sources = parts.concat();
    let mut steps = std::collections::BTreeSet::new();
    let (_, table) = page.split_once("| symptom | step |").expect("the table");
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, named, says, cure] = cells[..] else { panic!("four cells: {row}") };
        assert!(!cure.trim().is_empty(), "{row}");
        let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        for step in &named {
            assert!(sources.contains(&format!("=> \"{step}\"")), "there is no step `{step}`");
        }
        steps.extend(named);
        for words in says.split('"').skip(1).step_by(2) {
            assert!(sources.contains(words), "nobody says «{words}»");
        }
    }
    let (_, names) = sources.split_once("fn name(self)").expect("the names of steps");
    let (names, _) = names.split_once("impl Serialize").expect("where they end");
    let known: Vec<&str> = names.split('"').skip(1).step_by(2).collect();
    let missing: Vec<_> = known.iter().filter(|step| !steps.contains(**step)).collect();
    assert_eq!(missing, [&"auth.version", &"auth.calls", &"decoder.trust"], "told by themselves");
}
