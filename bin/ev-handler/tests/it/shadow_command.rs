//! `ev-handler shadow`, beside and before Fluentd, with a small reference handler that posts as the
//! real one does.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use ev_core::Timestamp;
use ev_test_support::certs::Validity;
use ev_test_support::data::{Made, Maker, Vector, read_vectors};
use ev_test_support::{FailRule, TlsVersions, client_config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stage::{Stage, golden, make, now, templates, write};

/// What a command that hangs may take. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// The command as it runs.
struct Shadow {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
    addr: SocketAddr,
}

fn command(stage: &Stage, args: &[&str]) -> Command {
    stage.write_config(stage.auth.addr());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command.args(["shadow", "--config", "handler.toml"]).args(args);
    let scratch = stage.path("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    command.current_dir(stage.dir.path()).env_clear().env("TMPDIR", scratch).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Shadow {
    async fn start(stage: &Stage, from: i64, more: &[&str]) -> Self {
        let server = stage.fluentd_ca.issue_fluentd_server(Validity::Long).unwrap();
        write(stage.dir.path(), "shadow.crt", &server.cert_pem);
        write(stage.dir.path(), "shadow.key", &server.key_pem);
        let from = Timestamp::new(from, 0).to_string();
        let usual = ["--listen", "127.0.0.1:0", "--cert", "shadow.crt", "--key", "shadow.key"];
        let usual = [&usual[..], &["--client-ca", "fluentd-ca.crt", "--from", &from]].concat();
        let mut child = command(stage, &[&usual, more].concat()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let addr = loop {
            let line = tokio::time::timeout(PATIENCE, errors.next_line()).await;
            let line =
                line.expect("it begins in time").unwrap().unwrap_or_else(|| panic!("{seen}"));
            if let Some((_, addr)) = line.split_once("other handler sends addr=") {
                break addr.split(' ').next().unwrap().parse().unwrap();
            }
            seen += &line;
        };
        Self { child, out, errors, addr }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The report, and the findings in front of it.
    async fn report(&mut self) -> (Vec<Value>, Value) {
        let mut findings = Vec::new();
        loop {
            let line = tokio::time::timeout(PATIENCE, self.out.next_line()).await;
            let line = line.expect("it ends in time").unwrap().expect("a report");
            let mut value: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            match value.get_mut("report") {
                Some(report) => return (findings, report.take()),
                None => findings.push(value),
            }
        }
    }

    /// Status and log.
    async fn end(mut self, stage: &Stage) -> (Option<i32>, String) {
        let ended = async {
            let mut log = String::new();
            while let Some(line) = self.errors.next_line().await.unwrap() {
                log += &line;
                log.push('\n');
            }
            (self.child.wait().await.unwrap().code(), log)
        };
        let (status, log) = tokio::time::timeout(PATIENCE, ended).await.expect("it ends in time");
        assert!(!log.contains("panicked"), "{log}");
        let left: Vec<_> = std::fs::read_dir(stage.path("scratch")).unwrap().collect();
        assert!(left.is_empty(), "its own state is gone: {left:?}");
        assert!(!stage.path("storage").exists(), "the handler's is not touched");
        (status, log)
    }
}

/// Posts as the reference handler does: one event a request, one after the other, each with the
/// blank behind commas that Go's protojson puts there or not by the build.
struct Reference {
    stream: TlsStream<TcpStream>,
    blanks: bool,
}

impl Reference {
    async fn start(stage: &Stage, addr: SocketAddr) -> Self {
        let leaf = stage.fluentd_ca.issue_fluentd_client(Validity::Long).unwrap();
        let servers = [stage.fluentd_ca.cert_der()];
        let config = client_config(Some(&leaf), &servers, TlsVersions::Both, &["h2", "http/1.1"]);
        let tcp = TcpStream::connect(addr).await.unwrap();
        let name = tokio_rustls::rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(config.unwrap()).connect(name, tcp).await.unwrap();
        Self { stream, blanks: false }
    }

    /// The status of the answer to one attempt.
    async fn attempt(&mut self, path: &str, body: &[u8]) -> u16 {
        self.blanks = !self.blanks;
        let body = if self.blanks { with_blanks(body) } else { body.to_vec() };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost:8888\r\nUser-Agent: Go-http-client/1.1\r\n\
             Content-Length: {}\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut rest = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut rest).await.unwrap();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Tries up to six times, as the real one.
    async fn post(&mut self, path: &str, body: &[u8]) {
        for _ in 0..6 {
            if self.attempt(path, body).await == 200 {
                return;
            }
        }
        panic!("six attempts in vain");
    }

    async fn post_all(&mut self, events: &[Made]) {
        for event in events {
            self.post("/events.log", &event.struct_json()).await;
        }
    }
}

/// Templates without the announcements of recordings that nobody has, and without those that have
/// no `struct` form: we park them.
fn printable() -> Vec<Vector> {
    let without = ["session.upload", "certificate.create", "elasticsearch.request"];
    let mut vectors = templates("v13");
    vectors.retain(|vector| !without.contains(&vector.kind.as_str()));
    vectors
}

/// A blank behind each comma and colon that is not inside of a string.
fn with_blanks(body: &[u8]) -> Vec<u8> {
    let (mut out, mut in_string, mut escaped) = (Vec::new(), false, false);
    for &byte in body {
        out.push(byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b':' if !in_string => out.push(b' '),
            _ => {}
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_equal_recordings_too() {
    let mut stage = Stage::new("18.0.0-dev");
    stage.extra = "skip-event-types = [\"kube.request\"]".into();
    stage.auth.offer(stage.table("v18dev"));
    let vectors = read_vectors(&golden("realistic-v18dev")).unwrap();
    let upload = vectors.iter().find(|v| v.kind == "session.upload" && v.is_template()).unwrap();
    let inside: Vec<_> = vectors.iter().filter(|v| !v.recording.is_empty()).collect();
    let mut maker = Maker::new(61);
    let mut audit = vectors.clone();
    audit.retain(|v| v.recording.is_empty() && v.is_template() && v.kind != "session.upload");
    let made = make(&mut maker, &audit, 300, 1, 5);
    let at = made[150].time;
    let recording = maker.recording(upload, &inside, 60, at).unwrap();
    stage.auth.append(made.iter().map(Made::event));
    stage.auth.store(|store| {
        store.append([recording.upload.event()]);
        store.append_recording(&recording.session, recording.events.iter().map(Made::event));
    });
    let from = made[0].time.seconds;
    let mut shadow = Shadow::start(&stage, from, &["--for", "6s", "--json"]).await;
    let mut reference = Reference::start(&stage, shadow.addr).await;
    reference.post_all(&made).await;
    reference.post("/events.log", &recording.upload.struct_json()).await;
    let path = format!("/session.{}.log", recording.session);
    for event in &recording.events {
        reference.post(&path, &event.struct_json()).await;
    }
    let (findings, report) = shadow.report().await;
    assert_eq!(findings, Vec::<Value>::new(), "{report}");
    let skipped = made.iter().filter(|event| event.kind == "kube.request").count();
    let prints = recording.events.iter().filter(|event| event.kind == "print").count();
    assert!(skipped > 0 && prints > 0 && prints < 60);
    let equal = 300 - skipped + 1 + 60 - prints;
    assert_eq!(report["equal"], equal, "{report}");
    // What settings leave out never gets as far as our sink.
    assert_eq!(report["left_out"], serde_json::json!({ "ours": 0, "theirs": skipped + prints }));
    let blanks = report["spelling"]["blanks"].as_u64().unwrap();
    assert!(blanks > 100 && blanks + report["identical"].as_u64().unwrap() == equal as u64);
    for spelling in ["key_order", "numbers", "escapes"] {
        assert_eq!(report["spelling"][spelling], 0, "{report}");
    }
    let (status, log) = shadow.end(&stage).await;
    assert_eq!(status, Some(0), "{log}");
    assert_eq!(stage.fluentd.tally().requests, 0, "nothing is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_altered_doubled_or_invented_is_found() {
    let stage = Stage::new("13.3.8");
    let mut maker = Maker::new(62);
    let vectors = printable();
    let made = make(&mut maker, &vectors, 200, 1, 5);
    let invented = maker.event(&vectors[0], made[100].time).unwrap();
    stage.auth.append(made.iter().map(Made::event));
    let from = made[0].time.seconds;
    let more = ["--for", "6s", "--json", "--patience", "2s"];
    let mut shadow = Shadow::start(&stage, from, &more).await;
    let mut reference = Reference::start(&stage, shadow.addr).await;
    let (lost, altered, doubled) = (&made[50], &made[60], &made[70]);
    for (at, event) in made.iter().enumerate() {
        let body = event.struct_json();
        match at {
            50 => {}
            60 => {
                let mut value: Value = serde_json::from_slice(&body).unwrap();
                value["code"] = "T0000X".into();
                reference.post("/events.log", value.to_string().as_bytes()).await;
            }
            70 => {
                reference.post("/events.log", &body).await;
                reference.post("/events.log", &body).await;
            }
            _ => reference.post("/events.log", &body).await,
        }
        if at == 100 {
            reference.post("/events.log", &invented.struct_json()).await;
        }
    }
    let (findings, report) = shadow.report().await;
    assert!(findings.len() == 4, "{findings:?} {report}");
    let told = |kind: &str, id: &str| {
        findings.iter().find(|f| f["finding"] == kind && f["id"] == id).cloned()
    };
    assert!(told("only-ours", &lost.uid).is_some(), "{findings:?}");
    assert!(told("only-theirs", &invented.uid).is_some(), "{findings:?}");
    assert!(told("duplicate", &doubled.uid).is_some(), "{findings:?}");
    let differs = told("differs", &altered.uid).unwrap_or_else(|| panic!("{findings:?}"));
    assert_eq!(differs["differences"], serde_json::json!([{ "path": "/code", "what": "value" }]));
    assert_eq!((&differs["event"], &report["findings"]), (&altered.kind.clone().into(), &3.into()));
    assert_eq!((&report["equal"], &report["differs"]), (&198.into(), &1.into()), "{report}");
    assert_eq!(report["only"], serde_json::json!({ "ours": 1, "theirs": 1 }));
    assert_eq!(report["duplicates"], serde_json::json!({ "ours": 0, "theirs": 1 }));
    assert_eq!(report["open"], serde_json::json!({ "ours": 0, "theirs": 0 }));
    let (status, log) = shadow.end(&stage).await;
    assert_eq!(status, Some(1), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_fluentd_nothing_is_lost_and_nothing_ends() {
    let stage = Stage::new("13.3.8");
    let mut maker = Maker::new(63);
    let vectors = printable();
    let made = make(&mut maker, &vectors, 150, 1, 5);
    stage.auth.append(made.iter().map(Made::event));
    stage.fluentd.set(|switches| {
        let containing = made[20].uid.clone();
        let once = FailRule { status: 500, count: Some(1), containing, ..FailRule::default() };
        switches.fail.push(once);
    });
    let from = made[0].time.seconds;
    let mut shadow = Shadow::start(&stage, from, &["--forward", "--for", "6s"]).await;
    let mut reference = Reference::start(&stage, shadow.addr).await;
    reference.post_all(&made[..20]).await;
    // It is told what Fluentd says.
    let body = made[20].struct_json();
    assert_eq!(reference.attempt("/events.log", &body).await, 500);
    reference.post_all(&made[20..]).await;
    let mut text = String::new();
    while !text.contains("requests that Fluentd did not take") {
        let line = tokio::time::timeout(PATIENCE, shadow.out.next_line()).await;
        text += &line.expect("it ends in time").unwrap().unwrap_or_else(|| panic!("{text}"));
        text.push('\n');
    }
    assert!(text.contains(": 150 events on both sides, 150 equal\n"), "{text}");
    assert!(text.contains("\n0 findings\n"), "{text}");
    assert!(text.contains("\n1 requests that Fluentd did not take\n"), "{text}");
    // The comparison is over, and Fluentd is still reached this way.
    let late = maker.event(&vectors[0], now()).unwrap();
    reference.post("/events.log", &late.struct_json()).await;
    let bodies = stage.bodies().remove("events.log").unwrap();
    assert_eq!(bodies.len(), 151);
    let sent = |event: &Made| -> Value { serde_json::from_slice(&event.struct_json()).unwrap() };
    let all = made.iter().chain([&late]).map(sent);
    assert!(bodies.iter().map(|body| serde_json::from_str::<Value>(body).unwrap()).eq(all));
    shadow.signal(Signal::TERM);
    let (status, log) = shadow.end(&stage).await;
    assert_eq!(status, Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_other_handler_nothing_is_known() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(64), &templates("v13"), 20, 1, 5);
    stage.auth.append(made.iter().map(Made::event));
    let mut shadow = Shadow::start(&stage, made[0].time.seconds, &["--json"]).await;
    shadow.signal(Signal::INT);
    let (findings, report) = shadow.report().await;
    assert_eq!((findings.len(), &report["compared"]), (0, &0.into()), "{report}");
    let (status, log) = shadow.end(&stage).await;
    assert_eq!(status, Some(2), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_is_told() {
    let stage = Stage::new("13.3.8");
    let check = async |args: &[&str], status: i32, says: &str| {
        let output = command(&stage, args).output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
        assert!(errors.contains(says), "{args:?}: {errors}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    };
    let here = ["--listen", "127.0.0.1:0"];
    let with = |more: &[&'static str]| [&here[..], more].concat();
    check(&[], 1, "--listen").await;
    check(&here, 1, "--cert").await;
    check(&with(&["--plain", "--cert", "c"]), 1, "cannot be used with").await;
    check(&with(&["--plain", "--for", "1d"]), 1, "unknown unit").await;
    check(&with(&["--plain", "--patience=-1s"]), 1, "negative").await;
    check(&with(&["--plain", "--to", "2026-01-01T00:00:00Z"]), 78, "--to").await;
    check(&["--listen", "0.0.0.0:0", "--plain"], 78, "--plain").await;
    let absent = ["--cert", "absent.crt", "--key", "client.key", "--client-ca", "fluentd-ca.crt"];
    check(&with(&absent), 78, "absent.crt").await;
    let taken = stage.fluentd.addr().to_string();
    check(&["--listen", &taken, "--plain"], 2, "--listen").await;
}
