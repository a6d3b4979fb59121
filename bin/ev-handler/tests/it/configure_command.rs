//! `ev-handler configure` as an operator runs it, and what was written, in use.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ev_config::Settings;
use ev_test_support::certs::Leaf;
use ev_test_support::data::{Made, Maker};
use ev_test_support::{
    FakeFluentd, FluentdConfig, Section, TlsVersions, certs, loopback, server_config,
};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::SecretDocument;
use pkcs8::der::pem::LineEnding;
use rustix::process::{Pid, Signal, kill_process};
use x509_parser::extensions::GeneralName;

use crate::stage::{CLUSTER, PATIENCE, Stage, make, now, sorted, templates, texts};

/// Names that no resolver is asked for, and keys that are made at once.
const QUICK: [&str; 4] = ["--key-type", "ecdsa", "--ip", "127.0.0.1,::1"];

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command.arg("configure").args(args).current_dir(dir);
    command
}

/// Runs it; without `input` stdin is a device, as under systemd.
fn run(dir: &Path, args: &[&str], input: Option<&str>) -> Output {
    let mut command = command(dir, args);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A child that refuses its arguments has closed the pipe; its status tells.
        stdin.write_all(input.as_bytes()).unwrap_or_default();
    }
    child.wait_with_output().unwrap()
}

fn ended(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn quick(dir: &Path, args: &[&str], input: Option<&str>) -> (Option<i32>, String, String) {
    ended(&run(dir, &[args, &QUICK].concat(), input))
}

fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}

fn fluent_conf(dir: &Path) -> Section {
    Section::parse(&std::fs::read_to_string(dir.join("fluent.conf")).unwrap()).unwrap()
}

fn tls(conf: &Section) -> &Section {
    conf.all("source").next().unwrap().all("transport").next().unwrap()
}

/// The server's key without its encryption, or what went wrong.
pub(crate) fn open(key: &Path, passphrase: &str) -> Result<String, String> {
    let pem = std::fs::read_to_string(key).unwrap();
    let (_, der) = SecretDocument::from_pem(&pem).unwrap();
    let key = EncryptedPrivateKeyInfoRef::try_from(der.as_bytes()).unwrap();
    let key = key.decrypt(passphrase).map_err(|error| error.to_string())?;
    Ok(key.to_pem("PRIVATE KEY", LineEnding::LF).unwrap().to_string())
}

#[test]
fn the_guides_line_writes_ten_files_and_says_so_in_steps() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("out")).unwrap();
    let (status, out, errors) = quick(dir.path(), &["out", "teleport.example.com:443"], None);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("Teleport event handler "), "{out}");
    assert_eq!(
        lines[1..7],
        [
            "",
            "[1] Generated mTLS Fluentd certificates out/ca.crt, out/ca.key, out/server.crt, \
             out/server.key, out/client.crt, out/client.key",
            "[2] Generated sample teleport-event-handler role and user file \
             out/teleport-event-handler-role.yaml",
            "[3] Generated sample fluentd configuration file out/fluent.conf",
            "[4] Generated plugin configuration file out/teleport-event-handler.toml",
            "[5] Generated plugin helm configuration file \
             out/teleport-plugin-event-handler-values.yaml",
        ]
    );
    assert!(out.contains("https://goteleport.com/docs/management/export-audit-events/fluentd/"));
    assert_eq!(content(&dir.path().join("out")).len(), 10);
    let toml = std::fs::read_to_string(dir.path().join("out/teleport-event-handler.toml")).unwrap();
    assert!(toml.contains("addr = \"teleport.example.com:443\""), "{toml}");

    // The passphrase stands where Fluentd reads it, and nowhere else: nobody looks at a terminal.
    let conf = fluent_conf(&dir.path().join("out"));
    let passphrase = tls(&conf).param("private_key_passphrase").unwrap();
    assert_eq!(passphrase.len(), 64);
    assert!(!out.contains(passphrase) && !errors.contains(passphrase));
    open(&dir.path().join("out/server.key"), passphrase).unwrap();
    open(&dir.path().join("out/server.key"), "another").unwrap_err();
}

