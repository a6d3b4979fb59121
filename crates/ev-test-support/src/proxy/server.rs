use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::hello::{Hello, Rewound};
use super::switches::{AlpnHabit, FindHabit, ProxySwitches, UpgradeHabit};
use super::tunnel;
use crate::Error;
use crate::certs::Leaf;
use crate::door::{Door, Serve, Transport};
use crate::tls::web_server_config;

/// How a Proxy is set up.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Certificate of its web service.
    pub web: Leaf,
    /// Where Auth is.
    pub auth: SocketAddr,
    /// Name of the cluster.
    pub cluster: String,
    /// How it behaves.
    pub switches: ProxySwitches,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// Its path.
    pub path: String,
    /// Its headers; values of one name are joined with a comma.
    pub headers: BTreeMap<String, String>,
}

/// A running Proxy. Dropping it closes everything.
pub struct FakeProxy {
    shared: Arc<Shared>,
    door: Door,
}

impl FakeProxy {
    /// Starts a Proxy on `listener`. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn start(listener: std::net::TcpListener, config: ProxyConfig) -> Result<Self, Error> {
        let addr = listener.local_addr().map_err(Error::io("listen"))?;
        let ProxyConfig { web, auth, cluster, switches } = config;
        let inner = Inner { switches, hellos: Vec::new(), requests: Vec::new() };
        let shared = Arc::new(Shared { web, auth, cluster, addr, inner: Mutex::new(inner) });
        let door = Door::open(listener, None, Arc::clone(&shared) as Arc<dyn Serve>)?;
        Ok(Self { shared, door })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Changes the switches.
    pub fn set(&self, change: impl FnOnce(&mut ProxySwitches)) {
        change(&mut self.shared.lock().switches);
    }

    /// The TLS greetings that came, oldest first.
    pub fn hellos(&self) -> Vec<Hello> {
        self.shared.lock().hellos.clone()
    }

    /// The HTTP requests that came, oldest first.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.lock().requests.clone()
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
}

struct Inner {
    switches: ProxySwitches,
    hellos: Vec<Hello>,
    requests: Vec<SeenRequest>,
}

struct Shared {
    web: Leaf,
    auth: SocketAddr,
    cluster: String,
    addr: SocketAddr,
    inner: Mutex<Inner>,
}

impl Serve for Shared {
    fn serve(
        self: Arc<Self>,
        stream: Box<dyn Transport>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let Ok((hello, stream)) = Hello::read(stream, false).await else { return };
            let switches = self.see(&hello);
            if switches.alpn == AlpnHabit::Routes && self.is_for_auth(&hello) {
                if switches.tls_routing {
                    self.to_auth(stream).await;
                }
                return;
            }
            self.web(stream, switches).await;
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, hello: &Hello) -> ProxySwitches {
        let mut inner = self.lock();
        inner.hellos.push(hello.clone());
        inner.switches.clone()
    }

    fn is_for_auth(&self, hello: &Hello) -> bool {
        let hex: String = self.cluster.bytes().map(|byte| format!("{byte:02x}")).collect();
        let protocol = format!("teleport-auth@{hex}.teleport.cluster.local");
        hello.alpn.first() == Some(&protocol)
    }

    /// Without opening the TLS inside.
    async fn to_auth(&self, mut stream: Rewound) {
        let Ok(mut auth) = TcpStream::connect(self.auth).await else { return };
        // Whoever ends first ends it.
        let _ended = copy_bidirectional(&mut stream, &mut auth).await;
    }

