use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tonic::service::Routes;
use tonic::{Code, Status};

use super::artifacts::Artifact;
use super::audit_log::AuditLogApi;
use super::locks::Lock;
use super::service::{ArtifactApi, AuthApi};
use super::store::{Event, Page, Store};
use super::switches::{AuthSwitches, AuthTally, SeenCall};
use crate::Error;
use crate::door::{Door, Serve, Transport, until};
use crate::generated::ev::decoder::v1::decoder_module_service_server::DecoderModuleServiceServer;
use crate::generated::proto::auth_service_server::AuthServiceServer;
use crate::generated::teleport::auditlog::v1::audit_log_service_server::AuditLogServiceServer;

/// How many calls are remembered as they came; older ones are forgotten.
const SEEN_CALLS: usize = 10_000;

/// How an Auth server is set up.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// TLS with required client certificates and ALPN `h2`; see
    /// [`server_config`](crate::server_config).
    pub tls: Arc<ServerConfig>,
    /// Name of the cluster.
    pub cluster: String,
    /// How it behaves, its version included.
    pub switches: AuthSwitches,
}

/// What a call began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenHead {
    /// Service and method, `/proto.AuthService/Ping`.
    pub path: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// A running Auth server. Dropping it closes everything.
pub struct FakeAuth {
    pub(super) shared: Arc<Shared>,
    pub(super) door: Door,
}

impl FakeAuth {
    /// Starts a server on `listener`. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn start(listener: std::net::TcpListener, config: AuthConfig) -> Result<Self, Error> {
        let tls = config.tls.clone();
        let shared = Arc::new(Shared {
            cluster: config.cluster,
            inner: Mutex::new(Inner { switches: config.switches, ..Inner::default() }),
            changed: watch::Sender::new(0),
        });
        let gates = Arc::new(Gate {
            shared: shared.clone(),
            routes: Routes::new(AuthServiceServer::new(AuthApi(shared.clone())))
                .add_service(AuditLogServiceServer::new(AuditLogApi(shared.clone())))
                .add_service(DecoderModuleServiceServer::new(ArtifactApi(shared.clone())))
                .prepare(),
        });
        Ok(Self { door: Door::open(listener, Some(tls), gates)?, shared })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Counts so far.
    pub fn tally(&self) -> AuthTally {
        let inner = self.shared.lock();
        let mut tally = inner.tally.clone();
        tally.log = inner.store.len() as u64;
        tally.log_served = inner.served.len() as u64;
        tally.version.clone_from(&inner.switches.version);
        drop(inner);
        tally.connections = self.door.accepted();
        tally.handshakes_failed = self.door.handshakes_failed();
        tally
    }

    /// The last 10,000 calls, oldest first.
    pub fn calls(&self) -> Vec<SeenCall> {
        self.shared.lock().calls.iter().cloned().collect()
    }

    /// The locks that are in force, by name.
    pub fn locks(&self) -> BTreeMap<String, Lock> {
        self.shared.lock().locks.clone()
    }

    /// What the last 10,000 calls began with, oldest first.
    pub fn heads(&self) -> Vec<SeenHead> {
        self.shared.lock().heads.iter().cloned().collect()
    }

    /// Changes the switches.
    pub fn set(&self, change: impl FnOnce(&mut AuthSwitches)) {
        self.shared.change(|inner| change(&mut inner.switches));
    }

    /// The switches as they are; counters among them have counted down.
    pub fn switches(&self) -> AuthSwitches {
        self.shared.lock().switches.clone()
    }

