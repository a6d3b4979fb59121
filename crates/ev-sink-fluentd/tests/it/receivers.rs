//! Receivers that are no Fluentd: bodies, headers and tokens, byte by byte.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Framing, Route, SessionId, Sink, Verdict};
use ev_sink_fluentd::{CertificateWatch, Config, Error, FluentdSink, Form, Gzip, TokenFile};
use tempfile::TempDir;
use tokio::join;

use crate::raw::{Peer, Stage};

const EVENTS: [&str; 3] =
    [r#"{"time":"2026-11-19T12:00:00.5Z","a":"[1,\"2\"],"}"#, r#"{"b":"ü"}"#, "{}"];

/// What one batch of events becomes on the wire.
async fn request(stage: &Stage, route: Route, events: &[&str]) -> (String, String) {
    let ((_, verdict), request) = join!(stage.sink.send(batch(1, route, events)), async {
        let mut peer = stage.accept().await;
        let request = peer.request().await;
        peer.write("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        request
    });
    assert_eq!(verdict, Verdict::Delivered);
    request
}

fn recording() -> Route {
    Route::Session(SessionId::try_new(b"5ad2-7").expect("an id"))
}

/// A file with a token.
struct Secret {
    directory: TempDir,
}

impl Secret {
    fn new(token: &str) -> Self {
        let secret = Self { directory: tempfile::tempdir().expect("a directory") };
        secret.put(token);
        secret
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    fn put(&self, token: &str) {
        fs::write(self.path(), token).expect("can be written");
    }

    fn file(&self, scheme: &str) -> TokenFile {
        TokenFile { path: self.path(), scheme: scheme.to_owned() }
    }
}

#[tokio::test]
async fn a_line_for_each_event_and_headers_of_the_settings() {
    let stage = Stage::with(Framing::Array, |config| {
        config.form = Form::Ndjson;
        config.id_headers = false;
        config.headers = vec![("X-Api-Key".to_owned(), "k3y".to_owned())];
    })
    .await;
    let (head, body) = request(&stage, Route::Audit, &EVENTS).await;
    assert_eq!(body, format!("{}\n{}\n{}\n", EVENTS[0], EVENTS[1], EVENTS[2]));
    let (version, port) = (env!("CARGO_PKG_VERSION"), stage.port());
    assert_eq!(
        head,
        format!(
            "POST /test.log HTTP/1.1\r\ncontent-type: application/x-ndjson\r\n\
             user-agent: ev-handler/{version}\r\nx-api-key: k3y\r\n\
             host: 127.0.0.1:{port}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
    );
    let (head, _) = request(&stage, recording(), &EVENTS).await;
    assert!(head.starts_with("POST /session.5ad2-7.log HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn entries_that_were_parked_are_in_no_line() {
    let stage = Stage::with(Framing::Array, |config| config.form = Form::Ndjson).await;
    let mut events = batch(1, Route::Audit, &EVENTS);
    events.entries.remove(1);
    let ((_, verdict), (_, body)) = join!(stage.sink.send(events), async {
        let mut peer = stage.accept().await;
        let request = peer.request().await;
        peer.ok().await;
        request
    });
    assert_eq!(verdict, Verdict::Delivered);
    assert_eq!(body, format!("{}\n{}\n", EVENTS[0], EVENTS[2]));
}

#[tokio::test]
async fn one_event_a_request_has_its_form_too() {
    let stage = Stage::with(Framing::Single, |config| config.form = Form::Ndjson).await;
    assert_eq!(stage.sink.shape().max_events, 1);
    let (_, body) = request(&stage, Route::Audit, &EVENTS[1..2]).await;
    assert_eq!(body, format!("{}\n", EVENTS[1]));
}

#[tokio::test]
async fn a_collector_of_splunk_gets_what_it_wants() {
    let secret = Secret::new("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee\n");
    let stage = Stage::with(Framing::Array, |config| {
        config.form = Form::SplunkHec;
        config.url = config.url.replace("/test.log", "/services/collector/event");
        config.session_url = config.url.clone();
        config.token = Some(secret.file("Splunk"));
    })
    .await;
    let (head, body) = request(&stage, Route::Audit, &EVENTS[..2]).await;
    assert!(head.starts_with("POST /services/collector/event HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let token = "\r\nauthorization: Splunk aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee\r\n";
    assert!(head.contains(token), "{head}");
    assert_eq!(
        body,
        concat!(
            r#"{"time":1795089600.500,"source":"teleport-audit","event":"#,
            r#"{"time":"2026-11-19T12:00:00.5Z","a":"[1,\"2\"],"}}"#,
            r#"{"source":"teleport-audit","event":{"b":"ü"}}"#
        )
    );
    let (head, body) = request(&stage, recording(), &["{}"]).await;
    assert!(head.starts_with("POST /services/collector/event HTTP/1.1\r\n"), "{head}");
    assert_eq!(
        body,
        r#"{"source":"teleport-session","fields":{"session_id":"5ad2-7"},"event":{}}"#
    );
}

#[tokio::test]
async fn loki_gets_streams() {
    let stage = Stage::with(Framing::Array, |config| {
        config.form = Form::Loki;
        config.url = config.url.replace("/test.log", "/loki/api/v1/push");
        config.session_url = config.url.clone();
        config.headers = vec![("X-Scope-OrgID".to_owned(), "tenant".to_owned())];
    })
    .await;
    let (head, body) = request(&stage, Route::Audit, &EVENTS[..2]).await;
    assert!(head.starts_with("POST /loki/api/v1/push HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    assert!(head.contains("\r\nx-scope-orgid: tenant\r\n"), "{head}");
    assert_eq!(
        body,
        concat!(
            r#"{"streams":[{"stream":{"job":"teleport","stream":"audit"},"values":["#,
            r#"["1795089600500000000","{\"time\":\"2026-11-19T12:00:00.5Z\",\"a\":\"[1,\\\"2\\\"],\"}"],"#,
            r#"["1780272000000000000","{\"b\":\"ü\"}"]]}]}"#
        )
    );
    let (head, body) = request(&stage, recording(), &["{}"]).await;
    assert!(head.starts_with("POST /loki/api/v1/push HTTP/1.1\r\n"), "{head}");
    assert_eq!(
        body,
        concat!(
            r#"{"streams":[{"stream":{"job":"teleport","stream":"session"},"values":["#,
            r#"["1780272000000000000","{}",{"session_id":"5ad2-7"}]]}]}"#
        )
    );
}

#[tokio::test]
async fn a_form_is_compressed_like_anything_else() {
    let stage = Stage::with(Framing::Array, |config| {
        config.form = Form::Ndjson;
        config.gzip = Gzip::Always;
    })
    .await;
    let (_, (head, body)) = join!(stage.sink.send(batch(1, Route::Audit, &EVENTS)), async {
        let mut peer = stage.accept().await;
        let request = peer.request_bytes().await;
        peer.ok().await;
        request
    });
    assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*body), &mut text)
        .expect("gzip");
    assert_eq!(text, format!("{}\n{}\n{}\n", EVENTS[0], EVENTS[1], EVENTS[2]));
}

const DENIED: &str =
    "HTTP/1.1 401 Unauthorized\r\nContent-Length: 21\r\n\r\nbad key first-token\r\n";

/// One request on a connection and what stands in its `Authorization`.
async fn shown(peer: &mut Peer) -> String {
    let (head, _) = peer.request().await;
    let line = head.lines().find_map(|line| line.strip_prefix("authorization: "));
    line.expect("a token").to_owned()
}

#[tokio::test]
async fn a_token_that_was_replaced_costs_no_attempt() {
    let secret = Secret::new("first-token");
    let stage =
        Stage::with(Framing::Array, |config| config.token = Some(secret.file("Bearer"))).await;
    let (verdict, mut peer) = join!(stage.send("{}"), async {
        let mut peer = stage.accept().await;
        assert_eq!(shown(&mut peer).await, "Bearer first-token");
        peer.ok().await;
        peer
    });
    assert_eq!(verdict, Verdict::Delivered);
    // From now on the receiver takes the new one alone.
    secret.put(" second-token\n");
    let (verdict, ()) = join!(stage.send("{}"), async {
        assert_eq!(shown(&mut peer).await, "Bearer first-token");
        peer.write(DENIED).await;
        assert_eq!(shown(&mut peer).await, "Bearer second-token");
        peer.ok().await;
    });
    assert_eq!(verdict, Verdict::Delivered);
    assert_eq!(stage.sink.stats().requests, 3);
}

#[tokio::test]
async fn without_another_token_a_refusal_is_one_and_shows_no_secret() {
    let secret = Secret::new("first-token");
    let stage =
        Stage::with(Framing::Array, |config| config.token = Some(secret.file("Bearer"))).await;
    // A file that cannot be used changes nothing either.
    for text in ["first-token\n", "", "two words", "ümlaut", &"x".repeat(16 * 1024 + 1)] {
        secret.put(text);
        let (verdict, ()) = join!(stage.send("{}"), async {
            let mut peer = stage.accept().await;
            assert_eq!(shown(&mut peer).await, "Bearer first-token");
            peer.write(&DENIED.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        });
        let Verdict::Refused { detail } = verdict else { panic!("{verdict:?}") };
        let end =
            "answered 401 Unauthorized with words that repeat the request, which are not shown";
        assert!(detail.ends_with(end), "{detail}");
    }
    assert_eq!(stage.sink.stats().requests, 5, "nothing is asked twice");
}

#[tokio::test]
async fn the_watch_takes_a_new_token_also_without_tls() {
    let secret = Secret::new("first-token");
    let Stage { listener, sink, env } =
        Stage::with(Framing::Array, |config| config.token = Some(secret.file("Bearer"))).await;
    let sink = Arc::new(sink);
    let mut watch = CertificateWatch::new(Arc::clone(&sink));
    for (text, expected) in [
        ("second-token", "Bearer second-token"),
        ("", "Bearer second-token"),
        ("third-token", "Bearer third-token"),
    ] {
        secret.put(text);
        watch.check().await;
        let (_, found) = join!(sink.send(batch(1, Route::Audit, &["{}"])), async {
            let mut peer = Peer { stream: listener.accept().await.expect("a connection").0 };
            let found = shown(&mut peer).await;
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            found
        });
        assert_eq!(found, expected);
    }
    drop(env);
}

fn refusal(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::new("http://f/a", "http://f/s");
    change(&mut config);
    let error = FluentdSink::new(config, ManualEnv::new()).expect_err("refused");
    assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    error.to_string()
}

#[test]
fn what_cannot_be_a_token_is_refused_and_not_shown() {
    let secret = Secret::new("s3cret");
    let with = |text: &str| {
        secret.put(text);
        let text = refusal(|config| config.token = Some(secret.file("Bearer")));
        let start = format!("token file `{}` cannot be used: ", secret.path().display());
        text.strip_prefix(&start).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert_eq!(with(" \n"), "it is empty");
    let word = "a token is one word of visible ASCII characters, without what stands in front of \
                it in `Authorization`";
    assert_eq!(with("Bearer s3cret"), word);
    assert_eq!(with("s3cret\r\nEvil: 1"), word);
    assert_eq!(with("s3cret\0"), word);
    let long = format!("s3cret{}", "x".repeat(16 * 1024));
    assert_eq!(with(&long), "it is larger than 16 KiB, which no token is");
    secret.put("s3cret");
    let scheme = refusal(|config| config.token = Some(secret.file("Bea\nrer")));
    assert!(scheme.ends_with("the word in front of it cannot be sent"), "{scheme}");
    let missing = TokenFile { path: secret.directory.path().join("no"), scheme: "Bearer".into() };
    let missing = refusal(|config| config.token = Some(missing));
    assert!(missing.ends_with("No such file or directory (os error 2)"), "{missing}");
}

#[test]
fn only_one_thing_says_who_we_are() {
    let secret = Secret::new("s3cret");
    let token = secret.file("Bearer");
    let header = || vec![("authorization".to_owned(), "Basic s3cret".to_owned())];
    let user = "http://me:s3cret@f/a";
    let twice =
        |one: &str, other: &str| format!("`Authorization` is given twice: by {one} and by {other}");
    let text = refusal(|config| {
        config.headers = header();
        config.token = Some(token.clone());
    });
    assert_eq!(text, twice("a header", "the token file"));
    let text = refusal(|config| {
        config.url = user.into();
        config.token = Some(token.clone());
    });
    assert_eq!(text, twice("the user in an address", "the token file"));
    let text = refusal(|config| {
        config.session_url = user.into();
        config.headers = header();
    });
    assert_eq!(text, twice("the user in an address", "a header"));
}

#[tokio::test]
async fn questions_and_probes_show_the_token_and_the_headers() {
    let secret = Secret::new("first-token");
    let stage = Stage::with(Framing::Array, |config| {
        config.form = Form::Loki;
        config.headers = vec![("X-Scope-OrgID".to_owned(), "tenant".to_owned())];
        config.token = Some(secret.file("Bearer"));
    })
    .await;
    assert!(!format!("{:?}", stage.sink).contains("first-token"));
    let answers = async |count: usize| {
        let mut requests = Vec::new();
        for _ in 0..count {
            let mut peer = stage.accept().await;
            requests.push(peer.request().await);
            peer.ok().await;
        }
        requests
    };
    let (probed, mut requests) = join!(stage.sink.probe(), answers(1));
    probed.expect("it answers");
    // Presence, the address of recordings, a broken body, the marked event; and no empty array,
    // which is no push.
    let (report, more) = join!(stage.sink.examine(true), async {
        let mut requests = answers(2).await;
        while requests.len() < 5 && !requests.last().is_some_and(|(_, body)| body.contains("uid")) {
            requests.extend(answers(1).await);
        }
        requests
    });
    let uid = report.event_uid.expect("an event was sent");
    let last = &more.last().expect("requests").1;
    assert!(last.starts_with(r#"{"streams":[{"stream":{"job":"teleport","#), "{last}");
    assert!(last.contains(&uid), "{last}");
    requests.extend(more);
    for (head, body) in requests {
        assert!(head.contains("\r\nauthorization: Bearer first-token\r\n"), "{head}");
        assert!(head.contains("\r\nx-scope-orgid: tenant\r\n"), "{head}");
        assert_ne!(body, "[]");
    }
}

#[test]
fn an_error_is_one_of_the_crates() {
    let mut config = Config::new("http://f/a", "http://f/s");
    config.headers = vec![("Host".to_owned(), "x".to_owned())];
    let error = FluentdSink::new(config, ManualEnv::new()).expect_err("refused");
    assert!(matches!(error, Error::InvalidHeader { .. }), "{error:?}");
}

/// What a receiver says that repeats all it was sent, in the form that one of them has.
#[tokio::test]
async fn what_a_receiver_repeats_is_not_told() {
    let secret = Secret::new("t0ken-of-the-file");
    let stage = Stage::with(Framing::Array, |config| {
        config.gzip = Gzip::Always;
        config.token = Some(secret.file("Bearer"));
        config.headers = vec![("X-Api-Key".to_owned(), "k3y-of-the-header".to_owned())];
        config.url += "?token=s3cret-of-the-query";
    })
    .await;
    let event = r#"{"event":"user.login","user":"bob","uid":"0190fa2e"}"#;
    let secrets = ["t0ken", "k3y", "s3cret", "user.login", "bob", "0190fa2e"];
    for said in [
        "path /test.log?token=s3cret-of-the-query",
        "header x-api-key: k3y-of-the-header",
        "header authorization: Bearer t0ken-of-the-file",
        "the token t0ken-of-the-file is wrong",
        "cannot read {\"event\":\"user.login\",\"user\":\"bob\"}",
        "there is no bob here, nor 0190fa2e",
    ] {
        let answer = format!(
            "HTTP/1.1 503 Why\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
            said.len()
        );
        let (verdict, ()) = join!(stage.send(event), async {
            let mut peer = stage.accept().await;
            peer.request_bytes().await;
            peer.write(&answer).await;
        });
        let Verdict::Busy { detail, .. } = verdict else { panic!("{verdict:?}") };
        assert!(detail.contains("answered 503 Service Unavailable"), "{detail}");
        for secret in secrets {
            assert!(!detail.contains(secret), "{said}: {detail}");
        }
    }
    let moved = "HTTP/1.1 307 Why\r\nLocation: https://new/test.log?token=s3cret-of-the-query\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n";
    let (verdict, ()) = join!(stage.send(event), async {
        let mut peer = stage.accept().await;
        peer.request_bytes().await;
        peer.write(moved).await;
    });
    let Verdict::Refused { detail } = verdict else { panic!("{verdict:?}") };
    assert!(!detail.contains("s3cret"), "{detail}");
}
