//! An Auth server, a Fluentd receiver, credentials and a configuration file in one directory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ev_config::{Loaded, Settings};
use ev_modules::{Manifest, SigningKey, build_module, sha256, template};
use ev_pipeline::Summary;
use ev_test_support::certs::{Authority, Identity, Validity};
use ev_test_support::data::{Maker, Recording, Vector, read_vectors};
use ev_test_support::{
    Artifact, AuthConfig, AuthSwitches, FakeAuth, FakeFluentd, FluentdConfig, TlsVersions, UtcTime,
    loopback, server_config,
};
use tokio_util::sync::CancellationToken;

pub(crate) const CLUSTER: &str = "rig.example.com";

/// What a test waits for at most. Only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) auth: FakeAuth,
    pub(crate) fluentd: FakeFluentd,
    pub(crate) authority: Authority,
    /// Who signed the certificates of Fluentd's side.
    pub(crate) fluentd_ca: Authority,
    pub(crate) key: SigningKey,
    pub(crate) extra: String,
    /// By which calls the log is read.
    pub(crate) source: &'static str,
    /// More lines under `[forward.fluentd]`.
    pub(crate) forward: String,
    /// More lines under `[decoder]`.
    pub(crate) decoder: String,
    start_time: UtcTime,
}

impl Stage {
    /// Servers that run, and files for a handler that trusts them. Auth says `version`.
    pub(crate) fn new(version: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("Teleport CA").unwrap();
        let fluentd_ca = Authority::new("Fluentd CA").unwrap();

        let server = authority.issue_auth_server(CLUSTER, Validity::Long).unwrap();
        let clients = [authority.cert_der()];
        let tls = server_config(&server, &clients, TlsVersions::Both, &["h2"]).unwrap();
        let switches = AuthSwitches { version: version.into(), ..AuthSwitches::default() };
        let config = AuthConfig { tls, cluster: CLUSTER.into(), switches };
        let auth = FakeAuth::start(loopback().unwrap(), config).unwrap();

        let server = fluentd_ca.issue_fluentd_server(Validity::Long).unwrap();
        let clients = [fluentd_ca.cert_der()];
        let tls = server_config(&server, &clients, TlsVersions::Only12, &[]).unwrap();
        let config = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
        let fluentd = FakeFluentd::start(loopback().unwrap(), config).unwrap();

        let client = authority.issue_teleport_client("handler", Validity::Long).unwrap();
        let identity = Identity::new(&client, "handler", CLUSTER, authority.cert_pem()).to_text();
        write(dir.path(), "identity", &identity);
        let client = fluentd_ca.issue_fluentd_client(Validity::Long).unwrap();
        write(dir.path(), "fluentd-ca.crt", fluentd_ca.cert_pem());
        write(dir.path(), "client.crt", &client.cert_pem);
        write(dir.path(), "client.key", &client.key_pem);

        let key = SigningKey::generate().unwrap();
        write(dir.path(), "trust.json", &key.trust_json("tests"));
        let start_time = now().plus_nanos(-3 * 86_400 * 1_000_000_000);
        Self {
            dir,
            auth,
            fluentd,
            authority,
            fluentd_ca,
            key,
            extra: String::new(),
            source: "typed",
            forward: String::new(),
            decoder: String::new(),
            start_time,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The configuration file, with `auth` as Auth's address.
    pub(crate) fn write_config(&self, auth: SocketAddr) -> PathBuf {
        let text = format!(
            r#"
storage = "storage"
timeout = "50ms"
batch = 200
window-size = "24h"
start-time = "{}"
{}
{}
[teleport]
addr = "{auth}"
identity = "identity"

[forward.fluentd]
url = "{}"
session-url = "{}"
ca = "fluentd-ca.crt"
cert = "client.crt"
key = "client.key"
{}
{}

[decoder]
trust = "trust.json"
embedded = "oldest"
{}"#,
            self.start_time,
            if self.extra.contains("source =") {
                String::new()
            } else {
                format!("source = {:?}", self.source)
            },
            self.extra,
            self.fluentd.url("events.log"),
            self.fluentd.url("session"),
            if self.forward.contains("batch-mode") { "" } else { "batch-mode = \"array\"" },
            self.forward,
            self.decoder,
        );
        write(self.dir.path(), "handler.toml", &text)
    }

    pub(crate) fn settings(&self) -> Settings {
        let config = self.write_config(self.auth.addr());
        let config = config.to_str().unwrap();
        let matches =
            ev_config::start_command().try_get_matches_from(["start", "--config", config]).unwrap();
        let Loaded { settings, .. } =
            ev_config::load(&matches, &|_| None, self.dir.path()).unwrap();
        settings
    }

    /// Runs the program in this process until `done` holds, then stops it.
    pub(crate) async fn run_until(&self, done: impl AsyncFnOnce(&Self)) -> Summary {
        self.run_settings_until(self.settings(), done).await
    }

    pub(crate) async fn run_settings_until(
        &self,
        settings: Settings,
        done: impl AsyncFnOnce(&Self),
    ) -> Summary {
        let stop = CancellationToken::new();
        let run = ev_handler::start::start(settings, stop.clone());
        tokio::pin!(run);
        tokio::select! {
            ended = &mut run => panic!("the program ended by itself: {ended:?}"),
            waited = tokio::time::timeout(PATIENCE, done(self)) => {
                waited.expect("what the test waits for came in time");
            }
        }
        stop.cancel();
        tokio::time::timeout(PATIENCE, run).await.expect("an orderly end").unwrap()
    }

    /// Waits until Fluentd has `count` different events.
    pub(crate) async fn received(&self, count: usize) {
        let count = u64::try_from(count).unwrap();
        self.fluentd.wait(|tally| tally.events - tally.repeated >= count).await;
    }

    /// Bodies by tag, in order of arrival.
    pub(crate) fn bodies(&self) -> BTreeMap<String, Vec<String>> {
        let mut bodies = BTreeMap::<String, Vec<String>>::new();
        for event in self.fluentd.received() {
            let body = String::from_utf8(event.body.to_vec()).unwrap();
            bodies.entry(event.tag).or_default().push(body);
        }
        bodies
    }

    /// A signed module of an embedded schema.
    pub(crate) fn module(&self, label: &str) -> Artifact {
        let table = table(label);
        let payload = build_module(template(), &table).unwrap();
        self.sign(ev_core::ArtifactKind::Module, ev_core::abi::ABI_VERSION, label, payload)
    }

    /// A signed module of an embedded schema, for an Auth that says to be of that version.
    pub(crate) fn module_for(&self, label: &str, version: &str) -> Artifact {
        let payload = build_module(template(), &table(label)).unwrap();
        let (kind, abi) = (ev_core::ArtifactKind::Module, ev_core::abi::ABI_VERSION);
        self.sign_for(ev_core::AuthVersion::new(version), kind, abi, label, payload)
    }

    /// A signed table of an embedded schema.
    pub(crate) fn table(&self, label: &str) -> Artifact {
        self.sign(ev_core::ArtifactKind::Table, ev_decode::Table::FORMAT, label, table(label))
    }

    fn sign(
        &self,
        kind: ev_core::ArtifactKind,
        abi: u32,
        label: &str,
        payload: Vec<u8>,
    ) -> Artifact {
        let version = ev_decode::Table::parse(&table(label)).unwrap().auth_version().clone();
        self.sign_for(version, kind, abi, label, payload)
    }

    fn sign_for(
        &self,
        auth_version: ev_core::AuthVersion,
        kind: ev_core::ArtifactKind,
        abi: u32,
        label: &str,
        payload: Vec<u8>,
    ) -> Artifact {
        let parsed = ev_decode::Table::parse(&table(label)).unwrap();
        let envelope = self.key.sign(&Manifest {
            kind,
            abi,
            auth_version,
            schema_sha256: parsed.schema_sha256(),
            sha256: sha256(&payload),
            size: payload.len() as u64,
            created: ev_core::Timestamp::new(1_790_000_000, 0),
            key_id: self.key.key_id(),
        });
        Artifact::new(envelope.into(), payload.into()).unwrap()
    }
}

fn table(label: &str) -> Vec<u8> {
    let embedded = ev_decode::embedded();
    embedded.iter().find(|table| table.label == label).unwrap().bytes.to_vec()
}

pub(crate) fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[expect(clippy::disallowed_methods, reason = "events have to lie where a live window looks")]
pub(crate) fn now() -> UtcTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UtcTime::from_seconds(i64::try_from(since.as_secs()).unwrap())
}

/// Recorded events of a version from which others can be made.
pub(crate) fn templates(label: &str) -> Vec<Vector> {
    let path = golden(label);
    let mut vectors = read_vectors(&path).unwrap();
    vectors.retain(|vector| vector.is_template() && vector.recording.is_empty());
    assert!(vectors.len() > 50, "{label} has {} templates", vectors.len());
    vectors
}

/// Those of which Auth can make JSON itself, and that announce no recording: one that is not there
/// would be waited for.
pub(crate) fn with_json(label: &str) -> Vec<Vector> {
    let mut vectors = templates(label);
    // With keys that become equal: there is no such JSON in the form of Auth's own.
    vectors.retain(|vector| vector.case != "edge-map-badutf8");
    let mut maker = Maker::new(499);
    vectors.retain(|vector| {
        let event = maker.event(vector, now()).unwrap().event();
        vector.kind != "session.upload" && event.unstructured().is_some()
    });
    assert!(vectors.len() > 50, "{label} has {} events", vectors.len());
    vectors
}

/// What recordings are made of: recorded ones, without what terminals showed.
pub(crate) struct Inside(Vec<Vector>);

impl Inside {
    pub(crate) fn new() -> Self {
        Self(read_vectors(&golden("realistic-v18dev")).unwrap())
    }

