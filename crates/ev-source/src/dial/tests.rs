//! Every way to Auth, against servers that speak the real protocols.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ev_core::{BoxFuture, Env, Timestamp};
use ev_test_support::certs::{Authority, Identity, Leaf, Validity};
use ev_test_support::{
    AlpnHabit, AuthConfig, AuthSwitches, ConnectSwitches, FakeAuth, FakeConnectProxy, FakeProxy,
    FindHabit, ProxyConfig, ProxySwitches, TlsVersions, UpgradeHabit, loopback, server_config,
};

use super::{DialError, Dialled, Dialler, Way};
use crate::{Config, Credentials, Surroundings};

const CLUSTER: &str = "example.cluster";
/// That name in hex.
const ROUTED: &str = "teleport-auth@6578616d706c652e636c7573746572.teleport.cluster.local";
const AUTH_NAME: &str = "teleport.cluster.local";

/// Time that stands still: whatever does not come by itself would hang.
struct Standing;

impl Env for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::new(1_800_000_000, 0)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn random(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }
}

struct Certs {
    authority: Authority,
    server: Leaf,
    client: Leaf,
    /// Whom browsers trust.
    web: Authority,
    web_server: Leaf,
}

fn certs() -> &'static Certs {
    static CERTS: OnceLock<Certs> = OnceLock::new();
    CERTS.get_or_init(|| {
        let authority = Authority::new(CLUSTER).expect("an authority");
        let web = Authority::new("Web CA").expect("an authority");
        Certs {
            server: authority.issue_auth_server(CLUSTER, Validity::Long).expect("a certificate"),
            client: authority.issue_teleport_client("ev", Validity::Long).expect("a certificate"),
            authority,
            web_server: web.issue_fluentd_server(Validity::Long).expect("a certificate"),
            web,
        }
    })
}

struct Rig {
    auth: FakeAuth,
    proxy: FakeProxy,
    dir: tempfile::TempDir,
}

impl Rig {
    fn new(switches: ProxySwitches) -> Self {
        let certs = certs();
        let clients = [certs.authority.cert_der()];
        let tls = server_config(&certs.server, &clients, TlsVersions::Both, &["h2"]);
        let auth = AuthConfig {
            tls: tls.expect("usable certificates"),
            cluster: CLUSTER.to_owned(),
            switches: AuthSwitches::default(),
        };
        let auth = FakeAuth::start(loopback().expect("a port"), auth).expect("a server");
        let proxy = ProxyConfig {
            web: certs.web_server.clone(),
            auth: auth.addr(),
            cluster: CLUSTER.to_owned(),
            switches,
        };
        let proxy = FakeProxy::start(loopback().expect("a port"), proxy).expect("a proxy");
        let rig = Self { auth, proxy, dir: tempfile::tempdir().expect("a folder") };
        let identity = Identity::new(&certs.client, "ev", CLUSTER, certs.authority.cert_pem());
        rig.write("identity", &identity.to_text());
        rig.write("web.crt", certs.web.cert_pem());
        rig
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("a writable folder");
        path
    }

    fn config(&self) -> Config {
        let identity = Credentials::Identity(self.dir.path().join("identity"));
        let config = Config::new(self.proxy.addr().to_string(), identity);
        Config { proxy_ca: Some(self.dir.path().join("web.crt")), ..config }
    }

    fn routed(&self) -> Way {
        Way::Routed { address: address(self.proxy.addr()), cluster: CLUSTER.to_owned() }
    }

    fn upgraded(&self) -> Way {
        Way::Upgraded { address: address(self.proxy.addr()), cluster: CLUSTER.to_owned() }
    }

    fn paths(&self) -> Vec<String> {
        self.proxy.requests().into_iter().map(|request| request.path).collect()
    }
}

fn address(socket: std::net::SocketAddr) -> crate::address::Address {
    crate::address::Address::parse(&socket.to_string()).expect("an address")
}