/// Pain 30: the newline of `echo` is no part of the passphrase, existing files can be overwritten
/// without a terminal, and no set is ever written in part.
#[test]
fn pain_30_configure_works_from_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let passphrase = || tls(&fluent_conf(out)).param("private_key_passphrase").unwrap().to_owned();
    let (status, _, errors) = quick(out, &["."], Some("first secret\n"));
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert_eq!(passphrase(), "first secret");
    open(&out.join("server.key"), "first secret").unwrap();

    // Nobody can be asked: nothing changes, and the exit code tells.
    let before = content(out);
    for input in [None, Some("y\n"), Some("yes\n"), Some("second secret\n")] {
        let (status, out_text, errors) = quick(out, &["."], input);
        assert_eq!(status, Some(255), "{errors}");
        assert!(!out_text.contains("[1]"), "no step that was not done: {out_text}");
        assert_eq!(content(out), before);
    }
    let (status, out_text, _) = quick(out, &[".", "--no-clobber"], None);
    assert_eq!(status, Some(0));
    assert!(out_text.contains("nothing was changed") && !out_text.contains("[1]"), "{out_text}");
    assert_eq!(content(out), before);

    let (status, _, errors) = quick(out, &[".", "--force"], Some("second secret"));
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert_eq!(passphrase(), "second secret");
    for (name, text) in content(out) {
        // The other files hold nothing that is made anew.
        let is_new = name.ends_with(".crt") || name.ends_with(".key") || name == "fluent.conf";
        assert_eq!(before[&name] != text, is_new, "{name}");
    }

    std::fs::remove_file(out.join("server.crt")).unwrap();
    let before = content(out);
    let (status, _, errors) = quick(out, &[".", "--no-clobber"], None);
    assert_eq!(status, Some(255));
    assert!(errors.contains("server.crt"), "{errors}");
    assert_eq!(content(out), before);
}

#[test]
fn a_passphrase_comes_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("out")).unwrap();
    std::fs::write(dir.path().join("passphrase"), "from a file\r\n").unwrap();
    let args = ["out", "--passphrase-file", "passphrase"];
    // What is piped in is then not looked at.
    let (status, _, errors) = quick(dir.path(), &args, Some("from stdin\n"));
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    open(&dir.path().join("out/server.key"), "from a file").unwrap();

    for (text, part) in [("", "no passphrase"), ("\n", "no passphrase"), ("abc", "less than 4")] {
        std::fs::write(dir.path().join("passphrase"), text).unwrap();
        let (status, _, errors) = quick(dir.path(), &[&args[..], &["--force"]].concat(), None);
        assert_eq!(status, Some(255));
        assert!(errors.contains(part), "{errors}");
    }
    let args = ["out", "--passphrase-file", "nowhere", "--force"];
    let (status, _, errors) = quick(dir.path(), &args, None);
    assert_eq!(status, Some(255));
    assert!(errors.contains("`nowhere`"), "{errors}");

    // Nothing was piped in, so nobody gave one.
    let (status, _, errors) = quick(dir.path(), &["out", "--force"], Some(""));
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let conf = fluent_conf(&dir.path().join("out"));
    assert_eq!(tls(&conf).param("private_key_passphrase").unwrap().len(), 64);
}

#[test]
fn wrong_arguments_end_with_1_and_what_fails_behind_them_with_255() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let check = |args: &[&str], expected, parts: &[&str]| {
        let (status, _, errors) = ended(&run(dir.path(), args, None));
        assert_eq!(status, Some(expected), "{args:?}: {errors}");
        for part in parts {
            assert!(errors.contains(part), "{args:?}: {errors}");
        }
    };
    check(&[], 1, &["OUT"]);
    check(&["nowhere"], 1, &["nowhere"]);
    check(&["file"], 1, &["no directory"]);
    check(&[".", "--length", "1000"], 1, &["1000", "2048", "4096"]);
    check(&[".", "--ip", "abc"], 1, &["`abc` is no IP address"]);
    check(&[".", "--ttl", "10y"], 1, &["unknown unit"]);
    check(&[".", "--ttl=-1h"], 1, &["at least 1s"]);
    check(&[".", "--force", "--no-clobber"], 1, &["cannot be used with"]);
    check(&[".", "a:1", "b", "c", "d", "e"], 1, &["unexpected argument"]);
    check(&[".", "--length", "1024"], 255, &["1024 bits", "rustls", "OpenSSL"]);
    check(&[".", "--length", "1024", "--key-type", "ecdsa"], 255, &["1024 bits"]);
    check(&[".", "localhost"], 255, &["host:port"]);
    check(&[".", "--dns-names", "*.example.com"], 255, &["`*.example.com`", "--ip"]);
    check(&[".", "--dns-names", "a, b", "--ip", "::1"], 255, &["` b`", "blanks"]);
    check(&[".", "a:1", "ca", "../server"], 255, &["`../server`"]);
    assert_eq!(content(dir.path()).len(), 1, "nothing was written by any of them");
}

