//! Modules that are replaced while events flow: the registry, the engine and the host together.
//!
//! Nothing here is timed: what must not be held up is counted while what could hold it up stands
//! still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::ThreadId;
use std::time::Duration;

use bytes::Bytes;
use ev_core::{
    ArtifactError, ArtifactKind, ArtifactRequest, ArtifactSource, AuthVersion, BoxFuture, Choice,
    Decoder, DecoderIdentity, DecoderKind, DecoderSet, FetchedArtifact, Flavour, RawEvent,
    SignedArtifact, Timestamp,
};
use ev_modules::{
    Embedded, Load, LoadError, Manifest, Parts, Registry, Settings, SigningKey, Trust, Verified,
    sha256,
};
use ev_pipeline::TokioEnv;
use ev_wasm_host::{ModuleHost, Options, Usage};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::engine::Rig;
use crate::guest::{identity, patient};
use crate::hostile::{good, saying};

/// Stands for a table compiled into the program: knows the tests' events, and says so.
fn nearest() -> Embedded {
    let host = ModuleHost::new(patient()).expect("an engine");
    let identity = DecoderIdentity { kind: DecoderKind::Native, ..identity(Flavour::Go) };
    let decoder =
        host.compile(&saying("near")).and_then(|m| m.decoder(identity, Options::default()));
    Embedded {
        auth_version: AuthVersion::new("98.0.0"),
        schema_sha256: [98; 32],
        decoder: Arc::new(decoder.expect("an instance")),
    }
}

fn version() -> AuthVersion {
    AuthVersion::new("99.0.0")
}

/// A place that offers one artifact at a time.
struct Offer(Mutex<SignedArtifact>);

impl Offer {
    /// Sends other bytes under the same envelope; returns those before.
    fn sends(&self, payload: Bytes) -> Bytes {
        let mut offered = self.0.lock().expect("nobody panics with it");
        std::mem::replace(&mut offered.payload, payload)
    }
}

