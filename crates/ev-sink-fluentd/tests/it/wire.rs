//! Requests byte by byte, and what each answer means.

use std::time::Duration;

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Framing, Route, SessionId, Sink, Verdict};
use ev_sink_fluentd::{Config, Error, FluentdSink};
use tokio::join;

use crate::raw::Stage;

const EVENTS: [&str; 3] = [r#"{"a":"[1,2],"}"#, r#"{"b":"ü"}"#, "{}"];

#[tokio::test]
async fn an_array_request_has_exactly_these_bytes() {
    let stage = Stage::new(Framing::Array).await;
    let mut events = batch(1, Route::Audit, &EVENTS);
    events.entries.remove(1);
    let ((_, verdict), (head, body)) = join!(stage.sink.send(events), async {
        let mut peer = stage.accept().await;
        let request = peer.request().await;
        peer.ok().await;
        request
    });
    assert_eq!(verdict, Verdict::Delivered);
    assert_eq!(body, r#"[{"a":"[1,2],"},{}]"#);
    let (version, port) = (env!("CARGO_PKG_VERSION"), stage.port());
    assert_eq!(
        head,
        format!(
            "POST /test.log HTTP/1.1\r\ncontent-type: application/json\r\n\
             user-agent: ev-handler/{version}\r\n\
             ev-batch-id: 00000000000000040000000000000004-1-8100b09b3151152d\r\n\
             host: 127.0.0.1:{port}\r\ncontent-length: 19\r\n\r\n"
        )
    );
}

#[tokio::test]
async fn a_user_in_the_address_is_sent_as_basic_authentication() {
    let stage = Stage::with(Framing::Array, |config| {
        config.url = config.url.replace("http://", "http://me:s3cret@");
    })
    .await;
    let (_, (head, _)) = join!(stage.sink.send(batch(1, Route::Audit, &EVENTS)), async {
        let mut peer = stage.accept().await;
        let request = peer.request().await;
        peer.ok().await;
        request
    });
    assert!(head.starts_with("POST /test.log HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Basic bWU6czNjcmV0\r\n"), "{head}");
    assert!(head.contains(&format!("host: 127.0.0.1:{}\r\n", stage.port())), "{head}");
}

#[tokio::test]
async fn the_session_id_goes_where_the_address_has_a_place_for_it() {
    let stage = Stage::with(Framing::Array, |config| {
        config.session_url = config.session_url.replace("/session", "/s/{session-id}/events");
    })
    .await;
    let route = Route::Session(SessionId::try_new(b"5ad2").expect("an id"));
    let (_, (head, _)) = join!(stage.sink.send(batch(1, route, &EVENTS)), async {
        let mut peer = stage.accept().await;
        let request = peer.request().await;
        peer.ok().await;
        request
    });
    assert!(head.starts_with("POST /s/5ad2/events HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn neighbours_stay_joined_and_a_whole_batch_is_one_array() {
    let stage = Stage::new(Framing::Array).await;
    let (_, (_, body)) = join!(stage.sink.send(batch(1, Route::Audit, &EVENTS)), async {
        let mut peer = stage.accept().await;
        let request = peer.request().await;
        peer.ok().await;
        request
    });
    assert_eq!(body, r#"[{"a":"[1,2],"},{"b":"ü"},{}]"#);
}

#[tokio::test]
async fn single_mode_sends_the_object_itself() {
    let stage = Stage::new(Framing::Single).await;
    assert_eq!(stage.sink.shape().max_events, 1);
    let (_, (head, body)) = join!(stage.sink.send(batch(1, Route::Audit, &EVENTS[..1])), async {
        let mut peer = stage.accept().await;
        let request = peer.request().await;
        peer.ok().await;
        request
    });
    assert_eq!(body, EVENTS[0]);
    assert!(head.contains("content-length: 14\r\n"), "{head}");
}

#[tokio::test]
async fn every_attempt_of_a_batch_has_its_id_and_nothing_else_has() {
    let stage = Stage::new(Framing::Array).await;
    let whole = batch(7, Route::Audit, &EVENTS);
    let mut part = whole.clone();
    part.entries.truncate(1);
    let mut ids = Vec::new();
    for events in [whole.clone(), whole, part, batch(8, Route::Audit, &EVENTS)] {
        // The answer is lost each time, so each is an attempt that may have to be repeated.
        let (_, (head, _)) =
            join!(stage.sink.send(events), async { stage.accept().await.request().await });
        assert!(!head.contains("ev-event-id"), "{head}");
        let id = head.lines().find_map(|line| line.strip_prefix("ev-batch-id: "));
        ids.push(id.expect("an id").to_owned());
    }
    assert_eq!(ids[0], ids[1], "a second attempt");
    assert_ne!(ids[1], ids[2], "a part of it");
    assert_ne!(ids[1], ids[3], "another batch");
}

#[tokio::test]
async fn in_single_mode_the_event_has_its_id_too() {
    let stage = Stage::new(Framing::Single).await;
    let head = async |event: &str| {
        let (_, (head, _)) =
            join!(stage.send(event), async { stage.accept().await.request().await });
        head
    };
    let with = head(r#"{"ei":0,"uid":"0b5f-77"}"#).await;
    assert!(with.contains("\r\nev-event-id: 0b5f-77\r\n"), "{with}");
    assert!(with.contains("\r\nev-batch-id: "), "{with}");
    let without = head(r#"{"uid":"x\r\ny"}"#).await;
    assert!(!without.contains("ev-event-id"), "{without}");
}

#[tokio::test]
async fn ids_in_headers_can_be_turned_off() {
    let stage = Stage::with(Framing::Single, |config| config.id_headers = false).await;
    let (_, (head, _)) =
        join!(stage.send(r#"{"uid":"u"}"#), async { stage.accept().await.request().await });
    let (version, port) = (env!("CARGO_PKG_VERSION"), stage.port());
    assert_eq!(
        head,
        format!(
            "POST /test.log HTTP/1.1\r\ncontent-type: application/json\r\n\
             user-agent: ev-handler/{version}\r\nhost: 127.0.0.1:{port}\r\n\
             content-length: 11\r\n\r\n"
        )
    );
}

#[tokio::test]
async fn recordings_go_to_the_session_url_with_the_id_behind() {
    let stage = Stage::new(Framing::Array).await;
    let id = SessionId::try_new(b"1b4ef158-039f-47cc-d49f-0a64b0da7b7e").expect("an id");
    let (_, (head, _)) = join!(stage.sink.send(batch(1, Route::Session(id), &EVENTS)), async {
        let mut peer = stage.accept().await;
        let request = peer.request().await;
        peer.ok().await;
        request
    });
    let line = "POST /session.1b4ef158-039f-47cc-d49f-0a64b0da7b7e.log HTTP/1.1\r\n";
    assert!(head.starts_with(line), "{head}");
}

/// The verdict on one answer, and whether the connection was kept for the next request.
async fn answered(answer: &str) -> (Verdict, bool) {
    let stage = Stage::new(Framing::Array).await;
    let (verdict, peer) = join!(stage.send("{}"), async {
        let mut peer = stage.accept().await;
        peer.request().await;
        peer.write(answer).await;
        peer
    });
    // A second request shows on which connection it comes.
    let (second, kept) = join!(stage.send("{}"), async {
        // The old connection is either used or closed before a new one is opened.
        let kept = peer.stream.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0);
        let mut peer = if kept { peer } else { stage.accept().await };
        peer.request().await;
        peer.ok().await;
        kept
    });
    assert_eq!(second, Verdict::Delivered);
    (verdict, kept)
}

#[tokio::test]
async fn every_class_of_answer() {
    let check = async |status: &str, expected: &str| {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nwhy\r\n");
        let (verdict, kept) = answered(&answer).await;
        let (class, detail) = match verdict {
            Verdict::Delivered => ("delivered", String::new()),
            Verdict::Guilty { detail, .. } => ("guilty", detail),
            Verdict::Refused { detail } => ("refused", detail),
            Verdict::Busy { detail, after: None, suspect } => {
                (if suspect { "suspect" } else { "busy" }, detail)
            }
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(class, expected, "{status}");
        assert!(kept, "{status}: an answer that was read leaves the connection usable");
        if class != "delivered" {
            assert!(detail.starts_with("`http://127.0.0.1:"), "{detail}");
            assert!(detail.contains("/test.log` answered "), "{detail}");
            assert!(detail.contains(status), "{detail}");
            assert!(detail.ends_with(": why"), "{detail}");
        }
    };
    for status in ["200 OK", "201 Created", "202 Accepted", "299"] {
        check(status, "delivered").await;
    }
    for status in ["400 Bad Request", "413 Payload Too Large", "415 Unsupported Media Type"] {
        check(status, "guilty").await;
    }
    for status in ["301 Moved Permanently", "401 Unauthorized", "403 Forbidden", "404 Not Found"] {
        check(status, "refused").await;
    }
    for status in ["408 Request Timeout", "429 Too Many Requests", "503 Service Unavailable"] {
        check(status, "busy").await;
    }
    check("500 Internal Server Error", "suspect").await;
}

#[tokio::test]
async fn an_answer_without_a_body_delivers() {
    assert_eq!(answered("HTTP/1.1 204 No Content\r\n\r\n").await, (Verdict::Delivered, true));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(answered(chunked).await, (Verdict::Delivered, true));
}

#[tokio::test]
async fn retry_after_comes_in_both_forms() {
    let check = async |value: &str, seconds: u64| {
        let answer =
            format!("HTTP/1.1 503 No\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let Verdict::Busy { after, .. } = answered(&answer).await.0 else { panic!("not busy") };
        assert_eq!(after, Some(Duration::from_secs(seconds)), "{value}");
    };
    check("17", 17).await;
    // The clock of the test stands at midnight.
    check("Mon, 01 Jun 2026 00:01:30 GMT", 90).await;
}

#[tokio::test]
async fn a_redirect_is_reported_and_not_followed() {
    let (verdict, _) = answered(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://other/\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let Verdict::Refused { detail } = verdict else { panic!("{verdict:?}") };
    assert!(detail.ends_with("a redirect to `https://other/`, which is not followed"), "{detail}");
}

#[tokio::test]
async fn connections_are_used_again_until_they_are_too_old() {
    let stage = Stage::new(Framing::Array).await;
    let idle = Config::new("", "").timeouts.idle;
    let (_, mut first) = join!(
        async {
            assert_eq!(stage.send("{}").await, Verdict::Delivered);
            stage.env.advance(idle - Duration::from_millis(1));
            assert_eq!(stage.send("{}").await, Verdict::Delivered);
        },
        async {
            let mut peer = stage.accept().await;
            for _ in 0..2 {
                peer.request().await;
                peer.ok().await;
            }
            peer
        }
    );
    stage.env.advance(idle);
    let (verdict, ()) = join!(stage.send("{}"), async {
        first.closed().await;
        let mut second = stage.accept().await;
        second.request().await;
        second.ok().await;
    });
    assert_eq!(verdict, Verdict::Delivered);
    assert_eq!(stage.sink.stats().possible_duplicates, 0);
}

#[tokio::test]
async fn requests_run_side_by_side_up_to_the_limit() {
    let stage = Stage::with(Framing::Single, |config| config.max_connections = 2).await;
    assert_eq!(stage.sink.shape().max_in_flight, 2);
    let (a, b, c, ()) = join!(stage.send("1"), stage.send("2"), stage.send("3"), async {
        let (mut one, mut two) = (stage.accept().await, stage.accept().await);
        // Both are under way before either is answered; the third waits for one of them.
        let first = [one.request().await.1, two.request().await.1];
        assert_eq!(first, ["1", "2"]);
        two.ok().await;
        assert_eq!(two.request().await.1, "3");
        two.ok().await;
        one.ok().await;
    });
    assert_eq!([a, b, c], [Verdict::Delivered, Verdict::Delivered, Verdict::Delivered]);
}

#[tokio::test]
async fn the_probe_is_a_get_and_any_answer_will_do() {
    let stage = Stage::new(Framing::Array).await;
    for answer in ["200 OK", "400 Bad Request", "503 Service Unavailable"] {
        let (result, (head, body)) = join!(stage.sink.probe(), async {
            let mut peer = stage.accept().await;
            let request = peer.request().await;
            peer.write(&format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n")).await;
            request
        });
        result.expect("somebody is there");
        assert!(head.starts_with("GET /test.log HTTP/1.1\r\n"), "{head}");
        assert_eq!(body, "");
    }
}

#[test]
fn settings_are_checked_first() {
    let error = |change: fn(&mut Config)| -> Error {
        let mut config = Config::new("http://f/a", "http://f/b");
        change(&mut config);
        FluentdSink::new(config, ManualEnv::new()).expect_err("refused")
    };
    let text = |change| error(change).to_string();
    assert_eq!(text(|c| c.max_connections = 0), "`max-connections` must be at least 1");
    assert_eq!(text(|c| c.max_events = 0), "`batch-max-events` must be at least 1");
    assert_eq!(text(|c| c.max_bytes = 0), "`batch-max-bytes` must be at least 1");
    assert!(text(|c| c.url = "f:8888".into()).starts_with("`url` is not usable"));
    assert!(text(|c| c.session_url = "http://f".into()).starts_with("`session-url` is not usable"));
    let error = error(|c| {
        c.url = "https://f/a".into();
        c.tls.ca = Some("/no/such/ca.pem".into());
    });
    assert!(matches!(error, Error::Tls(ev_tls::Error::ReadFile { .. })), "{error:?}");
}