fn dialler(config: Config) -> Dialler {
    Dialler::new(Arc::new(config), Arc::new(Standing)).expect("good settings")
}

fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings::read(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

async fn reached(config: Config) -> Dialled {
    let dialled = dialler(config).dial(1).await;
    let dialled = dialled.unwrap_or_else(|error| panic!("{}", error.describe()));
    assert_eq!(dialled.survey.cluster, CLUSTER);
    dialled
}

async fn refused(config: Config) -> String {
    match dialler(config).dial(1).await {
        Ok(dialled) => panic!("reached {}", dialled.way),
        Err(error) => error.describe(),
    }
}

fn reasons(dialled: &Dialled) -> String {
    super::describe_all(&dialled.failures)
}

#[tokio::test]
async fn auth_itself_is_reached_at_the_first_attempt() {
    let rig = Rig::new(ProxySwitches::default());
    let dialled = reached(Config { address: rig.auth.addr().to_string(), ..rig.config() }).await;
    assert_eq!(dialled.way, Way::Direct);
    assert!(dialled.failures.is_empty());
    assert_eq!(rig.auth.tally().connections, 1);
    assert_eq!(rig.auth.tally().handshakes_failed, 0);
}

#[tokio::test]
async fn a_proxy_routes_by_alpn_and_sees_the_names_it_expects() {
    let rig = Rig::new(ProxySwitches::default());
    let dialler = dialler(rig.config());
    let dialled = dialler.dial(1).await.map_err(|error| error.describe()).expect("reached");
    assert_eq!(dialled.way, rig.routed());
    let hellos = rig.proxy.hellos();
    let seen: Vec<_> =
        hellos.iter().map(|h| (h.sni.as_deref(), h.alpn.join(" "), h.inside_upgrade)).collect();
    // As Auth's own address, then asked as a Proxy, tested, and taken. An IP address is no SNI.
    assert_eq!(
        seen,
        [
            (Some(AUTH_NAME), "h2".to_owned(), false),
            (None, "http/1.1".to_owned(), false),
            (None, "teleport-reversetunnel".to_owned(), false),
            (Some(AUTH_NAME), format!("{ROUTED} h2"), false),
        ]
    );
    assert_eq!(rig.paths(), ["/webapi/find"]);
    // Why the others did not do is told.
    let reasons = reasons(&dialled);
    assert!(reasons.starts_with("as an auth server: TLS handshake failed: "), "{reasons}");
    assert!(reasons.contains("not signed by a trusted CA"), "{reasons}");

    // The next connection takes the way that is known.
    let again = dialler.dial(2).await.map_err(|error| error.describe()).expect("reached");
    assert_eq!((again.way, again.failures.len()), (rig.routed(), 0));
    assert_eq!(rig.proxy.hellos().len(), 5);
    assert_eq!(rig.proxy.hellos()[4].alpn, [ROUTED, "h2"]);
}

#[tokio::test]
async fn key_files_go_through_a_proxy_as_well() {
    let certs = certs();
    let rig = Rig::new(ProxySwitches::default());
    let credentials = Credentials::Files {
        certificate: rig.write("client.crt", &certs.client.cert_pem),
        key: rig.write("client.key", &certs.client.key_pem),
        ca: rig.write("ca.crt", certs.authority.cert_pem()),
    };
    let dialled = reached(Config { credentials, ..rig.config() }).await;
    assert_eq!(dialled.way, rig.routed());
}

#[tokio::test]
async fn the_cluster_is_named_by_the_issuer_where_the_proxy_does_not_tell() {
    let rig = Rig::new(ProxySwitches { tells_cluster: false, ..ProxySwitches::default() });
    assert_eq!(reached(rig.config()).await.way, rig.routed());
    // Nothing at all has to be told: neither by a foreign page,
    rig.proxy.set(|switches| switches.find = FindHabit::Foreign(404));
    let dialled = reached(rig.config()).await;
    assert_eq!(dialled.way, rig.routed());
    let text = reasons(&dialled);
    assert!(text.contains("404 Not Found, and not in the words of a Teleport Proxy"), "{text}");
    // nor behind a web certificate that nobody trusts: Auth's own TLS is inside.
    let stranger = Authority::new("stranger").expect("an authority");
    let proxy_ca = Some(rig.write("stranger.crt", stranger.cert_pem()));
    let dialled = reached(Config { proxy_ca, ..rig.config() }).await;
    assert_eq!(dialled.way, rig.routed());
    let text = reasons(&dialled);
    assert!(text.contains("`/webapi/find` of `127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn a_proxy_without_tls_routing_is_named_with_what_to_do() {
    let rig = Rig::new(ProxySwitches { tls_routing: false, ..ProxySwitches::default() });
    let error = refused(rig.config()).await;
    for part in [
        "all connection methods failed: as an auth server: TLS handshake failed",
        "as a proxy: the proxy at `127.0.0.1:",
        "(version 15.3.1) has no TLS routing, and SSH tunnels are not supported",
        "`proxy_listener_mode: multiplex`",
        "port 3025",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[tokio::test]
async fn where_nobody_listens_one_reason_is_enough() {
    let rig = Rig::new(ProxySwitches::default());
    rig.proxy.stop().await;
    let error = refused(rig.config()).await;
    let (ip, port) = (rig.proxy.addr().ip(), rig.proxy.addr().port());
    let expected = format!("cannot connect to `{ip}` port {port}: Connection refused");
    assert!(error.starts_with(&expected), "{error}");
    assert!(!error.contains("proxy"), "{error}");
}

#[tokio::test]
async fn what_auth_says_about_us_ends_the_search() {
    let rig = Rig::new(ProxySwitches::default());
    let stranger = Authority::new("stranger").expect("an authority");
    let client = stranger.issue_teleport_client("ev", Validity::Long).expect("a certificate");
    let identity = Identity::new(&client, "ev", CLUSTER, certs().authority.cert_pem());
    rig.write("identity", &identity.to_text());
    let direct = Config { address: rig.auth.addr().to_string(), ..rig.config() };
    let error = refused(direct).await;
    assert!(error.contains("does not trust the CA of our client certificate"), "{error}");
    assert!(!error.contains("as a proxy"), "{error}");
    assert_eq!(rig.auth.tally().connections, 1);
    // Through the Proxy too: no upgrade is tried.
    let error = refused(rig.config()).await;
    assert!(error.contains("does not trust the CA of our client certificate"), "{error}");
    assert_eq!(rig.paths(), ["/webapi/find"]);
}

#[tokio::test]
async fn a_stranger_in_the_place_of_auth_is_refused() {
    let rig = Rig::new(ProxySwitches::default());
    let stranger = Authority::new("stranger").expect("an authority");
    let leaf = stranger.issue_auth_server(CLUSTER, Validity::Long).expect("a certificate");
    let clients = [certs().authority.cert_der()];
    rig.auth.stop().await;
    rig.auth.set_tls(server_config(&leaf, &clients, TlsVersions::Both, &["h2"]).expect("usable"));
    rig.auth.start_again().await.expect("the same port");
    let error = refused(rig.config()).await;
    assert!(error.contains("by TLS routing to cluster `example.cluster`"), "{error}");
    assert!(error.contains("not signed by a trusted CA"), "{error}");
    assert!(rig.auth.tally().methods.is_empty(), "no call was made");
}

#[tokio::test]
async fn the_name_of_auth_is_verified_whatever_host_is_dialled() {
    let rig = Rig::new(ProxySwitches::default());
    // Of the right CA, valid for the address, but not for the name of Auth.
    let leaf = certs().authority.issue_fluentd_server(Validity::Long).expect("a certificate");
    let clients = [certs().authority.cert_der()];
    rig.auth.stop().await;
    rig.auth.set_tls(server_config(&leaf, &clients, TlsVersions::Both, &["h2"]).expect("usable"));
    rig.auth.start_again().await.expect("the same port");
    let config = Config { address: rig.auth.addr().to_string(), ..rig.config() };
    let error = refused(config).await;
    assert!(error.contains("is not valid for `teleport.cluster.local`"), "{error}");
}

#[tokio::test]
async fn a_balancer_that_forgets_alpn_is_passed_by_an_upgrade() {
    for alpn in [AlpnHabit::Forgets, AlpnHabit::Refuses] {
        for upgrade in [UpgradeHabit::WebSocket, UpgradeHabit::Pings, UpgradeHabit::Plain] {
            let rig = Rig::new(ProxySwitches { alpn, upgrade, ..ProxySwitches::default() });
            let dialler = dialler(rig.config());
            let dialled = dialler.dial(1).await.map_err(|error| error.describe());
            let dialled = dialled.expect("reached");
            assert_eq!(dialled.way, rig.upgraded(), "{alpn:?} {upgrade:?}");
            let hellos = rig.proxy.hellos();
            let inside = hellos.last().expect("one inside");
            assert!(inside.inside_upgrade);
            assert_eq!(inside.alpn, [ROUTED, "h2"]);
            assert_eq!(inside.sni.as_deref(), Some(AUTH_NAME));
            let tests = hellos.iter().filter(|h| h.alpn == ["teleport-reversetunnel"]).count();
            assert_eq!(tests, 1);
            let requests = rig.proxy.requests();
            let headers = &requests.last().expect("the upgrade").headers;
            assert_eq!(headers["upgrade"], "websocket,alpn-ping");
            assert_eq!(headers["x-teleport-upgrade"], "alpn-ping");
            assert_eq!(headers["sec-websocket-protocol"], "alpn-ping");
            assert_eq!(headers["host"], rig.proxy.addr().to_string());

            // The tunnel carries calls of any size, and is taken at once the next time.
            let again = dialler.dial(2).await.map_err(|error| error.describe()).expect("reached");
            assert_eq!((again.way, again.failures.len()), (rig.upgraded(), 0));
            drop(dialled.connection);
        }
    }
}

#[tokio::test]
async fn an_upgrade_that_goes_wrong_is_told() {
    let check = async |upgrade: UpgradeHabit, reason: &str| {
        let alpn = AlpnHabit::Forgets;
        let rig = Rig::new(ProxySwitches { alpn, upgrade, ..ProxySwitches::default() });
        let error = refused(rig.config()).await;
        assert!(error.contains("by connection upgrade and TLS routing"), "{error}");
        assert!(error.contains(reason), "{error}");
    };
    let status = "the server answered 403 Forbidden instead of upgrading the connection";
    check(UpgradeHabit::Refused(403), status).await;
    check(UpgradeHabit::WrongAccept, "the WebSocket accept key is not the one for our key").await;
    check(UpgradeHabit::WrongProtocol, "another WebSocket sub-protocol").await;
}

#[tokio::test]
async fn whether_to_upgrade_can_be_set() {
    let variable = "TELEPORT_TLS_ROUTING_CONN_UPGRADE";
    // Set, so nobody has to test it.
    let rig = Rig::new(ProxySwitches::default());
    let with =
        |value: &str| Config { surroundings: surroundings(&[(variable, value)]), ..rig.config() };
    assert_eq!(reached(with("0;127.0.0.1=yes")).await.way, rig.upgraded());
    assert_eq!(reached(with("false")).await.way, rig.routed());
    assert!(rig.proxy.hellos().iter().all(|hello| hello.alpn != ["teleport-reversetunnel"]));

    let rig = Rig::new(ProxySwitches { alpn: AlpnHabit::Forgets, ..ProxySwitches::default() });
    let surroundings = surroundings(&[(variable, "false")]);
    let error = refused(Config { surroundings, ..rig.config() }).await;
    assert!(!error.contains("upgrade"), "{error}");
    assert_eq!(rig.paths(), ["/webapi/find"]);
}

#[tokio::test]
async fn where_to_be_routed_can_be_set() {
    let rig = Rig::new(ProxySwitches::default());
    let other = Rig::new(ProxySwitches::default());
    // The first one routes nothing; it only answers questions.
    rig.proxy.set(|switches| switches.alpn = AlpnHabit::Refuses);
    let tunnel = format!("tcp://{}", other.proxy.addr());
    let surroundings = surroundings(&[
        ("TELEPORT_TUNNEL_PUBLIC_ADDR", &tunnel),
        ("TELEPORT_TLS_ROUTING_CONN_UPGRADE", "no"),
    ]);
    let dialled = reached(Config { surroundings, ..rig.config() }).await;
    assert_eq!(dialled.way, other.routed());
}

#[tokio::test]
async fn the_address_that_a_proxy_tells_is_tried_too() {
    let rig = Rig::new(ProxySwitches::default());
    let other = Rig::new(ProxySwitches::default());
    rig.proxy.set(|switches| {
        switches.alpn = AlpnHabit::Refuses;
        switches.upgrade = UpgradeHabit::Refused(404);
        switches.public_addr = Some(format!("https://{}", other.proxy.addr()));
    });
    let dialled = reached(rig.config()).await;
    assert_eq!(dialled.way, other.routed());
}

/// An HTTP proxy that knows the way to `name`, and the variable that says so.
async fn connect_proxy(tls: bool, name: &str, to: std::net::SocketAddr) -> FakeConnectProxy {
    let routes = [(name.to_owned(), to)].into();
    let certificate = tls.then_some(&certs().web_server);
    let switches = ConnectSwitches { routes, login: Some("me:p@ss".to_owned()) };
    FakeConnectProxy::start(loopback().expect("a port"), certificate, switches).expect("a proxy")
}

#[tokio::test]
async fn an_http_proxy_connects_where_the_environment_says_so() {
    let rig = Rig::new(ProxySwitches::default());
    let name = "auth.example.com:3025";
    for (tls, scheme) in [(false, "http"), (true, "https")] {
        let between = connect_proxy(tls, name, rig.auth.addr()).await;
        let url = format!("{scheme}://me:p%40ss@{}", between.addr());
        let config = Config {
            address: name.to_owned(),
            surroundings: surroundings(&[("HTTPS_PROXY", &url), ("NO_PROXY", "other.com")]),
            ..rig.config()
        };
        assert_eq!(reached(config.clone()).await.way, Way::Direct);
        let seen = between.requests();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].line, "CONNECT auth.example.com:3025 HTTP/1.1");
        assert_eq!(seen[0].login.as_deref(), Some("me:p@ss"));

        // What it refuses is told, and the login never.
        between.set(|switches| switches.login = Some("another".to_owned()));
        let error = refused(config.clone()).await;
        assert!(error.contains("it answers 407: it refuses the login that is set"), "{error}");
        assert!(error.contains(&format!("`{scheme}://{}` set in `HTTPS_PROXY`", between.addr())));
        assert!(!error.contains("p@ss") && !error.contains("p%40ss"), "{error}");
        between.set(|switches| switches.login = None);
        let error = refused(Config { address: "elsewhere.example.com:1".into(), ..config }).await;
        assert!(error.contains("it answers 502 Bad Gateway when asked for"), "{error}");
    }
}

#[tokio::test]
async fn every_connection_to_a_proxy_goes_through_an_http_proxy_too() {
    for alpn in [AlpnHabit::Routes, AlpnHabit::Forgets] {
        let rig = Rig::new(ProxySwitches { alpn, ..ProxySwitches::default() });
        rig.proxy.set(|switches| switches.public_addr = Some("127.0.0.9:1".to_owned()));
        let name = "localhost.example.com:443";
        let web = certs().web.issue(&ev_test_support::certs::LeafRequest {
            common_name: "proxy".to_owned(),
            names: vec!["localhost.example.com".to_owned()],
            server: true,
            ..Default::default()
        });
        let config = ProxyConfig {
            web: web.expect("a certificate"),
            auth: rig.auth.addr(),
            cluster: CLUSTER.to_owned(),
            switches: ProxySwitches { alpn, ..ProxySwitches::default() },
        };
        let proxy = FakeProxy::start(loopback().expect("a port"), config).expect("a proxy");
        let between = connect_proxy(false, name, proxy.addr()).await;
        let url = format!("me:p%40ss@{}", between.addr());
        let config = Config {
            address: name.to_owned(),
            surroundings: surroundings(&[("http_proxy", &url)]),
            ..rig.config()
        };
        let dialled = reached(config).await;
        assert_eq!(matches!(dialled.way, Way::Upgraded { .. }), alpn == AlpnHabit::Forgets);
        // Auth's way, the question, the test, and the way that worked.
        let lines: Vec<_> = between.requests().into_iter().map(|seen| seen.line).collect();
        assert_eq!(lines, vec![format!("CONNECT {name} HTTP/1.1"); 4]);
        // Asked for by its name, on the web.
        assert_eq!(proxy.hellos()[1].sni.as_deref(), Some("localhost.example.com"));
    }
}

#[tokio::test]
async fn an_http_proxy_that_cannot_be_used_is_named() {
    let rig = Rig::new(ProxySwitches::default());
    let check = async |url: &str, expected: &str| {
        let config = Config {
            address: "auth.example.com:3025".to_owned(),
            surroundings: surroundings(&[("HTTPS_PROXY", url)]),
            ..rig.config()
        };
        let error = refused(config).await;
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    };
    check("socks5://me:secret@127.0.0.1:1080", "SOCKS is not supported").await;
    check("ftp://me:secret@127.0.0.1", "its scheme is neither http nor https").await;
    let gone = loopback().expect("a port").local_addr().expect("bound");
    let dead = format!("http://me:secret@{gone}");
    let (ip, port) = (gone.ip(), gone.port());
    check(&dead, &format!("cannot connect to `{ip}` port {port}: Connection refused")).await;
    // Something that is no HTTP proxy.
    let auth = format!("http://{}", rig.auth.addr());
    check(&auth, "failed to go through the HTTP proxy").await;
}

#[tokio::test]
async fn expired_credentials_are_not_shown_to_anybody() {
    let rig = Rig::new(ProxySwitches::default());
    let expired = certs().authority.issue_teleport_client("ev", Validity::Expired).expect("one");
    let identity = Identity::new(&expired, "ev", CLUSTER, certs().authority.cert_pem());
    rig.write("identity", &identity.to_text());
    let error = Dialler::new(Arc::new(rig.config()), Arc::new(Standing)).err().expect("expired");
    let text = ev_core::chain(&error);
    for part in ["sign new ones", "`tctl auth sign`", "`tbot`", "`ev`", "expired at 2002"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(matches!(error, crate::Error::Expired(_)));
    assert_eq!(rig.proxy.hellos().len(), 0);
}

#[tokio::test]
async fn something_that_is_neither_is_told_for_each_way() {
    // A web server of the right CA that knows nothing of Teleport.
    let rig = Rig::new(ProxySwitches {
        find: FindHabit::Foreign(200),
        alpn: AlpnHabit::Refuses,
        upgrade: UpgradeHabit::Refused(404),
        ..ProxySwitches::default()
    });
    match dialler(rig.config()).dial(1).await {
        Ok(dialled) => panic!("reached {}", dialled.way),
        Err(DialError::All(failures)) => {
            let tried: Vec<_> = failures.iter().map(|f| f.tried.clone()).collect();
            let at = rig.proxy.addr();
            assert_eq!(
                tried,
                [
                    "as an auth server".to_owned(),
                    format!("as a proxy at `{at}`"),
                    rig.upgraded().to_string(),
                    rig.routed().to_string(),
                ]
            );
        }
        Err(other) => panic!("{}", other.describe()),
    }
}
