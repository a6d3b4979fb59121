//! Paths, statuses and what they depend on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use ev_diag::{Auth, Engine, Phase, Readiness, Server, Sink, Snapshot};

use crate::rig::Rig;

fn running() -> Snapshot {
    Snapshot {
        phase: Phase::Running,
        auth: Auth { connected: true, address: "auth:3025".to_owned(), ..Auth::default() },
        sinks: vec![Sink {
            name: "fluentd".to_owned(),
            engine: Engine::Running,
            ..Sink::default()
        }],
        ..Snapshot::default()
    }
}

#[test]
fn it_is_healthy_while_it_turns_whatever_its_peers_do() {
    let rig = Rig::new(Snapshot::default());
    assert_eq!(rig.get("/healthz").body, "ok\n");
    rig.shown.clock.set(30);
    assert_eq!(rig.get("/healthz").status, 200);
    rig.shown.clock.set(31);
    let stalled = rig.get("/healthz");
    assert_eq!((stalled.status, &*stalled.body), (503, "engine has not turned for 31 s\n"));
    rig.shown.pulse.beat();
    assert_eq!(rig.get("/healthz").status, 200);
}

#[test]
fn it_is_ready_when_every_part_is_and_says_which_is_not() {
    let rig = Rig::new(running());
    let ready = rig.get("/readyz");
    assert_eq!(ready.status, 200, "{}", ready.body);
    rig.shown.snapshot.lock().unwrap().auth.connected = false;
    let answer = rig.get("/readyz");
    let readiness: Readiness = serde_json::from_str(&answer.body).unwrap();
    let auth = readiness.parts.iter().find(|part| part.name == "auth").unwrap();
    assert_eq!((answer.status, readiness.ready), (503, false));
    assert_eq!(auth.reason, "auth:3025 was not reached yet");
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    rig.shown.snapshot.lock().unwrap().phase = Phase::Stopping;
    assert!(rig.get("/readyz").body.contains("finishing what is under way"));
}

#[test]
fn the_status_reads_back_as_what_it_is() {
    let rig = Rig::new(running());
    let answer = rig.get("/status.json");
    let read: Snapshot = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", running()));
    assert!(answer.body.contains(r#""time": "1970-01-01T00:00:00Z""#), "{}", answer.body);
}

#[test]
fn the_page_asks_for_nothing_elsewhere() {
    let rig = Rig::new(running());
    let page = rig.get("/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    assert!(page.head.contains("default-src 'none'"), "{}", page.head);
    assert!(page.head.contains("cache-control: no-store"), "{}", page.head);
    // The name of the namespace of SVG is no address that is asked.
    let body = page.body.replace("http://www.w3.org/2000/svg", "");
    assert!(!body.contains("http://") && !body.contains("https://"));
}

#[test]
fn other_paths_and_methods_are_refused_with_words() {
    let rig = Rig::new(running());
    let missing = rig.get("/metric");
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("/metrics"), "{}", missing.body);
    let post = rig.ask("POST", "/healthz");
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get, head"), "{}", post.head);
    let head = rig.ask("HEAD", "/metrics");
    assert_eq!((head.status, &*head.body), (200, ""));
}

/// As many as are served at one time.
const PLACES: usize = 32;
/// More bytes than the buffers of a connection hold, so that writing them does not end.
const ENDLESS: usize = 8 << 20;

#[test]
fn who_says_nothing_keeps_nobody_else_waiting() {
    let rig = Rig::new(running());
    let silent: Vec<_> = (0..=PLACES).map(|_| TcpStream::connect(rig.address()).unwrap()).collect();
    assert_eq!(rig.get("/healthz").status, 200);
    drop(silent);
    let mut rude = TcpStream::connect(rig.address()).unwrap();
    rude.write_all(b"\x16\x03\x01 no HTTP\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // It may be reset, for all that it deserves.
    drop(rude.read_to_end(&mut answer));
    assert_eq!(rig.get("/healthz").status, 200);
}

#[test]
fn who_does_not_read_makes_room_for_others() {
    let rig = Rig::new(Snapshot { storage: "x".repeat(ENDLESS), ..running() });
    let mut lazy = TcpStream::connect(rig.address()).unwrap();
    lazy.write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // The first byte shows that the answer is being written.
    lazy.read_exact(&mut [0]).unwrap();
    let others: Vec<_> = (0..PLACES).map(|_| TcpStream::connect(rig.address()).unwrap()).collect();
    assert_eq!(rig.get("/healthz").status, 200);
    // What was in the buffers comes, and then the end, or a reset.
    let mut rest = Vec::new();
    drop(lazy.read_to_end(&mut rest));
    assert!(rest.len() < ENDLESS, "{}", rest.len());
    drop(others);
}

#[test]
fn a_connection_that_would_be_kept_holds_no_place() {
    let rig = Rig::new(running());
    let ask = |_| {
        let mut stream = TcpStream::connect(rig.address()).unwrap();
        let head = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
        stream.write_all(head).unwrap();
        let mut answer = String::new();
        // It ends, so the connection is closed behind the one answer.
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("connection: close"), "{answer}");
    };
    (0..=PLACES).for_each(ask);
    assert_eq!(rig.get("/healthz").status, 200);
}

#[test]
fn a_connection_has_an_end() {
    let rig = Rig::new(Snapshot { storage: "x".repeat(ENDLESS), ..running() });
    let mut silent = TcpStream::connect(rig.address()).unwrap();
    let mut lazy = TcpStream::connect(rig.address()).unwrap();
    lazy.write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // The first byte shows that the answer is being written.
    lazy.read_exact(&mut [0]).unwrap();
    rig.shown.clock.set(20);
    let mut rest = Vec::new();
    assert_eq!(silent.read_to_end(&mut rest).unwrap(), 0);
    // What was in the buffers comes, and then the end, or a reset.
    drop(lazy.read_to_end(&mut rest));
    assert!(rest.len() < ENDLESS, "{}", rest.len());
}

#[test]
fn pages_of_others_learn_nothing() {
    let rig = Rig::new(running());
    for path in ["/", "/status.json", "/metrics", "/readyz"] {
        let rebound = rig.ask_with("GET", path, "Host: evil.example.com\r\nConnection: close\r\n");
        let said = "on this machine it is asked by address or as `localhost`\n";
        assert_eq!((rebound.status, &*rebound.body), (421, said), "{path}");
        let head = "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nConnection: close\r\n";
        let foreign = rig.ask_with("GET", path, head);
        let said = "pages of other addresses get no answer here\n";
        assert_eq!((foreign.status, &*foreign.body), (403, said), "{path}");
        let own = format!("Host: {}\r\nSec-Fetch-Site: same-origin\r\n", rig.address());
        assert_eq!(rig.ask_with("GET", path, &own).status, 200, "{path}");
    }
    let health = rig.ask_with("GET", "/healthz", "Host: handler\r\nConnection: close\r\n");
    assert_eq!(health.status, 200);
}

#[test]
fn an_address_that_another_has_is_named() {
    let rig = Rig::new(running());
    let error = Server::start(rig.address(), rig.shown.clone()).unwrap_err();
    assert_eq!(error.to_string(), format!("failed to listen on `{}`", rig.address()));
    assert!(error.may_pass(), "the other one may end");
}

#[test]
fn dropping_it_frees_the_address() {
    let rig = Rig::new(running());
    let (address, shown) = (rig.address(), rig.shown.clone());
    drop(rig);
    drop(Server::start(address, shown).unwrap());
}
