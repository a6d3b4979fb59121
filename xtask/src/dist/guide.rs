//! The guide's `docker run` line, against an Auth server and a receiver on this machine: the
//! configuration, identity, certificates and storage lie in the mounted folder and are named by
//! relative paths; the network is the host's.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ev_test_support::certs::{Authority, Identity, Validity};
use ev_test_support::data::{Maker, Vector, read_vectors};
use ev_test_support::{
    AuthConfig, AuthSwitches, FakeAuth, FakeFluentd, FluentdConfig, TlsVersions, UtcTime, loopback,
    server_config,
};
use tokio::process::Command;

use super::unpacked::Container;
use crate::root;

const CLUSTER: &str = "image.example.com";
const CONFIG: &str = "teleport-event-handler.toml";
const EVENTS: usize = 50;

/// What is waited for at most. Only a failing run waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the line until all events are delivered, and ends it as `docker stop` does.
pub(super) fn check(container: &Container) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(container))
}

#[expect(clippy::disallowed_methods, reason = "a real run, whose events are of today")]
async fn run(container: &Container) -> Result<()> {
    let vectors = read_vectors(&root().join("testdata/golden/v18dev.jsonl.gz"))?;
    let templates: Vec<&Vector> =
        vectors.iter().filter(|vector| vector.is_template()).take(EVENTS).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let now = UtcTime::from_seconds(i64::try_from(now)?);
    let start = now.plus_nanos(-7_200_000_000_000);
    let to = now.plus_nanos(-3_600_000_000_000);
    let made = Maker::new(8).events(&templates, EVENTS, start.plus_nanos(60_000_000_000), to)?;

    let (auth, fluentd) = servers(container)?;
    auth.append(made.iter().map(ev_test_support::data::Made::event));
    let (auth_port, port) = (auth.addr().port(), fluentd.addr().port());
    container.give(
        CONFIG,
        &format!(
            r#"storage = "storage"
timeout = "100ms"
start-time = "{start}"
json-flavour = "go"

[teleport]
addr = "localhost:{auth_port}"
identity = "identity"

[forward.fluentd]
url = "https://localhost:{port}/events.log"
session-url = "https://localhost:{port}/session"
ca = "ca.crt"
cert = "client.crt"
key = "client.key"
"#
        ),
    )?;

    let mut command = Command::from(container.start(&["start", &format!("--config={CONFIG}")]));
    let log = container.work().join("log");
    let file = fs::File::create(&log)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
    let mut child = command.spawn().context("failed to start the container")?;
    let delivered = tokio::select! {
        waited = tokio::time::timeout(PATIENCE, all(&fluentd, made.len())) => waited.is_ok(),
        ended = child.wait() => bail!("it ended by itself ({}): {}", ended?, tail(&log)),
    };
    ensure!(delivered, "{} came in time: {}", fluentd.tally().events, tail(&log));
    let pid = child.id().context("it has not ended yet")?.to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().await?;
    ensure!(told.success(), "it could not be told to end");
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.context("it does not end")??;
    ensure!(ended.success(), "it ended with {ended}: {}", tail(&log));

    let mut sent: Vec<Vec<u8>> = made.iter().map(|event| event.json.to_vec()).collect();
    let mut came: Vec<Vec<u8>> =
        fluentd.received().iter().map(|event| event.body.to_vec()).collect();
    sent.sort();
    came.sort();
    ensure!(sent == came, "other events came than were there");
    container.owns("storage")
}

async fn all(fluentd: &FakeFluentd, count: usize) {
    fluentd.wait(|tally| tally.events >= count as u64).await;
}

/// Starts both servers, and puts what a client needs into the mounted folder.
fn servers(container: &Container) -> Result<(FakeAuth, FakeFluentd)> {
    let teleport = Authority::new(CLUSTER)?;
    let server = teleport.issue_auth_server(CLUSTER, Validity::Long)?;
    let tls = server_config(&server, &[teleport.cert_der()], TlsVersions::Both, &["h2"])?;
    let switches = AuthSwitches { version: "18.0.0-dev".into(), ..AuthSwitches::default() };
    let auth = FakeAuth::start(loopback()?, AuthConfig { tls, cluster: CLUSTER.into(), switches })?;
    let client = teleport.issue_teleport_client("event-handler", Validity::Long)?;
    let identity = Identity::new(&client, "event-handler", CLUSTER, teleport.cert_pem());
    container.give("identity", &identity.to_text())?;

    let ca = Authority::new("CA")?;
    let server = ca.issue_fluentd_server(Validity::Long)?;
    let tls = server_config(&server, &[ca.cert_der()], TlsVersions::Only12, &[])?;
    let config = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
    let fluentd = FakeFluentd::start(loopback()?, config)?;
    let client = ca.issue_fluentd_client(Validity::Long)?;
    container.give("ca.crt", ca.cert_pem())?;
    container.give("client.crt", &client.cert_pem)?;
    container.give("client.key", &client.key_pem)?;
    Ok((auth, fluentd))
}

/// The end of the log.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