/// All that the reference handler's command takes, written as its users write it.
#[test]
fn arguments_are_the_reference_handlers() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        ".",
        "auth:3025",
        "myca",
        "mysrv",
        "mycli",
        "--output=fluentd",
        "--ttl=1h30m",
        "--dns-names=a.example,b.example",
        "--dns-names",
        "c.example",
        "--ip=192.0.2.1,192.0.2.2",
        "--ip",
        "::1",
        "--length=2048",
    ];
    let (status, _, errors) = ended(&run(dir.path(), &args, None));
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let names: Vec<_> = content(dir.path()).into_keys().collect();
    assert_eq!(
        names,
        [
            "fluent.conf",
            "myca.crt",
            "myca.key",
            "mycli.crt",
            "mycli.key",
            "mysrv.crt",
            "mysrv.key",
            "teleport-event-handler-role.yaml",
            "teleport-event-handler.toml",
            "teleport-plugin-event-handler-values.yaml",
        ]
    );
    let certificate = std::fs::read(dir.path().join("mysrv.crt")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&certificate).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let seconds = certificate.validity().not_after.timestamp()
        - certificate.validity().not_before.timestamp();
    assert_eq!(seconds, 90 * 60 + 300, "and five minutes for clocks that differ");
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let names: Vec<_> = names.value.general_names.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(certificate.public_key().parsed().unwrap().key_size(), 2048);
    let conf = fluent_conf(dir.path());
    assert_eq!(tls(&conf).param("ca_path"), Some("/keys/myca.crt"));
    assert_eq!(tls(&conf).param("cert_path"), Some("/keys/mysrv.crt"));
    assert_eq!(tls(&conf).param("private_key_path"), Some("/keys/mysrv.key"));
}

/// Without addresses they are what the names resolve to, and keys are RSA of 4,096 bits.
#[test]
fn defaults_are_the_reference_handlers() {
    let dir = tempfile::tempdir().unwrap();
    let (status, _, errors) = ended(&run(dir.path(), &["."], None));
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let certificate = std::fs::read(dir.path().join("server.crt")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&certificate).unwrap();
    let certificate = pem.parse_x509().unwrap();
    assert_eq!(certificate.public_key().parsed().unwrap().key_size(), 4096);
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let names = &names.value.general_names;
    assert_eq!(names[0], GeneralName::DNSName("localhost"));
    let loopback = [&Ipv4Addr::LOCALHOST.octets()[..], &Ipv6Addr::LOCALHOST.octets()];
    let is_loopback = |name: &GeneralName<'_>| matches!(name, GeneralName::IPAddress(ip) if loopback.contains(ip));
    assert!(names.len() > 1 && names[1..].iter().all(is_loopback), "{names:?}");
    let seconds = certificate.validity().not_after.timestamp()
        - certificate.validity().not_before.timestamp();
    assert_eq!(seconds, 87_600 * 3600 + 300);
    let toml = std::fs::read_to_string(dir.path().join("teleport-event-handler.toml")).unwrap();
    assert!(toml.contains("addr = \"localhost:3025\""), "{toml}");
}