    async fn web(&self, stream: Rewound, switches: ProxySwitches) {
        let alpn: &[&str] = match switches.alpn {
            AlpnHabit::Routes => &["teleport-reversetunnel", "h2", "http/1.1"],
            AlpnHabit::Forgets => &[],
            AlpnHabit::Refuses => &["http/1.1"],
        };
        let Ok(config) = web_server_config(&self.web, alpn) else { return };
        let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
        // Nobody speaks SSH or HTTP/2 here.
        if matches!(stream.get_ref().1.alpn_protocol(), Some(other) if other != b"http/1.1") {
            return;
        }
        let upgraded: Mutex<Option<OnUpgrade>> = Mutex::new(None);
        let service = service_fn(async |request| {
            Ok::<_, Infallible>(self.answer(request, &switches, &upgraded))
        });
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        let upgraded = upgraded.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Ok(()), Some(upgraded)) = (served, upgraded)
            && let Ok(stream) = upgraded.await
        {
            let inside = async |stream| self.inside(stream).await;
            tunnel::unwrap(Box::new(TokioIo::new(stream)), switches.upgrade, inside).await;
        }
    }

    /// What stands in an upgraded connection is what would stand on the wire.
    async fn inside(&self, stream: tokio::io::DuplexStream) {
        let Ok((hello, stream)) = Hello::read(Box::new(stream), true).await else { return };
        let switches = self.see(&hello);
        if switches.tls_routing && self.is_for_auth(&hello) {
            self.to_auth(stream).await;
        }
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
        switches: &ProxySwitches,
        upgraded: &Mutex<Option<OnUpgrade>>,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            let all = headers.entry(name.to_string()).or_default();
            if !all.is_empty() {
                all.push(',');
            }
            all.push_str(&value);
        }
        self.lock().requests.push(SeenRequest { path: path.clone(), headers: headers.clone() });
        match path.as_str() {
            "/webapi/find" => self.find(switches),
            "/webapi/connectionupgrade" => {
                let response = upgrade(&headers, switches.upgrade);
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    let on = hyper::upgrade::on(&mut request);
                    *upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(on);
                }
                response
            }
            _ => plain(404, "nothing here"),
        }
    }

    fn find(&self, switches: &ProxySwitches) -> Response<Full<Bytes>> {
        if let FindHabit::Foreign(status) = switches.find {
            return plain(status, "<html>It works!</html>");
        }
        let addr = self.addr.to_string();
        let mut answer = serde_json::json!({
            "auth": {"type": "local"},
            "proxy": {
                "kube": {"enabled": false},
                "ssh": {
                    "listen_addr": "0.0.0.0:3023",
                    "tunnel_listen_addr": "0.0.0.0:3024",
                    "web_listen_addr": addr,
                    "public_addr": switches.public_addr.as_ref().unwrap_or(&addr),
                },
                "tls_routing_enabled": switches.tls_routing,
            },
            "server_version": "15.3.1",
        });
        if switches.tells_cluster {
            answer["cluster_name"] = self.cluster.clone().into();
        }
        plain(200, &answer.to_string())
    }
}

fn plain(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

fn upgrade(headers: &BTreeMap<String, String>, habit: UpgradeHabit) -> Response<Full<Bytes>> {
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    let wanted = header("x-teleport-upgrade");
    let offered: Vec<&str> = header("upgrade").split(',').map(str::trim).collect();
    if header("connection") != "Upgrade" || !["alpn", "alpn-ping"].contains(&wanted) {
        return plain(400, "no upgrade");
    }
    let key = match habit {
        UpgradeHabit::Refused(status) => return plain(status, "no"),
        UpgradeHabit::Pings => {
            return switching(&[("upgrade", if offered.contains(&wanted) { wanted } else { "" })]);
        }
        UpgradeHabit::Plain => return switching(&[("upgrade", "alpn")]),
        UpgradeHabit::WrongAccept => "another key",
        UpgradeHabit::WebSocket | UpgradeHabit::WrongProtocol => header("sec-websocket-key"),
    };
    let is_websocket = offered.contains(&"websocket") && header("sec-websocket-version") == "13";
    if !is_websocket || STANDARD.decode(header("sec-websocket-key")).map(|k| k.len()) != Ok(16) {
        return plain(400, "no WebSocket");
    }
    let accept = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, accept.as_bytes()));
    let protocol = match habit {
        UpgradeHabit::WrongProtocol => "chat",
        _ => header("sec-websocket-protocol"),
    };
    switching(&[
        ("upgrade", "websocket"),
        ("sec-websocket-accept", &accept),
        ("sec-websocket-protocol", protocol),
    ])
}

fn switching(headers: &[(&str, &str)]) -> Response<Full<Bytes>> {
    let mut builder =
        Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header("connection", "Upgrade");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::default()).unwrap_or_else(|_| plain(400, "an odd header"))
}
