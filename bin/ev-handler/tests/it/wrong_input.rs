//! What is wrong, where, and what to do: each message is looked at by a person and kept here.

use std::path::Path;
use std::process::{Command, Output};

use ev_test_support::certs::{Authority, Identity, IdentityBlock, Validity};

use crate::stage::{CLUSTER, Stage, write};

fn start(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .arg("start")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert!(!text.contains("-----BEGIN"), "a secret is printed: {text}");
    assert!(!text.contains("panicked"), "{text}");
    (status.code(), text)
}

fn refused(stage: &Stage, code: i32, parts: &[&str]) {
    stage.write_config(stage.auth.addr());
    let (status, text) = start(stage.dir.path(), &["--config", "handler.toml"]);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(status, Some(code), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_file_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let (status, text) = start(dir.path(), &["--config", "nowhere.toml"]);
    assert_eq!(status, Some(78));
    assert!(text.contains("nowhere.toml"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_there_are_named_with_their_setting() {
    let stage = Stage::new("13.3.8");
    std::fs::remove_file(stage.path("identity")).unwrap();
    std::fs::remove_file(stage.path("client.key")).unwrap();
    refused(
        &stage,
        78,
        &["teleport.identity", "handler.toml:", "identity`", "forward.fluentd.key", "client.key`"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_file_with_a_block_missing() {
    for (block, named) in [
        (IdentityBlock::Key, "private key"),
        (IdentityBlock::TlsCertificate, "certificate"),
        (IdentityBlock::TlsAuthorities, "CA"),
    ] {
        let stage = Stage::new("13.3.8");
        let client = stage.authority.issue_teleport_client("handler", Validity::Long).unwrap();
        let identity = Identity::new(&client, "handler", CLUSTER, stage.authority.cert_pem());
        write(stage.dir.path(), "identity", &identity.without(block).to_text());
        refused(&stage, 78, &["identity", named]);
    }
}

/// A device never ends, and a pipe blocks.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_no_regular_file() {
    let stage = Stage::new("13.3.8");
    std::fs::remove_file(stage.path("identity")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", stage.path("identity")).unwrap();
    refused(&stage, 78, &["identity", "file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_identity() {
    let stage = Stage::new("13.3.8");
    let client = stage.authority.issue_teleport_client("handler", Validity::Expired).unwrap();
    let identity = Identity::new(&client, "handler", CLUSTER, stage.authority.cert_pem());
    write(stage.dir.path(), "identity", &identity.to_text());
    refused(&stage, 1, &["identity", "expired", "`tctl auth sign`", "`tbot`", "2002-01-01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_is_a_file_or_in_use() {
    let stage = Stage::new("13.3.8");
    write(stage.dir.path(), "storage", "a file");
    refused(&stage, 78, &["storage: `", "storage` is no directory"]);
    std::fs::remove_file(stage.path("storage")).unwrap();
    let _held = ev_state::SqliteStore::open(stage.path("storage")).unwrap();
    refused(&stage, 1, &["in use by another process", "storage"]);
}

/// The path of a setting may have a line end in it, and nobody may write lines of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_end_in_a_path_makes_no_line_of_the_log() {
    let stage = Stage::new("13.3.8");
    stage.write_config(stage.auth.addr());
    write(stage.dir.path(), "file", "a file");
    let forged = "file/x\n2026-11-19T12:00:00.000000Z  INFO ev_handler: all is well";
    let (status, text) =
        start(stage.dir.path(), &["--config", "handler.toml", "--storage", forged]);
    assert_eq!(status, Some(78), "{text}");
    assert!(text.contains("file/x\\n2026-11-19T12:00:00.000000Z"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("2026-11-19T12:00:00.000000Z")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_a_warning_and_an_error_when_strict() {
    let mut stage = Stage::new("13.3.8");
    stage.extra = "stroage = \"x\"".into();
    // Something else ends the process, so that the warning can be looked at.
    write(stage.dir.path(), "storage", "a file");
    refused(&stage, 78, &["stroage", "storage"]);
    stage.write_config(stage.auth.addr());
    let (status, text) = start(stage.dir.path(), &["--strict", "--config", "handler.toml"]);
    assert_eq!(status, Some(78), "{text}");
    assert!(text.contains("stroage") && text.contains("`storage`"), "{text}");
}

/// Peers that are wrong are waited for: somebody may mend them. The log says what is wrong.
async fn log_says(stage: &Stage, addr: std::net::SocketAddr, parts: &[&str]) {
    use tokio::io::AsyncReadExt as _;
    stage.write_config(addr);
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(["start", "--config", "handler.toml"])
        .current_dir(stage.dir.path())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut text = String::new();
    let mut chunk = [0; 4096];
    while !parts.iter().all(|part| text.contains(part)) {
        let read =
            tokio::time::timeout(std::time::Duration::from_secs(30), stderr.read(&mut chunk));
        let count = read.await.unwrap_or_else(|_| panic!("{parts:?} did not come: {text}"));
        let count = count.unwrap();
        assert!(count > 0, "the process ended: {text}");
        text.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_nobody_listens_on() {
    let stage = Stage::new("13.3.8");
    let free = ev_test_support::loopback().unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    log_says(&stage, addr, &[&addr.to_string(), "refused"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_server_of_another_ca() {
    let stage = Stage::new("13.3.8");
    let other = Authority::new("Another CA").unwrap();
    let client = stage.authority.issue_teleport_client("handler", Validity::Long).unwrap();
    let identity = Identity::new(&client, "handler", CLUSTER, other.cert_pem());
    write(stage.dir.path(), "identity", &identity.to_text());
    let addr = stage.auth.addr();
    log_says(&stage, addr, &[&addr.to_string(), "not signed by a trusted CA"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fluentd_of_another_ca() {
    let stage = Stage::new("13.3.8");
    let other = Authority::new("Another CA").unwrap();
    write(stage.dir.path(), "fluentd-ca.crt", other.cert_pem());
    let vectors = crate::stage::templates("v13");
    let mut maker = ev_test_support::data::Maker::new(1);
    let made = crate::stage::make(&mut maker, &vectors, 3, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let port = stage.fluentd.addr().port().to_string();
    log_says(&stage, stage.auth.addr(), &["delivery failed", &port, "not signed by a trusted CA"])
        .await;
}
