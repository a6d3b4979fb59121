//! Against an implementation of the protocol that is not ours: the server in the package
//! `@fluent-org/logger`, run by node.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Route, SessionId, Sink, Verdict};
use ev_sink_forward::{Config, ForwardSink, Gzip, Login, Secret};
use ev_test_support::certs::ClientFolder;
use ev_test_support::data::read_vectors;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::rig::files;

/// Where the package is: named by whoever runs the tests, or where they would have put it.
fn package() -> Option<PathBuf> {
    let named = std::env::var_os("EV_FLUENT_SERVER").map(PathBuf::from);
    let usual = || {
        // `<target>/debug/deps/it-…`.
        let program = std::env::current_exe().ok()?;
        Some(program.ancestors().nth(3)?.join("tools/fluent-server"))
    };
    let folder = named.or_else(usual)?;
    folder.join("node_modules/@fluent-org/logger/package.json").is_file().then_some(folder)
}

/// The package, or a word past the capturing of the test runner that it is missing.
fn package_or_skip() -> Option<PathBuf> {
    let package = package();
    if package.is_none() {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(b"\nskipped: fluent-server\n").expect("a place to say so");
    }
    package
}

struct Peer {
    _process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    port: u64,
}

impl Peer {
    async fn start(package: &Path, security: Value, tls: Value) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer/server.js");
        let settings = json!({ "package": package, "security": security, "tls": tls });
        let mut process = Command::new("node")
            .arg(script)
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is there, as its package is");
        let stdin = process.stdin.take().expect("piped");
        let stdout = process.stdout.take().expect("piped");
        let lines = BufReader::new(stdout).lines();
        let mut peer = Self { _process: process, stdin, lines, port: 0 };
        peer.port = peer.line().await["port"].as_u64().expect("a port");
        peer
    }

    async fn line(&mut self) -> Value {
        let line = self.lines.next_line().await.expect("readable").expect("it goes on");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Breaks all connections.
    async fn cut(&mut self) -> u64 {
        self.stdin.write_all(b"cut\n").await.expect("it listens");
        self.line().await["cut"].as_u64().expect("how many")
    }

    fn config(&self, scheme: &str) -> Config {
        let url = format!("{scheme}://localhost:{}", self.port);
        Config::new(url, "events.log", "session")
    }
}

fn sink(config: Config) -> ForwardSink {
    ForwardSink::new(config, ManualEnv::new()).expect("good settings")
}

fn security(authorize: bool) -> Value {
    json!({
        "serverHostname": "peer",
        "sharedKey": "key",
        "authorize": authorize,
        "userDict": { "name": "word" },
    })
}

#[tokio::test]
async fn an_independent_receiver_takes_every_form() {
    let Some(package) = package_or_skip() else { return };
    let pki = ClientFolder::new();
    let leaf = pki.server();
    let tls = json!({
        "cert": leaf.cert_pem, "key": leaf.key_pem, "ca": pki.authority.cert_pem(),
    });
    let mut peer = Peer::start(&package, security(true), tls).await;
    let event =
        r#"{"time":"2023-01-02T03:04:05.123456789Z","n":[1,-2,2.5,9007199254740991],"t":"ü"}"#;
    let session = Route::Session(SessionId::try_new(b"1b4e").expect("an id"));
    for gzip in [Gzip::Off, Gzip::Always] {
        let mut config = peer.config("tls");
        config.tls = files(&pki);
        config.shared_key = Some(Secret::new("key"));
        config.login = Some(Login { user: "name".to_owned(), password: Secret::new("word") });
        config.gzip = gzip;
        let sink = sink(config);
        for (route, tag) in [(Route::Audit, "events.log"), (session.clone(), "session.1b4e.log")] {
            let verdict = sink.send(batch(1, route, &[event, event])).await.1;
            assert_eq!(verdict, Verdict::Delivered, "{gzip:?}");
            for _ in 0..2 {
                let entry = peer.line().await;
                assert_eq!(entry["tag"], tag);
                assert_eq!(entry["seconds"], 1_672_628_645);
                assert_eq!(entry["nanos"], 123_456_789);
                let sent: Value = serde_json::from_str(event).expect("JSON");
                assert_eq!(entry["record"], sent);
            }
        }
        assert_eq!(sink.stats().connections_opened, 1, "the connection is used again");
    }
}

#[tokio::test]
async fn an_independent_receiver_refuses_who_does_not_know_the_key() {
    let Some(package) = package_or_skip() else { return };
    let peer = Peer::start(&package, security(false), Value::Null).await;
    for (key, part) in [(Some("other"), "refuses us"), (None, "asks for a shared key")] {
        let mut config = peer.config("tcp");
        config.shared_key = key.map(Secret::new);
        let verdict = sink(config).send(batch(1, Route::Audit, &["{}"])).await.1;
        let Verdict::Refused { detail } = verdict else { panic!("{verdict:?}") };
        assert!(detail.contains(part), "{detail}");
    }
    let mut config = peer.config("tcp");
    config.shared_key = Some(Secret::new("key"));
    let verdict = sink(config).send(batch(1, Route::Audit, &["{}"])).await.1;
    assert_eq!(verdict, Verdict::Delivered);
}

#[tokio::test]
async fn recorded_events_arrive_through_broken_connections() {
    let Some(package) = package_or_skip() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
    let vectors = read_vectors(&folder.join("realistic-v18dev.jsonl.gz")).expect("recorded");
    let events: Vec<&str> =
        vectors.iter().map(|v| std::str::from_utf8(&v.json).expect("UTF-8")).collect();
    assert!(events.len() > 500, "{}", events.len());
    let mut peer = Peer::start(&package, Value::Null, Value::Null).await;
    let mut config = peer.config("tcp");
    config.gzip = Gzip::Auto { above_bytes: 4096 };
    let sink = sink(config);
    for (part, id) in events.chunks(100).zip(1..) {
        if id > 1 {
            assert_eq!(peer.cut().await, 1, "the one connection that there is");
        }
        // Whether the end of the old connection is seen before or after sending: the chunk is sent
        // until its acknowledgement is there. Nothing of it was stored before.
        let mut attempts = 0;
        while sink.send(batch(id, Route::Audit, part)).await.1 != Verdict::Delivered {
            attempts += 1;
            assert!(attempts < 3, "a new connection is good");
        }
        for sent in part {
            let entry = peer.line().await;
            let sent: Value = serde_json::from_str(sent).expect("JSON");
            assert_eq!(entry["record"], sent);
        }
    }
}
