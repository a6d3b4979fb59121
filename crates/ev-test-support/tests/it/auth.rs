use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use ev_test_support::{
    AdminClient, Artifact, AuthConfig, AuthSwitches, AuthTally, CallFault, DamagedRecording, Event,
    FakeAuth, Unstructured, UtcTime, loopback,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

use crate::client::{Pki, tls};

/// Messages as the bytes they are, both ways.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining())))
    }
}

struct Client(hyper::client::conn::http2::SendRequest<tonic::body::Body>);

impl Client {
    async fn connect(auth: &FakeAuth, pki: &Pki) -> Self {
        let config = pki.client(&["h2"]);
        let stream = tls(auth.addr(), "teleport.cluster.local", config).await.expect("a handshake");
        let (send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("a connection");
        tokio::spawn(async move { drop(connection.await) });
        Self(send)
    }

    /// All messages of the answer; unary calls have one.
    async fn call(&mut self, path: &'static str, message: Vec<u8>) -> Result<Vec<Bytes>, Status> {
        let send = self.0.clone();
        let service = tower::service_fn(move |request| {
            let mut send = send.clone();
            async move { send.send_request(request).await }
        });
        let mut grpc = tonic::client::Grpc::with_origin(
            service,
            http::Uri::from_static("https://teleport.cluster.local"),
        );
        grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let path = http::uri::PathAndQuery::from_static(path);
        let mut stream =
            grpc.server_streaming(Request::new(message), path, Raw).await?.into_inner();
        let mut messages = Vec::new();
        while let Some(message) = stream.message().await? {
            messages.push(message);
        }
        Ok(messages)
    }

    async fn ping(&mut self) -> Result<String, Status> {
        let answer = self.call("/proto.AuthService/Ping", Vec::new()).await?;
        Ok(String::from_utf8_lossy(&field(&answer[0], 2)[0]).into_owned())
    }

    async fn events(&mut self, from: i64, to: i64, limit: u8, key: &str) -> Answer {
        let mut request = Vec::new();
        for (tag, seconds) in [(0x12, from), (0x1a, to)] {
            let mut stamp = vec![8];
            varint(&mut stamp, seconds.cast_unsigned());
            put(&mut request, tag, &stamp);
        }
        request.extend([0x28, limit]);
        put(&mut request, 0x32, key.as_bytes());
        let answer = self.call("/proto.AuthService/GetEvents", request).await?;
        let key = field(&answer[0], 2).pop().unwrap_or_default();
        Ok((field(&answer[0], 1), String::from_utf8_lossy(&key).into_owned()))
    }
}

type Answer = Result<(Vec<Bytes>, String), Status>;

fn put(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn varint(out: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, out);
}

/// The values of a length-delimited field.
fn field(message: &Bytes, number: u64) -> Vec<Bytes> {
    let mut rest = message.clone();
    let mut values = Vec::new();
    while rest.has_remaining() {
        let tag = prost::encoding::decode_varint(&mut rest).expect("a tag");
        let value = prost::encoding::decode_varint(&mut rest).expect("a number");
        if tag & 7 == 2 {
            let value = rest.split_to(usize::try_from(value).expect("a length"));
            if tag >> 3 == number {
                values.push(value);
            }
        }
    }
    values
}

fn event(seconds: i64, bytes: &'static [u8]) -> Event {
    Event {
        oneof: Bytes::from_static(bytes),
        time: UtcTime::from_seconds(seconds),
        kind: "t".to_owned(),
        index: seconds,
        unstructured: Unstructured::Absent,
    }
}

fn start(pki: &Pki) -> FakeAuth {
    let config =
        AuthConfig { tls: pki.auth(), cluster: "c".to_owned(), switches: AuthSwitches::default() };
    FakeAuth::start(loopback().expect("a port"), config).expect("a server")
}

#[tokio::test]
async fn serves_events_byte_for_byte() {
    let pki = Pki::new();
    let auth = start(&pki);
    // No valid messages: nobody looks inside.
    let odd: [&[u8]; 3] = [b"\xff\xff", b"", b"{not protobuf}"];
    auth.append(odd.iter().zip(5..).map(|(bytes, at)| event(at, bytes)));
    let mut client = Client::connect(&auth, &pki).await;
    let (events, key) = client.events(5, 7, 100, "").await.expect("a page");
    assert_eq!((events, key.as_str()), (odd.map(Bytes::from_static).to_vec(), ""));
    let call = auth.calls().pop().expect("one call");
    assert_eq!(call.request["from"], "1970-01-01T00:00:05Z");
    assert_eq!(auth.tally().methods["GetEvents"].events, 3);
}

#[tokio::test]
async fn paging_loses_nothing_while_late_events_arrive() {
    let pki = Pki::new();
    let auth = start(&pki);
    auth.append((100..150).map(|at| event(at, b"early")));
    let mut client = Client::connect(&auth, &pki).await;
    let (mut key, mut early, mut late, mut pages) = (String::new(), 0, 0, 0);
    loop {
        let (events, next) = client.events(100, 200, 7, &key).await.expect("a page");
        early += events.iter().filter(|bytes| bytes[..] == b"early"[..]).count();
        late += events.iter().filter(|bytes| bytes[..] == b"late"[..]).count();
        pages += 1;
        if pages <= 5 {
            auth.append([event(101, b"late")]);
        }
        if next.is_empty() {
            break;
        }
        key = next;
    }
    assert_eq!((early, late, pages), (50, 5, 8));
    assert_eq!((auth.tally().log, auth.tally().log_served), (55, 55));
    let refused = client.events(99, 200, 7, &key).await.expect_err("the key of another search");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let moved = client.events(100, 300, 7, &key).await.expect("the end may move");
    assert!(!moved.0.is_empty());
}

#[tokio::test]
async fn session_streams_start_and_break_as_asked() {
    const PATH: &str = "/proto.AuthService/StreamSessionEvents";
    let pki = Pki::new();
    let auth = start(&pki);
    auth.store(|store| {
        let parts: [&'static [u8]; 4] = [b"a", b"b", b"\x00", b"d"];
        store.append_recording("sid", parts.iter().zip(0..).map(|(part, at)| event(at, part)));
    });
    let mut client = Client::connect(&auth, &pki).await;
    let ask = |session: &str, start: u8| {
        let mut request = Vec::new();
        put(&mut request, 0x0a, session.as_bytes());
        request.extend([0x10, start]);
        request
    };
    let events = client.call(PATH, ask("sid", 1)).await.expect("a stream");
    assert_eq!(events, [&b"b"[..], b"\x00", b"d"]);
    let missing = client.call(PATH, ask("other", 0)).await.expect_err("not there");
    assert_eq!(missing.code(), Code::NotFound);
    auth.set(|switches| switches.break_sessions_after = Some(2));
    let broken = client.call(PATH, ask("sid", 0)).await.expect_err("broken off");
    assert_eq!(broken.code(), Code::Unavailable);
    assert_eq!(auth.tally().methods["StreamSessionEvents"].events, 5);
}

#[tokio::test]
async fn recordings_are_damaged_held_and_counted_as_asked() {
    const PATH: &str = "/proto.AuthService/StreamSessionEvents";
    let pki = Pki::new();
    let auth = start(&pki);
    auth.store(|store| {
        for session in ["good", "bad"] {
            store.append_recording(session, (0..5).map(|at| event(at, b"x")));
        }
    });
    let ask = |session: &str, start: u8| {
        let mut request = Vec::new();
        put(&mut request, 0x0a, session.as_bytes());
        request.extend([0x10, start]);
        request
    };
    let counts = |tally: &AuthTally| {
        (tally.sessions_open, tally.sessions_most_open, tally.sessions_cancelled)
    };
    let damaged = DamagedRecording {
        session: "bad".to_owned(),
        at: 3,
        count: Some(3),
        ..DamagedRecording::default()
    };
    auth.set(|switches| switches.damaged_recordings.push(damaged));
    let mut client = Client::connect(&auth, &pki).await;
    for (from, sent) in [(0, 3), (2, 4), (4, 4)] {
        let broken = client.call(PATH, ask("bad", from)).await.expect_err("it is damaged");
        assert_eq!(
            (broken.code(), broken.message()),
            (Code::Internal, "session record is corrupted")
        );
        assert_eq!(auth.tally().methods["StreamSessionEvents"].events, sent);
    }
    for session in ["bad", "good"] {
        assert_eq!(client.call(PATH, ask(session, 0)).await.expect("a stream").len(), 5);
    }
    auth.wait(|tally| counts(tally) == (0, 1, 0)).await;

    // One is left, the other goes on.
    auth.set(|switches| switches.hold_sessions_after = Some(2));
    let mut second = Client::connect(&auth, &pki).await;
    {
        let left = second.call(PATH, ask("good", 0));
        tokio::select! {
            _ = left => unreachable!("it is held"),
            _ = auth.wait(|tally| tally.methods["StreamSessionEvents"].events == 16) => {}
        }
    }
    auth.wait(|tally| counts(tally) == (0, 1, 1)).await;
    let release = async {
        auth.wait(|tally| counts(tally) == (1, 1, 1)).await;
        auth.set(|switches| switches.hold_sessions_after = None);
    };
    let (events, ()) = tokio::join!(client.call(PATH, ask("good", 0)), release);
    assert_eq!(events.expect("a stream").len(), 5);
}

#[tokio::test]
async fn an_upgrade_cuts_connections_and_changes_the_version() {
    let pki = Pki::new();
    let auth = start(&pki);
    let mut client = Client::connect(&auth, &pki).await;
    assert_eq!(client.ping().await.expect("an answer"), "13.3.8");
    auth.upgrade("15.0.0-dev").await;
    client.ping().await.expect_err("the connection is gone");
    let mut client = Client::connect(&auth, &pki).await;
    assert_eq!(client.ping().await.expect("an answer"), "15.0.0-dev");
    let pings = auth.tally().pings;
    assert_eq!((pings["13.3.8"], pings["15.0.0-dev"]), (1, 1));
}

#[tokio::test]
async fn fails_as_told_and_knows_no_other_call() {
    let pki = Pki::new();
    let auth = start(&pki);
    let mut client = Client::connect(&auth, &pki).await;
    for path in [
        "/proto.AuthService/GetRoles",
        "/teleport.auditlog.v1.AuditLogService/GetUnstructuredEvents",
    ] {
        let error = client.call(path, Vec::new()).await.expect_err("not there");
        assert_eq!(error.code(), Code::Unimplemented, "{path}");
    }
    auth.set(|switches| {
        switches.fail = vec![CallFault {
            code: Code::ResourceExhausted.into(),
            count: Some(1),
            method: "Ping".to_owned(),
            message: "slow down".to_owned(),
        }];
        switches.unimplemented = vec!["GetEvents".to_owned()];
    });
    let error = client.ping().await.expect_err("told to fail");
    assert_eq!((error.code(), error.message()), (Code::ResourceExhausted, "slow down"));
    client.ping().await.expect("only once");
    let error = client.events(0, 1, 1, "").await.expect_err("switched off");
    assert_eq!(error.code(), Code::Unimplemented);
}

fn artifact(payload: &[u8]) -> Artifact {
    use base64::Engine;
    let manifest = json!({
        "v": 1, "kind": "module", "abi": 1, "auth_version": "15.0.0-dev", "size": payload.len(),
        "sha256": "0a".repeat(32),
    });
    let payload64 = base64::engine::general_purpose::STANDARD.encode(manifest.to_string());
    let envelope = json!({ "payloadType": "t", "payload": payload64, "signatures": [] });
    Artifact::new(envelope.to_string().into(), Bytes::copy_from_slice(payload)).expect("one")
}

#[tokio::test]
async fn serves_artifacts_and_can_damage_them() {
    const PATH: &str = "/ev.decoder.v1.DecoderModuleService/GetArtifact";
    let pki = Pki::new();
    let auth = start(&pki);
    let mut client = Client::connect(&auth, &pki).await;
    let payload: Vec<u8> = (0..150_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    auth.offer(artifact(&payload));
    let ask = |version: &str, held: &[u8]| {
        let mut request = Vec::new();
        put(&mut request, 0x0a, version.as_bytes());
        put(&mut request, 0x12, &[2, 1]);
        put(&mut request, 0x1a, &[1]);
        put(&mut request, 0x2a, held);
        request
    };
    let whole = |messages: &[Bytes]| {
        messages.iter().flat_map(|part| field(part, 3)).flatten().collect::<Vec<u8>>()
    };
    let other = client.call(PATH, ask("18.0.0-dev", b"")).await.expect_err("not offered");
    assert_eq!(other.code(), Code::NotFound);
    let messages = client.call(PATH, ask("15.0.0-dev", b"")).await.expect("an artifact");
    assert_eq!((messages.len(), whole(&messages)), (4, payload.clone()));
    let messages = client.call(PATH, ask("15.0.0-dev", &[10; 32])).await.expect("an answer");
    assert_eq!(messages, [&[0x0a, 0][..]]);
    let only = [ask("15.0.0-dev", b""), vec![0x30, 1]].concat();
    let messages = client.call(PATH, only).await.expect("an envelope");
    assert_eq!((messages.len(), whole(&messages).len()), (1, 0));
    auth.set(|switches| switches.flip_artifact_byte = true);
    let damaged = whole(&client.call(PATH, ask("15.0.0-dev", &[10; 32])).await.expect("bytes"));
    let differing = damaged.iter().zip(&payload).filter(|(a, b)| a != b).count();
    assert_eq!((damaged.len(), differing), (payload.len(), 1));
    let tally = auth.tally();
    assert_eq!((tally.artifacts_sent, tally.artifacts_flipped), (2, 1));
    assert_eq!(tally.artifact_bytes, 300_000);
}

#[tokio::test]
async fn is_driven_over_http() {
    let pki = Pki::new();
    let auth = Arc::new(start(&pki));
    let server = auth.serve_admin(loopback().expect("a port")).expect("an admin address");
    let admin = AdminClient::new(server.addr());
    let lines = b"{\"oneof\":\"AQ==\",\"time\":\"1970-01-01T00:00:09Z\",\"event_type\":\"t\"}\n\
        {\"oneof\":\"Ag==\",\"recording\":\"s\",\"index\":3}\n";
    let counts: Value = admin.post_bytes("/append", lines).await.expect("good lines");
    assert_eq!(counts, json!({ "log": 1, "recorded": 1 }));
    let _: Value = admin.post("/upgrade", &json!({ "version": "16.1.0" })).await.expect("done");
    let mut client = Client::connect(&auth, &pki).await;
    assert_eq!(client.ping().await.expect("an answer"), "16.1.0");
    assert_eq!(client.events(9, 9, 9, "").await.expect("a page").0, [&[1][..]]);
    let tally: AuthTally = admin.get("/tally").await.expect("counts");
    assert_eq!(tally, auth.tally());
    let calls: Vec<Value> = admin.get("/calls").await.expect("calls");
    assert_eq!(calls.len(), 2);
    let refused = admin.post::<Value>("/offer", &json!({ "directory": "/nowhere" })).await;
    assert!(refused.is_err());
}
