//! The whole program against fakes in the same process: from Auth's log to Fluentd's answer.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ev_test_support::certs::{Authority, Identity, Validity};
use ev_test_support::data::{Maker, Vector, read_vectors};
use ev_test_support::{
    AuthConfig, AuthSwitches, FakeAuth, FakeFluentd, FluentdConfig, TlsVersions, UtcTime, loopback,
    server_config,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::newest;
use crate::events::{EventSet, recorded_path};
use crate::report::Report;
use crate::rounds::{self, Case, Effort};

const CLUSTER: &str = "rig.example.com";
/// Events of one run. Enough that connecting and opening the state are a small part of it.
const EVENTS: usize = 20_000;
/// Hours over which the events lie.
const HOURS: i64 = 72;
/// When the last of them happened: 2026-10-04, 00:00 UTC, before anything that runs now would begin.
const END: i64 = 1_791_072_000;

/// One run after the other, each with a new state.
pub(super) fn run(_: &[EventSet], effort: Effort, report: &mut Report) -> Result<()> {
    let stage = Stage::new(EVENTS, 0..usize::MAX, HOURS)?;
    let mut cases = Vec::new();
    for (name, mode) in [("pipeline-array", "array"), ("pipeline-single", "single")] {
        stage.forward(mode)?;
        let stage = &stage;
        cases.push(Case::new(name, move || {
            assert!(stage.forward(mode).is_ok(), "it ran before");
        }));
    }
    let times = rounds::run(cases, effort.turns(1).wall());
    for (case, rounds) in times.cases() {
        report.time(case, "mixed", rounds, stage.events, stage.bytes);
    }
    Ok(())
}

/// An Auth server with events, a Fluentd receiver, and files for a program that uses both.
pub struct Stage {
    dir: TempDir,
    runtime: Runtime,
    auth: FakeAuth,
    fluentd: FakeFluentd,
    /// Number of events in Auth's log.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
    hours: i64,
}

impl Stage {
    /// Servers that run, with `events` events, made from recorded ones that have a length in
    /// `lengths`, that lie evenly over so many `hours`.
    ///
    /// # Errors
    ///
    /// When the machine gives no socket, or the recorded data are not there.
    pub fn new(events: usize, lengths: std::ops::Range<usize>, hours: i64) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let runtime = Runtime::new()?;
        let _inside = runtime.enter();
        let teleport = Authority::new("Teleport CA")?;
        let receiver = Authority::new("Fluentd CA")?;

        let server = teleport.issue_auth_server(CLUSTER, Validity::Long)?;
        let tls = server_config(&server, &[teleport.cert_der()], TlsVersions::Both, &["h2"])?;
        let version = newest().auth_version().as_str().to_owned();
        let switches = AuthSwitches { version, ..AuthSwitches::default() };
        let config = AuthConfig { tls, cluster: CLUSTER.into(), switches };
        let auth = FakeAuth::start(loopback()?, config)?;

        let server = receiver.issue_fluentd_server(Validity::Long)?;
        let tls = server_config(&server, &[receiver.cert_der()], TlsVersions::Only12, &[])?;
        let config = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
        let fluentd = FakeFluentd::start(loopback()?, config)?;

        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text);
        let client = teleport.issue_teleport_client("handler", Validity::Long)?;
        let identity = Identity::new(&client, "handler", CLUSTER, teleport.cert_pem());
        write("identity", &identity.to_text())?;
        let client = receiver.issue_fluentd_client(Validity::Long)?;
        write("fluentd-ca.crt", receiver.cert_pem())?;
        write("client.crt", &client.cert_pem)?;
        write("client.key", &client.key_pem)?;

        let made = Maker::new(1).events(
            &templates(lengths)?.iter().collect::<Vec<_>>(),
            events,
            UtcTime::from_seconds(END - hours * 3600),
            UtcTime::from_seconds(END),
        )?;
        let bytes = made.iter().map(|made| made.oneof.len()).sum();
        auth.append(made.iter().map(|made| made.event()));
        Ok(Self { dir, runtime, auth, fluentd, events, bytes, hours })
    }

    /// Runs the program with a new state until the last event was acknowledged; `batch_mode` is
    /// the setting, `single` (a request an event) or `array`.
    ///
    /// # Errors
    ///
    /// When it fails, or not all events were sent.
    pub fn forward(&self, batch_mode: &str) -> Result<()> {
        let storage = tempfile::tempdir_in(self.dir.path())?;
        let settings = self.settings(storage.path(), batch_mode)?;
        let run = ev_handler::start::start(settings, CancellationToken::new());
        let summary = self.runtime.block_on(run)?;
        self.fluentd.clear();
        let sent = usize::try_from(summary.sent)?;
        ensure!(sent == self.events, "{sent} of {} events were sent", self.events);
        Ok(())
    }

    /// About when the last `events` events of the log begin.
    pub(super) fn start_of(&self, events: usize) -> UtcTime {
        let span = i64::try_from(events).unwrap_or(i64::MAX).saturating_mul(self.hours * 3600);
        UtcTime::from_seconds(END - span / i64::try_from(self.events.max(1)).unwrap_or(i64::MAX))
    }

    fn settings(&self, storage: &Path, batch_mode: &str) -> Result<ev_config::Settings> {
        let from = self.start_of(self.events);
        let window = "window-size = \"1000h\"";
        let config = self.write_config(storage, batch_mode, from, window, "")?;
        let arguments = ["start", "--config", &config];
        let matches = ev_config::start_command().try_get_matches_from(arguments)?;
        Ok(ev_config::load(&matches, &|_| None, self.dir.path())?.settings)
    }

    /// Writes a configuration file that reads from `from` on, and returns its path; `root` and
    /// `fluentd` are further lines at the top of the file and in the receiver's table.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn write_config(
        &self,
        storage: &Path,
        batch_mode: &str,
        from: UtcTime,
        root: &str,
        fluentd: &str,
    ) -> Result<String> {
        let text = format!(
            r#"
storage = "{}"
start-time = "{}"
exit-on-last-event = true
# The tip is looked at again after so long before the run ends.
timeout = "20ms"
{root}

[teleport]
addr = "{}"
identity = "identity"

[forward.fluentd]
url = "{}"
session-url = "{}"
ca = "fluentd-ca.crt"
cert = "client.crt"
key = "client.key"
batch-mode = "{batch_mode}"
{fluentd}
"#,
            storage.display(),
            from,
            self.auth.addr(),
            self.fluentd.url("events.log"),
            self.fluentd.url("session"),
        );
        let config = self.dir.path().join("handler.toml");
        std::fs::write(&config, text)?;
        Ok(config.to_str().context("the path is not UTF-8")?.to_owned())
    }

    /// The directory of its files.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The servers.
    pub(super) fn servers(&self) -> (&FakeAuth, &FakeFluentd) {
        (&self.auth, &self.fluentd)
    }
}

/// The realistic events that stand in the audit log, without those that announce a recording.
fn templates(lengths: std::ops::Range<usize>) -> Result<Vec<Vector>> {
    let mut vectors = read_vectors(&recorded_path("golden/realistic-v18dev.jsonl.gz"))?;
    vectors.retain(|vector| {
        vector.is_template()
            && vector.recording.is_empty()
            && vector.kind != "session.upload"
            && lengths.contains(&vector.oneof.len())
    });
    ensure!(vectors.len() > 10, "there are {} templates", vectors.len());
    Ok(vectors)
}
