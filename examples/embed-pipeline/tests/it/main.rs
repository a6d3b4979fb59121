//! The example at work, against an Auth server in this process.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ev_test_support::certs::{Authority, Identity, Validity};
use ev_test_support::data::{Made, Maker, read_vectors};
use ev_test_support::{
    AuthConfig, AuthSwitches, FakeAuth, TlsVersions, UtcTime, loopback, server_config,
};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const CLUSTER: &str = "rig.example.com";
/// What the test waits for at most. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

fn auth(dir: &Path) -> FakeAuth {
    let authority = Authority::new("Teleport CA").unwrap();
    let server = authority.issue_auth_server(CLUSTER, Validity::Long).unwrap();
    let clients = [authority.cert_der()];
    let tls = server_config(&server, &clients, TlsVersions::Both, &["h2"]).unwrap();
    let switches = AuthSwitches { version: "18.0.0-dev".into(), ..AuthSwitches::default() };
    let config = AuthConfig { tls, cluster: CLUSTER.into(), switches };
    let client = authority.issue_teleport_client("reader", Validity::Long).unwrap();
    let identity = Identity::new(&client, "reader", CLUSTER, authority.cert_pem()).to_text();
    std::fs::write(dir.join("identity"), identity).unwrap();
    FakeAuth::start(loopback().unwrap(), config).unwrap()
}

fn events(seed: u32, count: usize) -> Vec<Made> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
    let mut vectors = read_vectors(&golden.join("v18dev.jsonl.gz")).unwrap();
    vectors.retain(|vector| vector.is_template() && vector.kind == "user.login");
    let now = now();
    let (from, to) = (now, now);
    let vectors: Vec<_> = vectors.iter().collect();
    Maker::new(seed).events(&vectors, count, from, to).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "events have to lie where a live window looks")]
fn now() -> UtcTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UtcTime::from_seconds(i64::try_from(since.as_secs()).unwrap())
}

fn start(auth: &FakeAuth, dir: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embed-pipeline"));
    command.arg(auth.addr().to_string()).args(["identity", "state"]).current_dir(dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn read(lines: &mut Lines<BufReader<ChildStdout>>, count: usize) -> Vec<String> {
    let mut read = Vec::new();
    while read.len() < count {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        read.push(line.expect("they come in time").unwrap().expect("it goes on"));
    }
    read.sort();
    read
}

async fn interrupt(mut child: Child) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends in time");
    assert!(ended.unwrap().success());
}

fn texts(made: &[Made]) -> Vec<String> {
    let mut texts: Vec<String> =
        made.iter().map(|made| String::from_utf8(made.json.to_vec()).unwrap()).collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn it_prints_every_event_once_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let auth = auth(dir.path());
    let (child, mut lines) = start(&auth, dir.path());
    // A new state begins now, so it has to have begun.
    auth.wait(|tally| tally.methods.get("GetEvents").is_some_and(|method| method.calls > 0)).await;
    let first = events(1, 20);
    auth.append(first.iter().map(Made::event));
    assert_eq!(read(&mut lines, 20).await, texts(&first));
    interrupt(child).await;

    let second = events(2, 5);
    auth.append(second.iter().map(Made::event));
    let (child, mut lines) = start(&auth, dir.path());
    assert_eq!(read(&mut lines, 5).await, texts(&second));
    interrupt(child).await;
    assert_eq!(lines.next_line().await.unwrap(), None, "nothing more was printed");
}
