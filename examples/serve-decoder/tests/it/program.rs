//! The program: its arguments, what it serves, and its end.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use ev_core::AuthVersion;
use ev_decode::Table;
use ev_modules::{SigningKey, sha256};
use ev_test_support::certs::{Authority, Validity};
use ev_test_support::{TlsVersions, client_config};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tonic::Code;

use crate::client::{Client, GetArtifact, offer, verified, wanted};

struct Program {
    child: Child,
    scheme: String,
    addr: SocketAddr,
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serve-decoder"));
    command.arg("--dir").arg(dir).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Program {
    /// Runs until it says where it listens.
    async fn start(dir: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = command(dir, &arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut line).await.unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect("its first line");
        let (scheme, addr) = address.split_once("://").unwrap();
        Self { child, scheme: scheme.to_owned(), addr: addr.parse().unwrap() }
    }
}

/// The address of a start that has to fail, and what it says.
async fn refusal(dir: &Path, arguments: &[&str]) -> String {
    let mut child = command(dir, arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
    assert!(!child.wait().await.unwrap().success());
    text
}

async fn downloads_and_verifies(client: &Client, key: &SigningKey, of: &AuthVersion) {
    let artifact = client.get(wanted(of.as_str())).await.unwrap().expect("nothing is held");
    let verified = verified(&artifact, key, of);
    let table = Table::parse(verified.payload()).unwrap();
    assert_eq!(
        (table.auth_version(), table.schema_sha256()),
        (of, verified.manifest().schema_sha256)
    );
    let held = sha256(&artifact.payload).to_vec().into();
    let again = client.get(GetArtifact { held_sha256: held, ..wanted(of.as_str()) }).await;
    assert_eq!(again.unwrap(), None, "what is held is not sent again");
    let missing = client.get(wanted("99.0.0")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn an_artifact_is_served_over_tls_to_clients_with_a_certificate() {
    let (dir, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let of = offer(&dir.path().join("artifacts"), &key);
    let authority = Authority::new("CA").unwrap();
    let server = authority.issue_fluentd_server(Validity::Long).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("server.crt"), &server.cert_pem).unwrap();
    std::fs::write(path("server.key"), &server.key_pem).unwrap();
    std::fs::write(path("ca.crt"), authority.cert_pem()).unwrap();
    let (cert, key_file, ca) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let arguments = ["--cert", &cert, "--key", &key_file, "--client-ca", &ca];
    let program = Program::start(&dir.path().join("artifacts"), &arguments).await;
    assert_eq!(program.scheme, "https");

    let roots = [authority.cert_der()];
    let client = authority.issue_fluentd_client(Validity::Long).unwrap();
    let config = client_config(Some(&client), &roots, TlsVersions::Both, &["h2"]).unwrap();
    let client = Client::tls(program.addr, config).await;
    downloads_and_verifies(&client, &key, &of).await;

    // Without a certificate the connection is of no use.
    let config = client_config(None, &roots, TlsVersions::Both, &["h2"]).unwrap();
    let nobody = Client::tls(program.addr, config).await;
    assert!(nobody.get(wanted(of.as_str())).await.is_err());
}

#[tokio::test]
async fn without_a_certificate_it_serves_this_machine() {
    let (dir, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let program = Program::start(dir.path(), &[]).await;
    assert_eq!(program.scheme, "http");
    let client = Client::plain(program.addr).await;
    // Put there while it runs.
    let of = offer(dir.path(), &key);
    downloads_and_verifies(&client, &key, &of).await;
}

#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), &[]).await;
    let pid = program.child.id().unwrap().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    assert!(told.success());
    assert!(program.child.wait().await.unwrap().success());
}

#[tokio::test]
async fn what_is_set_up_wrongly_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let text = refusal(dir.path(), &["--listen", "0.0.0.0:0"]).await;
    assert!(text.contains("give --cert and --key"), "{text}");
    let text = refusal(&dir.path().join("nowhere"), &[]).await;
    assert!(text.contains("is not a directory"), "{text}");
    let text = refusal(dir.path(), &["--cert", "missing.crt"]).await;
    assert!(text.contains("--key"), "{text}");
    let text = refusal(dir.path(), &["--cert", "missing.crt", "--key", "missing.key"]).await;
    assert!(text.contains("failed to read `missing.crt`"), "{text}");
}