/// Runs it in a terminal (of `script`, which passes on what it is given as if it were typed), and
/// says how it ended and what was on the screen. `None` where there is no such program.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see that one did nothing")]
fn in_terminal(dir: &Path, answer: &str) -> Option<(Option<i32>, String)> {
    let version = Command::new("script").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux")) {
        eprintln!("skipped: no `script` of util-linux can be run");
        return None;
    }
    let line = format!("{} configure . {}", env!("CARGO_BIN_EXE_ev-handler"), QUICK.join(" "));
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .current_dir(dir)
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn at_a_terminal_it_asks_once_and_only_a_yes_goes_on() {
    const QUESTION: &str = "Do you want to overwrite";
    let dir = tempfile::tempdir().unwrap();
    let Some((status, screen)) = in_terminal(dir.path(), "") else { return };
    assert_eq!(status, Some(0), "{screen}");
    assert!(!screen.contains(QUESTION), "nothing to ask about: {screen}");
    let before = content(dir.path());
    assert_eq!(before.len(), 10, "a terminal is no passphrase");
    // One is made, and whoever looks sees it once.
    let passphrase =
        || tls(&fluent_conf(dir.path())).param("private_key_passphrase").unwrap().to_owned();
    assert_eq!(screen.matches(&passphrase()).count(), 1, "{screen}");
    // Nothing at all is an end of input.
    for answer in ["n\n", "\n", "yess\n", "Y E S\n", ""] {
        let (status, screen) = in_terminal(dir.path(), answer).unwrap();
        assert_eq!(status, Some(255), "{answer:?}: {screen}");
        assert_eq!(screen.matches(QUESTION).count(), 1, "{screen}");
        assert!(before.keys().all(|name| screen.contains(&format!("/{name}\r\n"))), "{screen}");
        assert!(screen.contains("nothing was changed"), "{screen}");
        assert_eq!(content(dir.path()), before);
    }
    let (status, screen) = in_terminal(dir.path(), "y\n").unwrap();
    assert_eq!(status, Some(0), "{screen}");
    assert_eq!(screen.matches(QUESTION).count(), 1, "{screen}");
    assert_ne!(content(dir.path())["ca.key"], before["ca.key"]);
    assert_eq!(screen.matches(&passphrase()).count(), 1, "{screen}");
}

