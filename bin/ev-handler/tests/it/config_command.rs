//! `config`, the names of the program, exit codes, and the first lines of the log.

use std::path::Path;
use std::process::Command;

use ev_test_support::certs::{Authority, Identity, Validity};

use crate::stage::{CLUSTER, Stage, write};

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn program(program: &Path, dir: &Path, args: &[&str]) -> Ran {
    let output = Command::new(program).args(args).current_dir(dir).env_clear().output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("PRIVATE KEY") && !text.contains("panicked"), "{text}");
    }
    ran
}

fn run(dir: &Path, args: &[&str]) -> Ran {
    program(Path::new(env!("CARGO_BIN_EXE_ev-handler")), dir, args)
}

fn config(stage: &Stage, args: &[&str]) -> Ran {
    stage.write_config(stage.auth.addr());
    let args: Vec<_> = ["config", "--config", "handler.toml"].iter().chain(args).copied().collect();
    run(stage.dir.path(), &args)
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_in_force_are_printed_and_can_be_read_again() {
    let mut stage = Stage::new("13.3.8");
    stage.extra = "bacth = 3".into();
    let ran = config(&stage, &["--concurrency=7"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    has(
        &ran.stdout,
        &[
            "batch = 200 # ",
            "handler.toml:4\n",
            "concurrency = 7 # --concurrency\n",
            "dry-run = false # default\n",
            "\n[forward.fluentd]\n",
            "batch-mode = \"array\" # ",
        ],
    );
    has(&ran.stderr, &["warning: `bacth` (", "did you mean `batch`?"]);
    write(stage.dir.path(), "printed.toml", &ran.stdout);
    let again = run(stage.dir.path(), &["config", "--config", "printed.toml"]);
    assert_eq!((again.code, &again.stderr[..]), (Some(0), ""));
    // Every value is the same; where it comes from is not.
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("# --"));
        lines.map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&again.stdout), values(&ran.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_can_be_used_passes_the_check() {
    let stage = Stage::new("13.3.8");
    let ran = config(&stage, &["--check"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    has(
        &ran.stdout,
        &[
            "ok      storage: `",
            "is not there and can be made",
            "ok      teleport.identity: certificate `handler` (issued by `Teleport CA`)",
            "ok      forward.fluentd.cert: certificate `",
            "valid until ",
            "ok      forward.fluentd.ca: CA `Fluentd CA`",
            "ok      decoder.trust: ",
            "ok      teleport.addr: `127.0.0.1:",
            "the configuration can be used\n",
        ],
    );
    // Nothing is made, and nobody is called.
    assert!(!stage.path("storage").exists());
    assert_eq!(stage.auth.tally().methods.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_of_security_events_is_looked_for() {
    let mut stage = Stage::new("13.3.8");
    let socket = stage.path("agent.sock");
    let service = "service = \"e6c9fcb1-7f08-4c1d-9e7a-123456789abc\"";
    let table = |endpoint: &str| format!("\n[audit]\nendpoint = \"{endpoint}\"\n{service}\n");
    stage.decoder = table(&format!("unix:{}", socket.display()));
    let away = config(&stage, &["--check", "--offline"]);
    has(&away.stdout, &["warning audit.endpoint: no agent listens at `", "agent.sock` now"]);
    assert_eq!(away.code, Some(0), "{}", away.stdout);

    let agent = ev_audit::receiver::Receiver::unix(&socket).start().unwrap();
    let there = config(&stage, &["--check", "--offline"]);
    has(&there.stdout, &["ok      audit.endpoint: an agent listens at `"]);
    assert_eq!(there.code, Some(0), "{}", there.stdout);
    agent.stop();

    let long = "x".repeat(107);
    stage.decoder = table(&format!("unix:/{long}"));
    for args in [&["config", "--check"][..], &["start"]] {
        stage.write_config(stage.auth.addr());
        let args: Vec<_> = args.iter().chain(&["--config", "handler.toml"]).copied().collect();
        let ran = run(stage.dir.path(), &args);
        has(&ran.stderr, &["`audit.endpoint` (", "has a path of 108 bytes", "107 at most"]);
        assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    }

    stage.decoder = table("tcp:no-such-host.invalid:8131");
    let lost = config(&stage, &["--check"]);
    has(&lost.stdout, &["error   audit.endpoint: `no-such-host.invalid:8131` is not found"]);
    assert_eq!(lost.code, Some(78), "{}", lost.stdout);
}

#[track_caller]
fn cannot_be_used(stage: &Stage, parts: &[&str]) {
    let ran = config(stage, &["--check", "--offline"]);
    has(&ran.stdout, parts);
    has(&ran.stdout, &["cannot be used\n", "not looked up"]);
    assert_eq!(ran.code, Some(78), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_client_certificate_is_found() {
    let stage = Stage::new("13.3.8");
    let good = std::fs::read_to_string(stage.path("client.crt")).unwrap();
    let other = stage.fluentd_ca.issue_fluentd_client(Validity::Long).unwrap();

    write(stage.dir.path(), "client.crt", &other.cert_pem);
    cannot_be_used(&stage, &["error   forward.fluentd.cert: private key in `", "does not belong"]);

    // A chain in which the first is not from the second.
    let stranger = Authority::new("Another CA").unwrap();
    write(stage.dir.path(), "client.crt", &format!("{good}{}", stranger.cert_pem()));
    let broken = ["error   forward.fluentd.cert: certificate 1 (`", "was not signed by"];
    cannot_be_used(&stage, &broken);
    write(stage.dir.path(), "client.crt", &format!("{good}{}", stage.fluentd_ca.cert_pem()));
    assert_eq!(config(&stage, &["--check", "--offline"]).code, Some(0));

    let expired = stage.fluentd_ca.issue_fluentd_client(Validity::Expired).unwrap();
    write(stage.dir.path(), "client.crt", &expired.cert_pem);
    write(stage.dir.path(), "client.key", &expired.key_pem);
    cannot_be_used(&stage, &["error   forward.fluentd.cert: certificate `", "expired at "]);

    write(stage.dir.path(), "client.key", "no key");
    cannot_be_used(&stage, &["error   forward.fluentd.cert: ", "client.key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_of_another_ca_is_a_warning() {
    let stage = Stage::new("13.3.8");
    let stranger = Authority::new("Another CA").unwrap();
    write(stage.dir.path(), "fluentd-ca.crt", stranger.cert_pem());
    let ran = config(&stage, &["--check", "--offline"]);
    has(&ran.stdout, &["warning forward.fluentd.cert: the certificate was signed by none"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_identity_is_found() {
    let stage = Stage::new("13.3.8");
    let client = stage.authority.issue_teleport_client("handler", Validity::Expired).unwrap();
    let identity = Identity::new(&client, "handler", CLUSTER, stage.authority.cert_pem());
    write(stage.dir.path(), "identity", &identity.to_text());
    cannot_be_used(&stage, &["error   teleport.identity: certificate `handler`", "expired at "]);
    write(stage.dir.path(), "identity", "no identity");
    cannot_be_used(&stage, &["error   teleport.identity: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_cannot_be_made_and_a_name_that_no_host_has_are_found() {
    let stage = Stage::new("13.3.8");
    write(stage.dir.path(), "storage", "a file");
    cannot_be_used(&stage, &["error   storage: `", "is no directory"]);
    std::fs::remove_file(stage.path("storage")).unwrap();
    // A label longer than any may be, so that nobody is asked for it.
    let addr = format!("--teleport-addr={}.example.com:443", "a".repeat(64));
    let ran = config(&stage, &["--check", &addr]);
    has(&ran.stdout, &["error   teleport.addr: `aaaa", "is not found"]);
    assert_eq!(ran.code, Some(78));
}

#[test]
fn secrets_in_addresses_are_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "identity", "");
    write(dir.path(), "storage", "a file");
    let settings = [
        "--storage=storage/below",
        "--teleport-identity=identity",
        "--fluentd-url=https://user:s3cret@127.0.0.1/a",
        "--fluentd-session-url=https://user:s3cret@127.0.0.1/s",
    ];
    for command in [&["config"][..], &["config", "--check"], &["start"], &["-d", "start"]] {
        let args: Vec<_> = command.iter().chain(&settings).copied().collect();
        let ran = run(dir.path(), &args);
        assert!(!ran.stdout.contains("s3cret") && !ran.stderr.contains("s3cret"), "{command:?}");
    }
}

#[test]
fn it_answers_to_the_names_of_the_reference_handler() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["ev-handler", "teleport-event-handler", "teleport-plugin"] {
        let path = dir.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ev-handler"), &path).unwrap();
        let help = program(&path, dir.path(), &["--help"]);
        assert_eq!(help.code, Some(0));
        has(&help.stdout, &[&format!("Usage: {name} "), "start", "version", "--config", "--debug"]);
        let usage = program(&path, dir.path(), &["start", "--nonsense"]);
        assert_eq!(usage.code, Some(1));
        has(&usage.stderr, &["--nonsense", &format!("Usage: {name} start")]);
        // What the reference handler prints: name, release, commit if known, runtime.
        let version = program(&path, dir.path(), &["version"]).stdout;
        let first: Vec<_> = version.lines().next().unwrap().split(' ').collect();
        assert_eq!(first[0], name);
        assert_eq!(first[1], concat!("v", env!("CARGO_PKG_VERSION")));
        assert!(first.last().unwrap().starts_with("rust1."), "{version}");
        let completion = program(&path, dir.path(), &["completion", "bash"]);
        assert_eq!(completion.code, Some(0));
        has(&completion.stdout, &["--fluentd-session-url", name]);
    }
    let man = run(dir.path(), &["man"]);
    assert_eq!(man.code, Some(0));
    has(&man.stdout, &[".TH", "SETTINGS", "ENVIRONMENT", "FDFWD_STORAGE"]);
}

#[test]
fn exit_codes_say_whose_fault_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str], code| {
        let ran = run(dir.path(), args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.stderr);
        // Nothing was begun.
        let left = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 2, "{args:?}");
    };
    write(dir.path(), "bad.toml", "storage = /var/lib\n");
    let good = "storage = 'storage'\nforward.fluentd.url = 'https://127.0.0.1/a'\n\
                forward.fluentd.session-url = 'https://127.0.0.1/s'\n";
    write(dir.path(), "good.toml", good);
    check(&["version"], 0);
    check(&["start", "--help"], 0);
    check(&["configuration"], 1);
    check(&[], 1);
    check(&["start"], 78);
    check(&["start", "--config=bad.toml"], 78);
    check(&["config", "--config=bad.toml"], 78);
    check(&["--config=good.toml", "start", "--teleport-addr=nowhere"], 78);
    check(&["--config=good.toml", "start", "--debug", "true"], 78);
    // `tbot` may not have written it yet: worth another start, and somebody has to see to it.
    let missing = "--teleport-identity=missing";
    check(&["--config=good.toml", "start", missing], 1);
    check(&["--config=good.toml", "config", missing], 78);
    check(&["--config=good.toml", "config", "--check", "--offline", missing], 78);
    check(&["--config=good.toml", "start", missing, "--batch=0"], 78);
}

/// What is wrong elsewhere says nothing about the trust file.
#[tokio::test(flavor = "multi_thread")]
async fn a_trust_file_is_judged_by_itself() {
    let stage = Stage::new("13.3.8");
    stage.write_config(stage.auth.addr());
    write(stage.dir.path(), "storage", "a file");
    let args = ["config", "--check", "--offline", "--config", "handler.toml"];
    let ran = run(stage.dir.path(), &args);
    assert_eq!(ran.code, Some(78), "{}", ran.stdout);
    has(&ran.stdout, &["error   storage:", "ok      decoder.trust:"]);
    write(stage.dir.path(), "trust.json", "{");
    let ran = run(stage.dir.path(), &args);
    assert!(!ran.stdout.contains("ok      decoder.trust:"), "{}", ran.stdout);
    has(&ran.stdout, &["decoder.trust"]);
}

/// A line for each setting, told before anything is opened.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_begins_with_every_setting() {
    let mut stage = Stage::new("13.3.8");
    stage.extra = "types = ['session.upload', 'user.login']\nskip-event-types = 'app.delete'\n\
                   lock.enabled = true\nexit-on-last-event = true"
        .into();
    stage.write_config(stage.auth.addr());
    // Something that ends the start once it has told everything.
    write(stage.dir.path(), "storage", "a file");
    let ran = run(stage.dir.path(), &["start", "--config", "handler.toml"]);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    let addr = format!("addr=\"{}\"", stage.auth.addr());
    has(
        &ran.stderr,
        &[
            "using storage storage=",
            "using batch size batch=200",
            "using concurrency concurrency=5",
            "using type filter types=\"session.upload,user.login\"",
            "skipping events of types types=\"app.delete\"",
            "skipping session events of types types=\"print,desktop.recording\"",
            "using start time start_time=",
            "using timeout timeout=\"50ms\"",
            "using Fluentd url url=\"https://",
            "using Fluentd session url url=\"https://",
            "using Fluentd ca path=",
            "using Fluentd cert path=",
            "using Fluentd key path=",
            "using Fluentd max connections max_connections=4",
            "using window size window_size=\"24h0m0s\"",
            "using Teleport identity file path=",
            "using Teleport credentials refresh interval=\"1m0s\"",
            &addr,
            "auto-locking is on count=3 period=\"1m0s\" lock_for=\"ever\"",
            "`exit-on-last-event` is set",
        ],
    );
    assert!(!ran.stderr.contains("DEBUG"), "{}", ran.stderr);
    for args in [&["-d", "start"][..], &["start", "--debug"], &["start", "--debug=T"]] {
        let args: Vec<_> = args.iter().copied().chain(["--config", "handler.toml"]).collect();
        let ran = run(stage.dir.path(), &args);
        has(&ran.stderr, &["DEBUG", "this is ev-handler version=", "rust=\"1."]);
    }
}

/// The unit of the reference's guide, which is to work as it is.
const UNIT: &str = "\
[Unit]
Description=Teleport Event Handler
After=network.target

[Service]
Type=simple
Restart=always
ExecStart=/usr/local/bin/teleport-event-handler start --config=/etc/teleport-event-handler.toml \
--teleport-refresh-enabled=true
ExecReload=/bin/kill -HUP $MAINPID
PIDFile=/run/teleport-event-handler.pid

[Install]
WantedBy=multi-user.target
";

#[tokio::test(flavor = "multi_thread")]
async fn the_unit_of_the_guide_starts_it() {
    let stage = Stage::new("13.3.8");
    let config = stage.write_config(stage.auth.addr());
    // Something that ends the start once it has told everything.
    write(stage.dir.path(), "storage", "a file");
    let line = UNIT.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let line = line.replace("/etc/teleport-event-handler.toml", config.to_str().unwrap());
    let mut words = line.split(' ');
    let name = Path::new(words.next().unwrap()).file_name().unwrap();
    let path = stage.path(name.to_str().unwrap());
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ev-handler"), &path).unwrap();
    let args: Vec<_> = words.collect();
    let ran = program(&path, stage.dir.path(), &args);
    has(&ran.stderr, &["using Teleport credentials refresh interval", "storage"]);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    // As its text has it: a switch takes no word of its own.
    let separate: Vec<_> = args
        .iter()
        .flat_map(|arg| match arg.strip_suffix("-enabled=true") {
            Some(_) => vec!["--teleport-refresh-enabled", "true"],
            None => vec![*arg],
        })
        .collect();
    let ran = program(&path, stage.dir.path(), &separate);
    has(&ran.stderr, &["behind `=`: `--teleport-refresh-enabled=true`"]);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
}

/// A pipe as the file: the program stands in its first steps until somebody writes into it.
#[tokio::test(flavor = "multi_thread")]
async fn signals_to_read_again_end_no_handler_that_is_about_to_begin() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("handler.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let child = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(["start", "--config", "handler.toml"])
        .current_dir(dir.path())
        .env_clear()
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let waited = tokio::task::spawn_blocking(move || {
        // Opened once the program reads it.
        let mut file = std::fs::File::options().write(true).open(&pipe).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        for signal in [rustix::process::Signal::HUP, rustix::process::Signal::USR1] {
            rustix::process::kill_process(pid, signal).unwrap();
        }
        std::io::Write::write_all(&mut file, b"[teleport\n").unwrap();
        drop(file);
        child.wait_with_output().unwrap()
    });
    let output = tokio::time::timeout(crate::stage::PATIENCE, waited).await.unwrap().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{:?}: {text}", output.status);
}