    /// Changes what is stored.
    pub fn store<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        self.shared.change(|inner| change(&mut inner.store))
    }

    /// Adds events behind what is there.
    pub fn append(&self, events: impl IntoIterator<Item = Event>) {
        self.store(|store| store.append(events));
    }

    /// Offers an artifact, instead of any other one of its version, kind and ABI.
    pub fn offer(&self, artifact: Artifact) {
        self.shared.change(|inner| {
            inner.artifacts.retain(|other| {
                (&other.auth_version, other.kind, other.abi)
                    != (&artifact.auth_version, artifact.kind, artifact.abi)
            });
            inner.artifacts.push(artifact);
        });
    }

    /// Offers nothing any more.
    pub fn withdraw_artifacts(&self) {
        self.shared.change(|inner| inner.artifacts.clear());
    }

    /// Another version from now on, as after an upgrade: no call that begins later is answered by
    /// the old one, and every connection is cut, so that clients notice.
    pub async fn upgrade(&self, version: &str) {
        self.set(|switches| version.clone_into(&mut switches.version));
        self.door.drop_connections().await;
    }

    /// Cuts every connection and says how many there were.
    pub async fn drop_connections(&self) -> usize {
        self.door.drop_connections().await
    }

    /// Refuses connections from now on and cuts those there are.
    pub async fn stop(&self) {
        self.door.close().await;
    }

    /// Accepts connections again, on the same address.
    ///
    /// # Errors
    ///
    /// When somebody else has taken the port meanwhile.
    pub async fn start_again(&self) -> Result<(), Error> {
        self.door.reopen().await
    }

    /// Other certificates for the connections behind the next [`FakeAuth::start_again`].
    pub fn set_tls(&self, tls: Arc<ServerConfig>) {
        self.door.set_tls(tls);
    }

    /// Waits until the counts fulfil `condition`. The counts of connections are not watched.
    pub async fn wait(&self, condition: impl FnMut(&AuthTally) -> bool) -> AuthTally {
        until(&self.shared.changed, || self.tally(), condition).await
    }
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) switches: AuthSwitches,
    pub(super) tally: AuthTally,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) locks: BTreeMap<String, Lock>,
    /// Numbers of the events that were sent at least once.
    pub(super) served: HashSet<u64>,
    /// The last answer to a search, by its kind and the second in which it begins.
    pub(super) last_pages: BTreeMap<(bool, i64), Page>,
    calls: VecDeque<SeenCall>,
    heads: VecDeque<SeenHead>,
}

pub(super) struct Shared {
    pub(super) cluster: String,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_modify(|version| *version += 1);
        result
    }

    /// Waits until the state fulfils `condition`.
    pub(super) async fn until(&self, condition: impl Fn(&Inner) -> bool) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if condition(&self.lock()) {
                return;
            }
            // The sender lives in `self`, so this cannot fail.
            let _alive = changed.changed().await;
        }
    }

    fn see(&self, request: &Request<Incoming>) {
        let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let metadata = request.headers().iter().map(text).collect();
        let head = SeenHead { path: request.uri().path().to_owned(), metadata };
        let heads = &mut self.lock().heads;
        if heads.len() == SEEN_CALLS {
            heads.pop_front();
        }
        heads.push_back(head);
    }

    /// What happens to every call before it is looked at.
    pub(super) async fn enter(
        &self,
        method: &str,
        request: serde_json::Value,
    ) -> Result<(), Status> {
        let (latency, refusal) = self.change(|inner| {
            if inner.calls.len() == SEEN_CALLS {
                inner.calls.pop_front();
            }
            inner.calls.push_back(SeenCall { method: method.to_owned(), request });
            inner.tally.methods.entry(method.to_owned()).or_default().calls += 1;
            let switches = &mut inner.switches;
            let refusal = if switches.unimplemented.iter().any(|name| name == method) {
                Some(Status::unimplemented(format!("method {method} not implemented")))
            } else {
                switches
                    .fault(method)
                    .map(|fault| Status::new(Code::from_i32(fault.code), fault.message))
            };
            (switches.latency_ms, refusal)
        });
        if latency > 0 {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        match refusal {
            Some(status) => Err(self.failed(method, status)),
            None => Ok(()),
        }
    }

    /// Counts an error answer.
    pub(super) fn failed(&self, method: &str, status: Status) -> Status {
        self.change(|inner| {
            inner.tally.methods.entry(method.to_owned()).or_default().errors += 1;
        });
        status
    }

    /// Counts events sent.
    pub(super) fn sent(&self, method: &str, events: usize) {
        self.change(|inner| {
            inner.tally.methods.entry(method.to_owned()).or_default().events += events as u64;
        });
    }
}

/// Serves the gRPC routes on a connection.
struct Gate {
    shared: Arc<Shared>,
    routes: Routes,
}

impl Serve for Gate {
    fn serve(
        self: Arc<Self>,
        stream: Box<dyn Transport>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let calls = TowerToHyperService::new(self.routes.clone());
        let shared = self.shared.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            shared.see(&request);
            calls.call(request)
        });
        Box::pin(async move {
            let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(1_000)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            // A client that went away needs no answer.
            drop(served);
        })
    }
}