    /// A recording of so many events, and the event that announces it at `at`.
    pub(crate) fn recording(&self, maker: &mut Maker, count: usize, at: UtcTime) -> Recording {
        let is_upload = |v: &&Vector| v.kind == "session.upload" && v.is_template();
        let upload = self.0.iter().find(is_upload).unwrap();
        let inside = self.0.iter().filter(|v| !v.recording.is_empty() && v.kind != "print");
        maker.recording(upload, &inside.collect::<Vec<_>>(), count, at).unwrap()
    }
}

pub(crate) fn golden(label: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden");
    root.join(format!("{label}.jsonl.gz"))
}

/// Events spread over the last `hours`, up to `ago` seconds ago, with the JSON that is expected.
pub(crate) fn make(
    maker: &mut Maker,
    vectors: &[Vector],
    count: usize,
    hours: i64,
    ago: i64,
) -> Vec<ev_test_support::data::Made> {
    let to = now().plus_nanos(-i128::from(ago) * 1_000_000_000);
    let from = to.plus_nanos(-i128::from(hours) * 3_600_000_000_000);
    maker.events(&vectors.iter().collect::<Vec<_>>(), count, from, to).unwrap()
}

pub(crate) fn texts(made: &[ev_test_support::data::Made]) -> Vec<String> {
    made.iter().map(|event| String::from_utf8(event.json.to_vec()).unwrap()).collect()
}

pub(crate) fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
