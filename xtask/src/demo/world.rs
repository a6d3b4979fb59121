//! The stage: a folder with certificates, artifacts and settings, and the processes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ev_test_support::UtcTime;
use ev_test_support::certs::{Authority, Identity, Validity};

use super::build::Programs;
use super::children::{Fake, Handler};
use super::plan::{SESSION_TAG, TAG};

/// Name of the cluster.
pub(super) const CLUSTER: &str = "demo.example.com";
/// Requests to the receiver at one time.
pub(super) const CONNECTIONS: u64 = 4;
/// Events in a request at most.
pub(super) const BATCH: u64 = 250;
const USER: &str = "event-handler";

/// Everything that has to be cleaned up.
pub(super) struct World {
    pub(super) programs: Programs,
    pub(super) dir: PathBuf,
    pub(super) keep: bool,
    pub(super) auth: Option<Fake>,
    pub(super) fluentd: Option<Fake>,
    pub(super) handler: Option<Handler>,
    left: bool,
}

impl World {
    pub(super) fn new(programs: Programs, keep: bool) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("ev-demo-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("failed to make `{}`", dir.display()))?;
        Ok(Self { programs, dir, keep, auth: None, fluentd: None, handler: None, left: false })
    }

    /// Throw-away certificates, as files.
    pub(super) fn certificates(&self) -> Result<()> {
        let teleport = Authority::new(CLUSTER)?;
        let auth = teleport.issue_auth_server(CLUSTER, Validity::Long)?;
        let client = teleport.issue_teleport_client(USER, Validity::Long)?;
        self.write("auth-ca.crt", teleport.cert_pem())?;
        self.write("auth.crt", &auth.cert_pem)?;
        self.write("auth.key", &auth.key_pem)?;
        let identity = Identity::new(&client, USER, CLUSTER, teleport.cert_pem());
        self.write("identity", identity.to_text())?;

        let fluentd = Authority::new("CA")?;
        let server = fluentd.issue_fluentd_server(Validity::Long)?;
        let client = fluentd.issue_fluentd_client(Validity::Long)?;
        self.write("ca.crt", fluentd.cert_pem())?;
        self.write("server.crt", &server.cert_pem)?;
        self.write("server.key", &server.key_pem)?;
        self.write("client.crt", &client.cert_pem)?;
        self.write("client.key", &client.key_pem)
    }

    /// Builds and signs a decoder module for each of the newer versions, with the program's own
    /// command.
    pub(super) fn artifacts(&self) -> Result<()> {
        self.decoder(&["keygen", "--out", "."])?;
        for (label, version, keys) in
            [("v15dev", "15.0.0-dev", "cut"), ("v18dev", "18.0.0-dev", "refuse")]
        {
            let dir = self.dir.join("artifacts").join(version);
            fs::create_dir_all(&dir)
                .with_context(|| format!("failed to make `{}`", dir.display()))?;
            let schema = crate::root().join("proto/teleport").join(label);
            let schema = schema.to_str().context("the path of the workspace is no text")?;
            let module = format!("artifacts/{version}/module-abi1.wasm");
            self.decoder(&[
                "build",
                "--kind",
                "module",
                "--proto",
                schema,
                "--version",
                version,
                "--duplicate-keys",
                keys,
                "--out",
                &module,
            ])?;
            self.decoder(&["sign", "--key", "decoder-key.pem", "--artifact", &module])?;
        }
        Ok(())
    }

