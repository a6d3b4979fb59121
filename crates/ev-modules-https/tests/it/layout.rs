//! What is asked for, and what the answers mean.

use ev_core::{ArtifactKind, ArtifactRequest, ArtifactSource, AuthVersion, FetchedArtifact};
use ev_modules::sha256;

use crate::server::{Reply, Rig, make, payload, request};

const TABLE: &str = "/ev/18.1.0/table-v1.evt";
const TABLE_2: &str = "/ev/18.1.0/table-v2.evt";
const MODULE: &str = "/ev/18.1.0/module-abi1.wasm";

fn envelope_of(path: &str) -> String {
    format!("{path}.dsse.json")
}

impl Rig {
    /// What is wrong with what is offered, with the server's address as `BASE`.
    async fn trouble(&self, request: ArtifactRequest) -> String {
        let error = self.source.fetch(request).await.unwrap_err();
        assert_eq!(error.from, self.url("/ev"));
        error.message.replace(&self.url("/ev"), "BASE")
    }
}

#[tokio::test]
async fn the_envelope_comes_first_and_the_artifact_over_the_same_connection() {
    let rig = Rig::new().await;
    rig.offer(ArtifactKind::Table, 1, b"table");
    let FetchedArtifact::Artifact(artifact) = rig.source.fetch(request()).await.unwrap() else {
        panic!("it is offered");
    };
    let made = make(&rig.key, "18.1.0", ArtifactKind::Table, 1, b"table");
    assert_eq!((artifact.envelope, artifact.payload), (made.envelope, made.payload));
    let asked = [envelope_of(TABLE_2), envelope_of(TABLE), TABLE.to_owned()];
    assert_eq!(rig.server.take_seen(), asked, "the newest format first");
    assert_eq!(rig.server.connections(), 1);
    assert_eq!(rig.source.name(), rig.url("/ev"));
}

#[tokio::test]
async fn what_is_held_is_not_downloaded() {
    let rig = Rig::new().await;
    rig.offer(ArtifactKind::Table, 1, b"table");
    let held = ArtifactRequest { held_sha256: Some(sha256(b"table")), ..request() };
    let answer = rig.source.fetch(held.clone()).await.unwrap();
    assert!(matches!(answer, FetchedArtifact::NotModified), "{answer:?}");
    assert!(!rig.server.take_seen().contains(&TABLE.to_owned()), "the envelope was enough");
    rig.offer(ArtifactKind::Table, 1, b"other");
    assert_eq!(payload(rig.source.fetch(held).await.unwrap()), b"other");
}

#[tokio::test]
async fn the_envelope_alone() {
    let rig = Rig::new().await;
    assert_eq!(rig.source.envelope(request()).await.unwrap(), None);
    rig.offer(ArtifactKind::Module, 1, b"module");
    let made = make(&rig.key, "18.1.0", ArtifactKind::Module, 1, b"module");
    assert_eq!(rig.source.envelope(request()).await.unwrap(), Some(made.envelope));
    assert!(!rig.server.take_seen().contains(&MODULE.to_owned()));
}

#[tokio::test]
async fn kinds_in_the_order_of_the_request() {
    let rig = Rig::new().await;
    rig.offer(ArtifactKind::Module, 1, b"module");
    assert_eq!(payload(rig.source.fetch(request()).await.unwrap()), b"module");
    rig.offer(ArtifactKind::Table, 1, b"table 1");
    assert_eq!(payload(rig.source.fetch(request()).await.unwrap()), b"table 1");
    rig.offer(ArtifactKind::Table, 2, b"table 2");
    assert_eq!(payload(rig.source.fetch(request()).await.unwrap()), b"table 2");
    let kinds = vec![ArtifactKind::Module, ArtifactKind::Table];
    let modules_first = ArtifactRequest { kinds, ..request() };
    assert_eq!(payload(rig.source.fetch(modules_first).await.unwrap()), b"module");
}

#[tokio::test]
async fn what_is_not_there_is_not_offered() {
    let rig = Rig::new().await;
    let not_offered = async |request: ArtifactRequest| {
        let answer = rig.source.fetch(request).await.unwrap();
        assert!(matches!(answer, FetchedArtifact::NotOffered), "{answer:?}");
    };
    not_offered(request()).await;
    assert_eq!(rig.server.take_seen().len(), 3, "each file once");
    assert_eq!(rig.server.connections(), 1);
    rig.offer(ArtifactKind::Table, 1, b"table");
    not_offered(ArtifactRequest { kinds: vec![ArtifactKind::Module], ..request() }).await;
    not_offered(ArtifactRequest { table_formats: vec![3], ..request() }).await;
    let other = AuthVersion::new("18.1.1");
    not_offered(ArtifactRequest { auth_version: other, ..request() }).await;
}

#[tokio::test]
async fn a_version_never_leads_out_of_the_base() {
    let rig = Rig::new().await;
    rig.server.offer("", &make(&rig.key, "18.1.0", ArtifactKind::Table, 1, b"secret"));
    for odd in ["../18.1.0", "..", "", "a/b", "18.1.0?x", "18.1.0#", "%2e%2e", "\r\n"] {
        let request = ArtifactRequest { auth_version: AuthVersion::new(odd), ..request() };
        let answer = rig.source.fetch(request).await.unwrap();
        assert!(matches!(answer, FetchedArtifact::NotOffered), "{odd}");
    }
    assert_eq!(rig.server.take_seen(), [""; 0], "it is not even asked");
}