impl ArtifactSource for Offer {
    fn name(&self) -> &'static str {
        "test"
    }

    fn fetch(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<FetchedArtifact, ArtifactError>> {
        let offered = self.0.lock().expect("nobody panics with it").clone();
        let answer = if request.held_sha256 == Some(sha256(&offered.payload)) {
            FetchedArtifact::NotModified
        } else {
            FetchedArtifact::Artifact(offered)
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// Compiles modules, and on the way stands still before a gate if there is one.
struct Loader {
    host: ModuleHost,
    gate: Mutex<Option<Receiver<()>>>,
    at_gate: watch::Sender<bool>,
    threads: Mutex<Vec<ThreadId>>,
    loaded: Mutex<Vec<Weak<dyn Decoder>>>,
}

impl Load for Loader {
    fn load(&self, verified: Verified) -> Result<Arc<dyn Decoder>, LoadError> {
        self.threads.lock().expect("nobody panics with it").push(std::thread::current().id());
        if let Some(gate) = self.gate.lock().expect("nobody panics with it").take() {
            self.at_gate.send_replace(true);
            gate.recv().expect("the test opens the gate");
        }
        let identity = DecoderIdentity {
            kind: DecoderKind::Module,
            auth_version: verified.manifest().auth_version.clone(),
            schema_sha256: verified.manifest().schema_sha256,
            artifact_sha256: Some(verified.manifest().sha256),
            flavour: Flavour::Go,
        };
        let failed = |error: ev_wasm_host::HostError| LoadError::new(error.to_string());
        let module = self.host.compile(verified.payload()).map_err(failed)?;
        let decoder = module.decoder(identity, Options::default()).map_err(failed)?;
        let decoder: Arc<dyn Decoder> = Arc::new(decoder);
        self.loaded.lock().expect("nobody panics with it").push(Arc::downgrade(&decoder));
        Ok(decoder)
    }
}

struct Stage {
    key: SigningKey,
    offer: Arc<Offer>,
    loader: Arc<Loader>,
    registry: Registry,
    rig: Rig,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    uids: AtomicU64,
}

impl Stage {
    /// A registry that looks for another module all the time, and an engine that uses it.
    fn start() -> Self {
        let key = SigningKey::generate().expect("a key");
        let offer = Arc::new(Offer(Mutex::new(artifact(&key, &saying("0000")))));
        let loader = Arc::new(Loader {
            host: ModuleHost::new(patient()).expect("an engine"),
            gate: Mutex::default(),
            at_gate: watch::Sender::new(false),
            threads: Mutex::default(),
            loaded: Mutex::default(),
        });
        let parts = Parts {
            embedded: vec![nearest()],
            sources: vec![Arc::clone(&offer) as Arc<dyn ArtifactSource>],
            trust: Trust::key(key.public_key()),
            loader: Arc::clone(&loader) as Arc<dyn Load>,
            store: None,
            env: Arc::new(TokioEnv::new()),
        };
        let refresh = Duration::from_millis(1);
        let registry = Registry::try_new(parts, Settings { refresh, ..Settings::default() })
            .expect("an embedded table");
        let stop = CancellationToken::new();
        let task = tokio::spawn(registry.clone().run(stop.clone()));
        let rig = Rig::start(Arc::new(registry.clone()), &version());
        Self { key, offer, loader, registry, rig, stop, task, uids: AtomicU64::new(0) }
    }

    /// From now on this is offered; returns its digest.
    fn offer(&self, module: &[u8]) -> [u8; 32] {
        let artifact = artifact(&self.key, module);
        let digest = sha256(&artifact.payload);
        *self.offer.0.lock().expect("nobody panics with it") = artifact;
        digest
    }

    /// Waits, by the registry's own word, until that module is in use.
    async fn in_use(&self, digest: [u8; 32]) {
        loop {
            let seen = self.registry.generation();
            if self.used() == Some(digest) {
                return;
            }
            self.registry.changed(seen).await;
        }
    }

    fn used(&self) -> Option<[u8; 32]> {
        match self.registry.choose(&version()) {
            Choice::Exact(decoder) => decoder.identity().artifact_sha256,
            _ => None,
        }
    }

    /// A page of this many new events.
    fn page(&mut self, count: u64) {
        let events = (0..count).map(|_| self.event()).collect();
        self.rig.page(events);
    }

    fn event(&self) -> RawEvent {
        const LETTERS: &[u8; 60] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX";
        let number = usize::try_from(self.uids.fetch_add(1, Ordering::Relaxed)).expect("small");
        let uid = [LETTERS[number / 60], LETTERS[number % 60]];
        good(std::str::from_utf8(&uid).expect("letters"))
    }

    /// Ends all; returns what was delivered.
    async fn end(self) -> (Vec<String>, ModuleHost) {
        let bodies = self.rig.bodies();
        let (summary, parked) = self.rig.end().await;
        let totals = summary.totals;
        assert_eq!(totals.delivered + totals.resolved, self.uids.into_inner());
        assert!(totals.balances());
        assert_eq!(parked, []);
        self.stop.cancel();
        self.task.await.expect("the registry ends in order");
        drop(self.registry);
        (bodies, self.loader.host.clone())
    }
}

fn artifact(key: &SigningKey, module: &[u8]) -> SignedArtifact {
    let envelope = key.sign(&Manifest {
        kind: ArtifactKind::Module,
        abi: 1,
        auth_version: version(),
        schema_sha256: [7; 32],
        sha256: sha256(module),
        size: module.len() as u64,
        created: Timestamp::new(1_763_380_929, 0),
        key_id: key.key_id(),
    });
    SignedArtifact { envelope: envelope.into(), payload: module.to_vec().into() }
}

fn said(bodies: &[String], user: &str) -> usize {
    let end = format!(r#""user":"{user}"}}"#);
    bodies.iter().filter(|body| body.ends_with(&end)).count()
}

#[tokio::test]
async fn events_flow_while_the_next_module_is_compiled() {
    LocalSet::new().run_until(while_the_next_module_is_compiled()).await;
}

async fn while_the_next_module_is_compiled() {
    let mut stage = Stage::start();
    let first = stage.offer(&saying("0000"));
    stage.in_use(first).await;

    let (open, gate): (SyncSender<()>, _) = sync_channel(1);
    *stage.loader.gate.lock().expect("nobody panics with it") = Some(gate);
    let second = stage.offer(&saying("1111"));
    stage.loader.at_gate.subscribe().wait_for(|at| *at).await.expect("the stage holds it");
    // The next one is being loaded, and will be until the gate opens. A thousand pages meanwhile.
    for _ in 0..100 {
        for _ in 0..10 {
            stage.page(2);
        }
    }
    stage.rig.delivered(2000).await;
    assert_eq!(said(&stage.rig.bodies(), "0000"), 2000, "by the one in use");
    assert_eq!(stage.used(), Some(first));

    open.send(()).expect("the loader waits");
    stage.in_use(second).await;
    stage.page(5);
    stage.rig.delivered(2005).await;
    let bodies = stage.rig.bodies();
    assert_eq!((said(&bodies, "0000"), said(&bodies, "1111")), (2000, 5));
    // Neither the thread of the engine nor one that decodes: it was at the gate meanwhile.
    let here = std::thread::current().id();
    let threads = stage.loader.threads.lock().expect("nobody panics with it").clone();
    assert_eq!(threads.len(), 2);
    assert!(!threads.contains(&here));
    let (bodies, _) = stage.end().await;
    assert_eq!(bodies.len(), 2005);
}

#[tokio::test]
async fn a_hundred_swaps_leave_nothing_behind_and_lose_nothing() {
    LocalSet::new().run_until(a_hundred_swaps()).await;
}

async fn a_hundred_swaps() {
    let mut stage = Stage::start();
    let first = stage.offer(&saying("0000"));
    stage.in_use(first).await;
    stage.page(10);
    stage.rig.delivered(10).await;
    let one = stage.loader.host.usage();
    assert_eq!((one.modules, one.instances), (1, 1));
    for swap in 1..=100 {
        let digest = stage.offer(&saying(&format!("{swap:04}")));
        // Events are under way while the module changes.
        stage.page(10);
        stage.in_use(digest).await;
        stage.page(10);
        stage.rig.delivered(10 + swap * 20).await;
        let now = stage.loader.host.usage();
        assert_eq!(now, Usage { created: now.created, ..one }, "after swap {swap}");
    }
    let loaded = stage.loader.loaded.lock().expect("nobody panics with it").clone();
    assert_eq!(loaded.len(), 101);
    let alive = loaded.iter().filter(|decoder| decoder.strong_count() > 0).count();
    assert_eq!(alive, 1, "only the last one is still there");
    let bodies = stage.rig.bodies();
    assert!((1..=100).all(|swap| said(&bodies, &format!("{swap:04}")) >= 10));
    let mut once = bodies.clone();
    once.sort();
    once.dedup();
    assert_eq!((once.len(), bodies.len()), (2010, 2010), "each event once");
    let (_, host) = stage.end().await;
    let gone = host.usage();
    assert_eq!(gone, Usage { created: gone.created, ..Usage::default() });
}

/// A module that is offered and refused, for an hour: known events wait for it no longer than they
/// may, and then flow; it is tried all the time, and used as soon as it is good.
#[tokio::test(start_paused = true)]
async fn a_broken_module_holds_up_known_events_for_a_minute_only() {
    LocalSet::new().run_until(a_broken_module_for_an_hour()).await;
}

async fn a_broken_module_for_an_hour() {
    let mut stage = Stage::start();
    let good = stage.offer(&saying("good"));
    let whole = stage.offer.sends(Bytes::from_static(b"broken on the way"));

    stage.page(10);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(stage.rig.bodies().len(), 0, "they wait, parked");
    stage.rig.delivered(10).await;
    for page in 2..=60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        stage.page(10);
        stage.rig.delivered(page * 10).await;
    }
    assert_eq!(said(&stage.rig.bodies(), "near"), 600);
    assert!(stage.registry.counts().refused >= 60, "{:?}", stage.registry.counts());
    assert_eq!(stage.loader.threads.lock().expect("nobody panics with it").len(), 0);

    stage.offer.sends(whole);
    stage.in_use(good).await;
    stage.page(10);
    stage.rig.delivered(610).await;
    assert_eq!(said(&stage.rig.bodies(), "good"), 10);
    let (bodies, _) = stage.end().await;
    assert_eq!(bodies.len(), 610);
}