/// Killed while it makes keys, which takes the longest.
#[test]
fn killed_at_work_it_leaves_the_set_from_before() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(quick(dir.path(), &["."], None).0, Some(0));
    let before = content(dir.path());
    let mut child = command(dir.path(), &[".", "--force", "--ip", "127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its first line comes ahead of all work.
    let mut byte = [0];
    child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(content(dir.path()), before);
    assert_eq!(quick(dir.path(), &[".", "--force"], None).0, Some(0));
    assert_eq!(content(dir.path()).len(), 10);
}

/// A receiver that knows nothing but the written `fluent.conf` and the files that it names.
fn receiver(dir: &Path) -> (FakeFluentd, Section) {
    let conf = fluent_conf(dir);
    let tls = tls(&conf);
    assert_eq!(tls.param("client_cert_auth"), Some("true"));
    let here = |key: &str| dir.join(tls.param(key).unwrap().strip_prefix("/keys/").unwrap());
    let passphrase = tls.param("private_key_passphrase").unwrap();
    let key = dir.join("server.key.opened");
    std::fs::write(&key, open(&here("private_key_path"), passphrase).unwrap()).unwrap();
    let leaf = Leaf::load(&here("cert_path"), &key).unwrap();
    let clients = certs::load(&here("ca_path")).unwrap();
    // What Fluentd speaks unless it is told otherwise.
    let tls = server_config(&leaf, &clients, TlsVersions::Only12, &[]).unwrap();
    let config = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
    (FakeFluentd::start(loopback().unwrap(), config).unwrap(), conf)
}

/// The settings of the written TOML file; only ports and the pause are other ones.
fn settings(stage: &Stage, extra: &[&str]) -> Settings {
    let file = stage.path("teleport-event-handler.toml");
    let toml: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let port = stage.fluentd.addr().port();
    let at = |key: &str| {
        let url = toml["forward"]["fluentd"][key].as_str().unwrap();
        assert!(url.contains(":8888/"), "{url}");
        url.replace(":8888/", &format!(":{port}/"))
    };
    let day_ago = now().plus_nanos(-86_400 * 1_000_000_000).to_string();
    let mut args = vec![
        "start".to_owned(),
        "--config".to_owned(),
        file.to_str().unwrap().to_owned(),
        format!("--fluentd-url={}", at("url")),
        format!("--fluentd-session-url={}", at("session-url")),
        format!("--teleport-addr={}", stage.auth.addr()),
        format!("--start-time={day_ago}"),
        "--timeout=50ms".to_owned(),
    ];
    args.extend(extra.iter().map(|&arg| arg.to_owned()));
    let matches = ev_config::start_command().try_get_matches_from(args).unwrap();
    let loaded = ev_config::load(&matches, &|_| None, stage.dir.path()).unwrap();
    let odd: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    // The guide has a relative storage directory, which is told.
    assert!(odd.iter().all(|text| text.contains("storage")), "{odd:?}");
    loaded.settings
}

/// An operator's first day: everything written by `configure`, an identity beside it, Fluentd
/// started from its file, the handler from its own, and each event where a `<match>` takes it.
async fn written_files_work(keys: &[&str], extra: &[&str]) -> Stage {
    let mut stage = Stage::new("18.0.0-dev");
    let args = [&[".", "--ip", "127.0.0.1"], keys].concat();
    // The stage has a client of the same name, of another authority.
    let args = [&args[..], &["--force"]].concat();
    let (status, _, errors) =
        ended(&run(stage.dir.path(), &args, Some("a \"quoted\" #{phrase}\n")));
    assert_eq!((status, errors.as_str()), (Some(0), ""));

    let (fluentd, conf) = receiver(stage.dir.path());
    stage.fluentd = fluentd;
    let settings = settings(&stage, extra);

    let vectors = [templates("v18dev"), templates("realistic-v18dev")].concat();
    let kind = |name: &str| vectors.iter().find(|vector| vector.kind == name).unwrap();
    let mut maker = Maker::new(71);
    let at = now().plus_nanos(-3600 * 1_000_000_000);
    let inside = [kind("session.start"), kind("session.end")];
    let recording = maker.recording(kind("session.upload"), &inside, 4, at).unwrap();
    let audit: Vec<Made> = ["role.created", "user.create", "cert.create"]
        .iter()
        .map(|name| maker.event(kind(name), at).unwrap())
        .collect();
    stage.auth.append(audit.iter().chain([&recording.upload]).map(Made::event));
    let events = recording.events.iter().map(Made::event);
    stage.auth.store(|store| store.append_recording(&recording.session, events));

    stage.run_settings_until(settings, async |stage| stage.received(8).await).await;
    let bodies = stage.bodies();
    let session = format!("session.{}.log", recording.session);
    assert_eq!(bodies.keys().collect::<Vec<_>>(), ["events.log", &session]);
    for tag in bodies.keys() {
        assert!(conf.match_of(tag).is_some(), "`{tag}` would be dropped");
    }
    let expected = [&texts(&audit)[..], &texts(std::slice::from_ref(&recording.upload))].concat();
    assert_eq!(sorted(bodies["events.log"].clone()), sorted(expected));
    assert_eq!(bodies[&session], texts(&recording.events));
    stage
}

/// Pain 23: generated certificates and Fluentd verify each other.
#[tokio::test(flavor = "multi_thread")]
async fn pain_23_written_certificates_and_settings_work_together() {
    let stage = written_files_work(&["--key-type", "ecdsa"], &[]).await;
    // The identity of another authority is not taken for it: nobody is let in by accident.
    let strangers = certs::Authority::new("Other CA").unwrap();
    let stranger = strangers.issue_fluentd_client(certs::Validity::Long).unwrap();
    let servers = certs::load(&stage.path("ca.crt")).unwrap();
    let ours = Leaf::load(&stage.path("client.crt"), &stage.path("client.key")).unwrap();
    for (leaf, is_let_in) in [(Some(&ours), true), (Some(&stranger), false), (None, false)] {
        let tls = ev_test_support::client_config(leaf, &servers, TlsVersions::Only12, &[]).unwrap();
        let stream = tokio::net::TcpStream::connect(stage.fluentd.addr()).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let shaken = tokio_rustls::TlsConnector::from(tls).connect(name, stream);
        let shaken = tokio::time::timeout(Duration::from_secs(60), shaken).await.unwrap();
        assert_eq!(shaken.is_ok(), is_let_in);
    }
}

/// X4: the sink of the reference's tests with written certificates, three connections at most.
/// Its keys have 1,024 bits; here they have 2,048, the shortest that anybody takes today.
#[tokio::test(flavor = "multi_thread")]
async fn x4_a_sink_with_written_rsa_certificates_takes_events() {
    let extra = ["--fluentd-max-connections=3"];
    let stage = written_files_work(&["--length", "2048"], &extra).await;
    let tally = stage.fluentd.tally();
    assert!((1..=3).contains(&tally.connections), "{tally:?}");
    assert_eq!(tally.handshakes_failed, 0);
}

/// The handler as a process of its own, as a unit starts it, until `done` holds.
async fn serve(dir: &Path, args: &[&str], done: impl Future<Output = ()>) {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(["start", "--config", "teleport-event-handler.toml"])
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    tokio::select! {
        ended = child.wait() => panic!("it ended by itself: {ended:?}"),
        waited = tokio::time::timeout(PATIENCE, done) => waited.expect("it came in time"),
    }
    let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("an end").unwrap();
    assert_eq!(status.code(), Some(0));
}

/// From an empty directory to a handler that runs, is restarted, and gives its state back; in the
/// written TOML file nothing is changed but what an operator has to say: where to begin, and where
/// Fluentd listens here.
#[tokio::test(flavor = "multi_thread")]
async fn an_operators_walk() {
    let mut stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.table("v18dev"));
    let dir = stage.path("walk");
    std::fs::create_dir(&dir).unwrap();
    let addr = stage.auth.addr().to_string();
    let (status, _, errors) = quick(&dir, &[".", &addr], None);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    let (fluentd, conf) = receiver(&dir);
    stage.fluentd = fluentd;
    let file = dir.join("teleport-event-handler.toml");
    let written = std::fs::read_to_string(&file).unwrap();
    let begin = now().plus_nanos(-86_400 * 1_000_000_000).to_string();
    let toml = written
        .replace(":8888/", &format!(":{}/", stage.fluentd.addr().port()))
        .replace("# start-time = \"2026-01-31T00:00:00Z\"", &format!("start-time = \"{begin}\""));
    assert!(toml.contains(&begin));
    std::fs::write(&file, toml).unwrap();

    // Nobody has made an identity yet: told, and worth another start.
    let command = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
        ended(&command.args(args).current_dir(&dir).env_clear().output().unwrap())
    };
    let config = ["--config", "teleport-event-handler.toml"];
    let (status, _, errors) = command(&[&["start"][..], &config].concat());
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("`tctl auth sign`"), "{errors}");
    let client = stage.authority.issue_teleport_client("handler", certs::Validity::Long).unwrap();
    let identity =
        certs::Identity::new(&client, "handler", CLUSTER, stage.authority.cert_pem()).to_text();
    std::fs::write(dir.join("identity"), identity).unwrap();
    let check = [&["config", "--check", "--offline"][..], &config].concat();
    let (status, out, _) = command(&check);
    assert_eq!(status, Some(0), "{out}");

    let (mut maker, vectors) = (Maker::new(72), templates("v18dev"));
    let vectors: Vec<_> =
        vectors.into_iter().filter(|vector| vector.kind != "session.upload").collect();
    let first = make(&mut maker, &vectors, 100, 2, 5400);
    stage.auth.append(first.iter().map(Made::event));
    serve(&dir, &[], stage.received(100)).await;
    let second = make(&mut maker, &vectors, 30, 0, 5);
    stage.auth.append(second.iter().map(Made::event));
    serve(&dir, &[], stage.received(130)).await;
    assert_eq!(stage.fluentd.tally().repeated, 0, "the restart goes on where it stood");
    let bodies = stage.bodies();
    assert_eq!(bodies.keys().collect::<Vec<_>>(), ["events.log"]);
    assert!(conf.match_of("events.log").is_some());
    assert_eq!(sorted(bodies["events.log"].clone()), sorted(texts(&[first, second].concat())));

    // Back: whoever goes on from the exported files misses nothing.
    let (status, out, errors) = command(&[&["state", "export", "back"][..], &config].concat());
    assert_eq!(status, Some(0), "{errors}");
    assert_eq!(out.trim_end(), format!("back/{}", addr.replace(':', "_")));
    let third = make(&mut maker, &vectors, 10, 0, 1);
    stage.auth.append(third.iter().map(Made::event));
    serve(&dir, &["--storage", "back"], stage.received(140)).await;
}