#[tokio::test]
async fn names_are_escaped_and_a_query_goes_with_every_request() {
    let rig = Rig::with("/ev/", "?sig=s3cret").await;
    let made = make(&rig.key, "18.1.0+x", ArtifactKind::Table, 2, b"table");
    for (name, body) in
        [("table-v2.evt", &made.payload), ("table-v2.evt.dsse.json", &made.envelope)]
    {
        rig.server.put(&format!("/ev/18.1.0%2Bx/{name}"), body.clone());
    }
    let wanted = ArtifactRequest { auth_version: AuthVersion::new("18.1.0+x"), ..request() };
    assert_eq!(payload(rig.source.fetch(wanted.clone()).await.unwrap()), b"table");
    let seen = rig.server.take_seen();
    assert!(seen.iter().all(|path| path.ends_with("?sig=s3cret")), "{seen:?}");
    assert_eq!(rig.source.versions().await.unwrap(), None);
    assert_eq!(rig.server.take_seen(), ["/ev/versions.json?sig=s3cret"]);
    // And into no text.
    rig.server.remove("/ev/18.1.0%2Bx/table-v2.evt");
    let error = rig.source.fetch(wanted).await.unwrap_err();
    let text = format!("{error} {error:?} {:?} {}", rig.source, rig.source.name());
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("/ev/18.1.0%2Bx/table-v2.evt` is missing"), "{text}");
}

#[tokio::test]
async fn an_envelope_without_its_artifact_is_told() {
    let rig = Rig::new().await;
    rig.offer(ArtifactKind::Table, 1, b"table");
    rig.server.remove(TABLE);
    assert_eq!(
        rig.trouble(request()).await,
        "`BASE/18.1.0/table-v1.evt` is missing, although its envelope is there"
    );
}

#[tokio::test]
async fn an_envelope_that_cannot_be_read_brings_no_artifact_with_it() {
    let rig = Rig::new().await;
    rig.offer(ArtifactKind::Table, 1, b"table");
    rig.server.put(&envelope_of(TABLE), "<html>");
    let FetchedArtifact::Artifact(artifact) = rig.source.fetch(request()).await.unwrap() else {
        panic!("whoever verifies it tells what is wrong");
    };
    assert_eq!((&artifact.envelope[..], &artifact.payload[..]), (&b"<html>"[..], &b""[..]));
    assert!(!rig.server.take_seen().contains(&TABLE.to_owned()));
}

#[tokio::test]
async fn what_is_too_large_is_not_downloaded() {
    let rig = Rig::new().await;
    // By its manifest.
    rig.offer(ArtifactKind::Table, 1, &[0; 1001]);
    assert_eq!(
        rig.trouble(request()).await,
        "`BASE/18.1.0/table-v1.evt` has 1001 bytes by its manifest, more than the limit of 1000"
    );
    assert!(!rig.server.take_seen().contains(&TABLE.to_owned()));
    rig.offer(ArtifactKind::Table, 1, &[0; 1000]);
    assert_eq!(payload(rig.source.fetch(request()).await.unwrap()).len(), 1000);
    // By what comes.
    rig.server.put(TABLE, vec![0; 1001]);
    assert_eq!(
        rig.trouble(request()).await,
        "`BASE/18.1.0/table-v1.evt` is larger than the limit of 1000 bytes"
    );
    rig.server.put(&envelope_of(TABLE), vec![b' '; 65_537]);
    assert_eq!(
        rig.trouble(request()).await,
        "`BASE/18.1.0/table-v1.evt.dsse.json` is larger than the limit of 65536 bytes"
    );
}

#[tokio::test]
async fn every_other_answer_is_an_error_that_says_what_to_do() {
    let rig = Rig::new().await;
    rig.offer(ArtifactKind::Table, 1, b"table");
    let check = async |reply: Reply, expected: &str| {
        for path in [TABLE.to_owned(), envelope_of(TABLE)] {
            rig.offer(ArtifactKind::Table, 1, b"table");
            rig.server.reply(&path, reply.clone());
            let expected = format!("`{}` answered {expected}", path.replace("/ev", "BASE"));
            assert_eq!(rig.trouble(request()).await, expected);
        }
    };
    check(
        Reply::status(302).header("location", rig.url("/moved?sig=s3cret")),
        &format!(
            "302 Found, a redirect to `{}`, which is not followed: set the address where the \
             artifacts are",
            rig.url("/moved")
        ),
    )
    .await;
    let seen = rig.server.take_seen();
    assert!(!seen.iter().any(|path| path.starts_with("/moved")), "{seen:?}");
    check(
        Reply::status(403),
        "403 Forbidden; let this client read it, by its certificate if need be, and let the \
         server answer 404 for what is not there",
    )
    .await;
    check(Reply::status(503), "503 Service Unavailable; it is tried again").await;
    check(
        Reply::status(206),
        "206 Partial Content; see whether the address is that of the artifacts",
    )
    .await;
}

#[tokio::test]
async fn what_comes_compressed_is_told() {
    let rig = Rig::new().await;
    rig.offer(ArtifactKind::Table, 1, b"table");
    rig.server.reply(TABLE, Reply::status(200).header("content-encoding", "gzip"));
    assert_eq!(
        rig.trouble(request()).await,
        "`BASE/18.1.0/table-v1.evt` came in the encoding `gzip`, which was not asked for: let the \
         server send it as it is"
    );
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_dialled_again() {
    let rig = Rig::new().await;
    rig.offer(ArtifactKind::Table, 2, b"table");
    let made = make(&rig.key, "18.1.0", ArtifactKind::Table, 2, b"table");
    let reply = Reply { body: made.envelope, ..Reply::status(200) };
    rig.server.reply(&envelope_of(TABLE_2), reply.header("connection", "close"));
    assert_eq!(payload(rig.source.fetch(request()).await.unwrap()), b"table");
    assert_eq!(rig.server.connections(), 2);
}
