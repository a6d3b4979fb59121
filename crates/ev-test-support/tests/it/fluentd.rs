use std::sync::Arc;
use std::time::Duration;

use ev_test_support::certs::{Authority, Validity};
use ev_test_support::{
    AdminClient, FailRule, FakeFluentd, FluentdConfig, FluentdTally, Received, TlsVersions,
    client_config, loopback,
};
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
