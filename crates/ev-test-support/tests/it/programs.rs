//! The fakes as processes of their own.

use std::fs;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use ev_test_support::certs::Validity;
use ev_test_support::process::Ready;
use ev_test_support::{AdminClient, AuthTally, FluentdTally};

use crate::client::{Http, Pki};

/// Starts a program and waits until it is ready.
async fn start(program: &str, dir: &Path, args: &[&str]) -> (Child, ChildStdin, Ready) {
    let ready_file = dir.join("ready");
    let mut child = Command::new(program)
        .args(args)
        .args(["--end-with-stdin", "--ready-file"])
        .arg(&ready_file)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program");
    let stdin = child.stdin.take().expect("a pipe");
    loop {
        if let Some(ready) = Ready::read(&ready_file).expect("a ready file") {
            assert_eq!(ready.pid, child.id());
            fs::remove_file(&ready_file).expect("a file");
            return (child, stdin, ready);
        }
        assert_eq!(child.try_wait().expect("a child"), None, "it ended before it was ready");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn run_until_their_parent_is_gone() {
    let pki = Pki::new();
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("a file");
    let server = pki.authority.issue_fluentd_server(Validity::Long).expect("a certificate");
    write("ca.crt", pki.authority.cert_pem());
    write("server.crt", &server.cert_pem);
    write("server.key", &server.key_pem);
    write("data.jsonl", "{\"oneof\":\"AQ==\",\"time\":\"2026-01-01T00:00:00Z\"}\n");
    let tls = ["--cert", "server.crt", "--key", "server.key", "--client-ca", "ca.crt"];

    let program = env!("CARGO_BIN_EXE_ev-fake-fluentd");
    let (mut child, stdin, ready) = start(program, dir.path(), &tls).await;
    let mut http = Http::connect(ready.addr, &pki).await;
    assert_eq!(http.post("/t", "{}").await.expect("an answer").status(), 200);
    let tally: FluentdTally = AdminClient::new(ready.admin).get("/tally").await.expect("counts");
    assert_eq!(tally.events, 1);
    drop(stdin);
    assert!(child.wait().expect("a child").success());

    let program = env!("CARGO_BIN_EXE_ev-fake-auth");
    let args = [&tls[..], &["--data", "data.jsonl", "--server-version", "15.0.0"]].concat();
    let (mut child, stdin, ready) = start(program, dir.path(), &args).await;
    let tally: AuthTally = AdminClient::new(ready.admin).get("/tally").await.expect("counts");
    assert_eq!((tally.log, tally.version.as_str()), (1, "15.0.0"));
    drop(stdin);
    assert!(child.wait().expect("a child").success());

    let status = Command::new(program)
        .args(["--cert", "nothing", "--key", "nothing", "--client-ca", "nothing"])
        .stderr(Stdio::null())
        .status()
        .expect("the program");
    assert_eq!(status.code(), Some(1));
}