    fn decoder(&self, args: &[&str]) -> Result<()> {
        let output = Command::new(&self.programs.handler)
            .arg("decoder")
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .output()
            .context("failed to start the handler")?;
        ensure!(
            output.status.success(),
            "`ev-handler decoder {}` failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(())
    }

    /// Starts both servers.
    pub(super) async fn servers(&mut self, version: &str) -> Result<()> {
        let tls = |cert: &str, ca: &str| {
            ["--cert", &format!("{cert}.crt"), "--key", &format!("{cert}.key"), "--client-ca", ca]
                .map(str::to_owned)
                .to_vec()
        };
        let mut args = tls("auth", "auth-ca.crt");
        args.extend(["--cluster", CLUSTER, "--server-version", version].map(str::to_owned));
        args.extend(["--data", "first.jsonl", "--artifacts", "artifacts"].map(str::to_owned));
        let auth = Fake::start(&self.programs.auth, &args, &self.dir, "auth", self.keep);
        let args = tls("server", "ca.crt");
        let fluentd = Fake::start(&self.programs.fluentd, &args, &self.dir, "fluentd", self.keep);
        let (auth, fluentd) = tokio::join!(auth, fluentd);
        // Both are kept, so that one is cleaned up if the other has failed.
        let (auth, fluentd) =
            (auth.map(|one| self.auth = Some(one)), fluentd.map(|one| self.fluentd = Some(one)));
        auth.and(fluentd)
    }

    /// The handler's settings, as a user would write them.
    pub(super) fn settings(&self, start: UtcTime) -> Result<()> {
        let auth = self.auth.as_ref().context("the Auth server runs")?.ready.addr;
        let port = self.fluentd.as_ref().context("the receiver runs")?.ready.addr.port();
        let dir = self.dir.to_str().context("the path of the temporary folder is no text")?;
        let text = format!(
            r#"storage = "{dir}/storage"
start-time = "{start}"
batch = 500
window-size = "24h"
timeout = "100ms"
concurrency = 5
json-flavour = "go"

[log]
format = "json"

[teleport]
addr = "{auth}"
identity = "{dir}/identity"

[forward.fluentd]
url = "https://localhost:{port}/{TAG}"
session-url = "https://localhost:{port}/{SESSION_TAG}"
ca = "{dir}/ca.crt"
cert = "{dir}/client.crt"
key = "{dir}/client.key"
max-connections = {CONNECTIONS}
batch-mode = "array"
batch-events = {BATCH}

[decoder]
trust = "{dir}/decoder-trust.json"
# Only the oldest schema that is built in, so that events of newer versions are really unknown.
embedded = "oldest"
"#
        );
        self.write("handler.toml", &text)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("handler.toml")
    }

    /// Writes a file that only its owner may read.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.dir.join(name);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_ref()))
            .with_context(|| format!("failed to write `{}`", path.display()))
    }

    /// After a failure: the last lines of the logs.
    pub(super) fn explain(&self) {
        let logs = self.handler.as_ref().map(|handler| handler.log.clone()).into_iter();
        for log in logs.chain(["auth.log", "fluentd.log"].map(|name| self.dir.join(name))) {
            tail(&log);
        }
    }

    /// Leaves servers and files, and says how to use them.
    pub(super) fn leave(&mut self, json: bool) {
        let (Some(auth), Some(fluentd)) = (&self.auth, &self.fluentd) else { return };
        let (dir, config) = (self.dir.display(), self.config());
        let (config, handler) = (config.display(), self.programs.handler.display());
        let text = format!(
            "\nThe servers are running, and {dir} holds everything.\n\
             \n  run the handler again     {handler} start --config {config}\
             \n  what Auth has been asked  curl http://{}/tally ; curl http://{}/calls\
             \n  what has arrived          curl http://{}/tally ; curl http://{}/bodies\
             \n  upgrade Auth              curl -d '{{\"version\":\"18.0.0-dev\"}}' http://{}/upgrade\
             \n  let the receiver fail     curl -d '{{\"fail\":[{{\"status\":503,\"count\":9}}]}}' http://{}/switches\
             \n  end and clean up          kill {} {} ; rm -r {dir}\n",
            auth.ready.admin,
            auth.ready.admin,
            fluentd.ready.admin,
            fluentd.ready.admin,
            auth.ready.admin,
            fluentd.ready.admin,
            auth.ready.pid,
            fluentd.ready.pid,
        );
        if json {
            eprintln!("{text}")
        } else {
            println!("{text}")
        }
        for fake in [self.auth.take(), self.fluentd.take()].into_iter().flatten() {
            fake.leave();
        }
        self.left = true;
    }

    /// Ends all processes and removes all files, unless they were left. What is gone already is
    /// no matter.
    pub(super) async fn clean_up(mut self) {
        if let Some(mut handler) = self.handler.take() {
            drop(handler.kill().await);
        }
        for fake in [self.auth.take(), self.fluentd.take()].into_iter().flatten() {
            fake.kill().await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.left {
            drop(fs::remove_dir_all(&self.dir));
        }
    }
}

fn tail(log: &Path) {
    let Ok(text) = fs::read_to_string(log) else { return };
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return;
    }
    eprintln!("\nlast lines of {}:", log.display());
    for line in &lines[lines.len().saturating_sub(15)..] {
        eprintln!("  {line}");
    }
}
