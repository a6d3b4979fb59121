use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use ev_test_support::certs::{Authority, Validity};
use ev_test_support::{
    AdminClient, FailRule, FakeFluentd, FluentdConfig, FluentdTally, FluentdVersion, Received,
    TlsVersions, client_config, loopback,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::client::{Http, Pki, tls};

fn start(pki: &Pki, keep_alive: Duration) -> FakeFluentd {
    let config = FluentdConfig {
        tls: Some(pki.fluentd(TlsVersions::Only12)),
        keep_alive,
        ..FluentdConfig::default()
    };
    FakeFluentd::start(loopback().expect("a port"), config).expect("a receiver")
}

const LONG: Duration = Duration::from_secs(600);

fn bodies(received: &[Received]) -> Vec<(&str, &str)> {
    received
        .iter()
        .map(|event| (event.tag.as_str(), std::str::from_utf8(&event.body).expect("text")))
        .collect()
}

#[tokio::test]
async fn keeps_tag_and_exact_bytes() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    let answer = http.post("/test.log", r#"{"a" : "]\"" }"#).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.body().len()), (200, 0));
    assert_eq!(answer.headers()["connection"], "Keep-Alive");
    http.post("/a/b/c.d", r#" [ {"n":1.50} ,{"n":1.50}] "#).await.expect("an answer");
    assert_eq!(
        bodies(&fluentd.received()),
        [
            ("test.log", r#"{"a" : "]\"" }"#),
            ("a.b.c.d", r#"{"n":1.50}"#),
            ("a.b.c.d", r#"{"n":1.50}"#)
        ]
    );
    let tally = fluentd.tally();
    assert_eq!((tally.requests, tally.arrays, tally.events), (2, 1, 3));
    assert_eq!((tally.repeated, tally.largest_batch, tally.connections), (1, 2, 1));
    assert_eq!(tally.tags["a.b.c.d"], 2);
}

#[tokio::test]
async fn refuses_what_fluentd_refuses() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    for (body, status) in [("{", 400), ("1", 400), ("[{},1]", 500), ("", 400)] {
        let answer = http.post("/t", body).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{body}");
    }
    assert_eq!(fluentd.tally().refused_bodies, 4);
    assert!(fluentd.received().is_empty());
    let large = vec![b' '; (32 << 20) + 1];
    // The answer may be lost when the connection is closed while the body is being sent.
    if let Ok(answer) = http.post("/t", large).await {
        assert_eq!(answer.status().as_u16(), 413);
    }
}

#[tokio::test]
async fn demands_a_client_certificate_and_tls_1_2() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    let servers = [pki.authority.cert_der()];
    let foreign = Authority::new("foreign").expect("an authority");
    let stranger = foreign.issue_fluentd_client(Validity::Long).expect("a certificate");
    for (leaf, versions) in [
        (None, TlsVersions::Both),
        (Some(&stranger), TlsVersions::Both),
        (Some(&pki.client), TlsVersions::Only13),
    ] {
        let config = client_config(leaf, &servers, versions, &[]).expect("a client");
        assert!(tls(fluentd.addr(), "localhost", config).await.is_err());
    }
    Http::connect(fluentd.addr(), &pki).await;
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let pki = Pki::new();
    let fluentd = start(&pki, Duration::from_millis(30));
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    http.post("/t", "{}").await.expect("an answer");
    http.closed.await.expect("closed by the receiver");
}

#[tokio::test]
async fn fails_as_told() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    fluentd.set(|switches| {
        switches.fail = vec![
            FailRule {
                status: 503,
                count: Some(2),
                retry_after: "7".to_owned(),
                ..FailRule::default()
            },
            FailRule { status: 413, containing: "poison".to_owned(), ..FailRule::default() },
            FailRule { status: 500, count: Some(1), store: true, ..FailRule::default() },
        ];
    });
    let mut statuses = Vec::new();
    for body in ["{}", "{}", r#"[{"poison":1}]"#, "{}", "{}", r#"{"a":"poison"}"#] {
        let answer = http.post("/t", body).await.expect("an answer");
        statuses.push(answer.status().as_u16());
        assert_eq!(answer.headers().contains_key("retry-after"), answer.status() == 503);
    }
    assert_eq!(statuses, [503, 503, 413, 500, 200, 413]);
    let received = fluentd.received();
    assert_eq!(received.iter().map(|event| event.acknowledged).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn loses_answers_and_connections_as_told() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    fluentd.set(|switches| switches.close_after_store = 1);
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    assert!(http.post("/t", "{}").await.is_err());
    assert_eq!(fluentd.received().len(), 1);
    assert!(!fluentd.received()[0].acknowledged);

    fluentd.set(|switches| switches.close_accepted = 1);
    assert!(tls(fluentd.addr(), "localhost", pki.client(&[])).await.is_err());

    let http = Http::connect(fluentd.addr(), &pki).await;
    assert_eq!(fluentd.drop_connections().await, 1);
    http.closed.await.expect("closed by the receiver");

    fluentd.stop().await;
    assert!(tls(fluentd.addr(), "localhost", pki.client(&[])).await.is_err());
    fluentd.start_again().await.expect("the same port");
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    assert_eq!(http.post("/t", "{}").await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn holds_answers_until_released() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    fluentd.set(|switches| switches.hold_at = Some(2));
    let mut first = Http::connect(fluentd.addr(), &pki).await;
    first.post("/t", "{}").await.expect("an answer");
    let held = tokio::spawn(async move { first.post("/t", r#"{"a":1}"#).await });
    let held_now = |tally: &FluentdTally| tally.events == 2 && tally.in_flight == 1;
    fluentd.wait(held_now).await;
    assert!(!held.is_finished());
    fluentd.set(|switches| {
        switches.hold_at = None;
        switches.release += 1;
    });
    assert_eq!(held.await.expect("a task").expect("an answer").status(), 200);
    fluentd.wait(|tally| tally.in_flight == 0).await;

    // What is held goes with its connection.
    fluentd.set(|switches| switches.hang = 1);
    let mut second = Http::connect(fluentd.addr(), &pki).await;
    let hung = tokio::spawn(async move { second.post("/t", r#"{"b":1}"#).await });
    fluentd.wait(|tally| tally.requests == 3).await;
    fluentd.drop_connections().await;
    assert!(hung.await.expect("a task").is_err());
    assert_eq!(fluentd.received().len(), 2);
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn differs_with_its_version() {
    use FluentdVersion::{V1_12, V1_16, V1_19};
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    let check = async |version, parse: bool, method: &str, headers: &[_], body: &str| {
        fluentd.set(|switches| (switches.version, switches.parse) = (version, parse));
        let mut http = Http::connect(fluentd.addr(), &pki).await;
        let answer = http.send(method, "/t", headers, body.to_owned()).await.expect("an answer");
        answer.status().as_u16()
    };
    for (version, get, head, broken, odd) in
        [(V1_12, 400, 400, 400, 500), (V1_16, 200, 400, 400, 500), (V1_19, 200, 200, 200, 200)]
    {
        assert_eq!(check(version, true, "GET", &[], "").await, get, "{version:?}");
        assert_eq!(check(version, true, "HEAD", &[], "").await, head, "{version:?}");
        assert_eq!(check(version, true, "POST", &[JSON], "{").await, broken, "{version:?}");
        assert_eq!(check(version, true, "POST", &[JSON], r#"[1,{"a":1}]"#).await, odd);
        // With a parser the content type does not count, without one it does.
        let text = [("content-type", "text/plain")];
        assert_eq!(check(version, true, "POST", &text, "[]").await, 200);
        assert_eq!(check(version, false, "POST", &text, "[]").await, 400);
        assert_eq!(check(version, false, "POST", &[JSON], "{").await, 200);
        let time = r#"{"time":"2026-06-01T00:00:00Z"}"#;
        assert_eq!(check(version, false, "POST", &[JSON], time).await, 400);
        assert_eq!(check(version, true, "POST", &[JSON], time).await, 200);
    }
    let stored = fluentd.received();
    assert_eq!(stored.iter().filter(|event| &event.body[..] == br#"{"a":1}"#).count(), 1);
    // Answered as stored: broken JSON five times, the array with one number.
    assert_eq!(fluentd.tally().dropped_requests, 5);
}

#[tokio::test]
async fn takes_compressed_bodies() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(br#"[{"a":1},{"b":2}]"#).expect("memory");
    let body = encoder.finish().expect("memory");
    let gzip = [JSON, ("content-encoding", "gzip"), ("ev-batch-id", "b-1")];
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    let answer = http.send("POST", "/t", &gzip, body.clone()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(bodies(&fluentd.received()), [("t", r#"{"a":1}"#), ("t", r#"{"b":2}"#)]);
    assert_eq!(fluentd.received()[0].batch_id, "b-1");
    let tally = fluentd.tally();
    assert_eq!((tally.compressed, tally.wire_bytes), (1, body.len() as u64));
    // A damaged one costs the connection.
    let answer = http.send("POST", "/t", &gzip, body[..9].to_vec()).await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["connection"]),
        (400, &"close".parse().expect("text"))
    );
    fluentd.set(|switches| switches.no_encodings = true);
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    let answer = http.send("POST", "/t", &gzip, body).await.expect("an answer");
    assert_eq!(answer.status(), 415);
}

#[tokio::test]
async fn loses_what_nobody_matches_and_names_a_large_record() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    fluentd.set(|switches| switches.unmatched = "session".to_owned());
    assert_eq!(http.post("/session.1", "{}").await.expect("an answer").status(), 200);
    assert_eq!((fluentd.tally().events, fluentd.tally().dropped_requests), (0, 1));

    fluentd.set(|switches| switches.record_limit = 10);
    let batch = r#"[{"a":1},{"large":"record"},{"b":2}]"#;
    let answer = http.post("/t", batch).await.expect("an answer");
    assert_eq!(answer.status(), 500);
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(
        text.contains("a 18 bytes record (nth: 1) is larger than buffer chunk limit"),
        "{text}"
    );
    assert_eq!(fluentd.tally().events, 2, "the others are stored each time");
    fluentd.set(|switches| switches.version = FluentdVersion::V1_12);
    let answer = http.post("/t", batch).await.expect("an answer");
    assert_eq!(answer.status(), 500);
    assert!(!answer.body().windows(3).any(|part| part == b"nth"));
    assert_eq!(fluentd.tally().events, 2, "an old version stores none of them");
}

#[tokio::test]
async fn freezes_and_thaws() {
    let pki = Pki::new();
    let fluentd = start(&pki, LONG);
    let mut open = Http::connect(fluentd.addr(), &pki).await;
    fluentd.set(|switches| switches.frozen = true);
    let asked = tokio::spawn(async move { open.post("/t", "{}").await });
    fluentd.wait(|tally| tally.in_flight == 1).await;
    let (addr, config) = (fluentd.addr(), pki.client(&[]));
    let shaken = tokio::spawn(async move { tls(addr, "localhost", config).await });
    // The connection is made, the handshake is not.
    while fluentd.tally().connections < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!shaken.is_finished() && !asked.is_finished());
    fluentd.set(|switches| switches.frozen = false);
    assert_eq!(asked.await.expect("a task").expect("an answer").status(), 200);
    shaken.await.expect("a task").expect("a handshake");
}

#[tokio::test]
async fn is_driven_over_http() {
    let pki = Pki::new();
    let fluentd = Arc::new(start(&pki, LONG));
    let server = fluentd.serve_admin(loopback().expect("a port")).expect("an admin address");
    let admin = AdminClient::new(server.addr());
    let _: Value = admin.post("/switches", &json!({ "ok_status": 204 })).await.expect("accepted");
    let unknown = admin.post::<Value>("/switches", &json!({ "nonsense": 1 })).await;
    assert!(unknown.expect_err("refused").to_string().contains("nonsense"));
    let mut http = Http::connect(fluentd.addr(), &pki).await;
    assert_eq!(http.post("/t", r#"{"a":1}"#).await.expect("an answer").status(), 204);
    let tally: FluentdTally = admin.get("/tally").await.expect("counts");
    assert_eq!(tally, fluentd.tally());
    let lines = admin.get_bytes("/events").await.expect("lines");
    let line: Value = serde_json::from_slice(&lines).expect("one line");
    assert_eq!(
        line,
        json!({ "tag": "t", "request": 1, "acknowledged": true, "body": "eyJhIjoxfQ==" })
    );
    assert_eq!(admin.get_bytes("/bodies").await.expect("bodies"), b"{\"a\":1}\n");
    assert!(admin.get::<Value>("/nothing").await.is_err());
}
