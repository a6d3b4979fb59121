use bytes::Bytes;
use ev_core::{
    ArtifactKind, ArtifactRequest, ArtifactSource, AuthVersion, FetchedArtifact, Source,
};
use ev_source::AuthArtifacts;
use ev_test_support::Artifact;

use crate::rig::Rig;

const VERSION: &str = "13.3.8";

fn offered(size: usize) -> Artifact {
    Artifact {
        auth_version: VERSION.to_owned(),
        kind: ev_test_support::ArtifactKind::Table,
        abi: 1,
        sha256: "5a".repeat(32),
        envelope: Bytes::from_static(b"{\"payload\":\"\"}"),
        payload: (0..size).map(|n| u8::try_from(n % 251).expect("below 251")).collect(),
    }
}

fn request() -> ArtifactRequest {
    ArtifactRequest {
        auth_version: AuthVersion::new(VERSION),
        kinds: vec![ArtifactKind::Table, ArtifactKind::Module],
        module_abis: vec![1],
        table_formats: vec![1],
        held_sha256: None,
        max_bytes: 1 << 20,
    }
}

/// The artifacts of a source that is connected and in use elsewhere.
async fn connected(rig: &Rig) -> (ev_source::SearchSource, AuthArtifacts) {
    let mut source = rig.source(rig.config());
    let artifacts = source.artifacts();
    source.survey().await.expect("an answer");
    (source, artifacts)
}

#[tokio::test]
async fn an_artifact_comes_whole() {
    let rig = Rig::new();
    // Whole chunks, a rest, and nothing at all.
    for size in [200_000, 65_536 * 2, 1, 0] {
        let artifact = offered(size);
        rig.auth.offer(artifact.clone());
        let (_source, artifacts) = connected(&rig).await;
        assert_eq!(artifacts.name(), "auth");
        match artifacts.fetch(request()).await.expect("an artifact") {
            FetchedArtifact::Artifact(got) => {
                assert_eq!(got.payload, artifact.payload);
                assert_eq!(got.envelope, artifact.envelope);
            }
            other => panic!("{other:?}"),
        }
        let envelope = artifacts.envelope(request()).await.expect("an envelope");
        assert_eq!(envelope, Some(artifact.envelope));
    }
}

#[tokio::test]
async fn what_is_held_is_not_sent_again() {
    let rig = Rig::new();
    rig.auth.offer(offered(1000));
    let (_source, artifacts) = connected(&rig).await;
    let held = ArtifactRequest { held_sha256: Some([0x5a; 32]), ..request() };
    let fetched = artifacts.fetch(held).await.expect("an answer");
    assert!(matches!(fetched, FetchedArtifact::NotModified), "{fetched:?}");
    let other = ArtifactRequest { held_sha256: Some([0; 32]), ..request() };
    let fetched = artifacts.fetch(other).await.expect("an answer");
    assert!(matches!(fetched, FetchedArtifact::Artifact(_)), "{fetched:?}");
}

#[tokio::test]
async fn what_is_not_there_is_not_offered() {
    let rig = Rig::new();
    let (_source, artifacts) = connected(&rig).await;
    let not_offered = async |request| {
        let fetched = artifacts.fetch(request).await.expect("an answer");
        assert!(matches!(fetched, FetchedArtifact::NotOffered), "{fetched:?}");
    };
    not_offered(request()).await;
    rig.auth.offer(offered(10));
    not_offered(ArtifactRequest { kinds: vec![ArtifactKind::Module], ..request() }).await;
    not_offered(ArtifactRequest { table_formats: vec![2], ..request() }).await;
    let other = AuthVersion::new("13.3.9");
    not_offered(ArtifactRequest { auth_version: other, ..request() }).await;
    // An Auth without the service at all.
    rig.auth.set(|switches| switches.unimplemented.push("GetArtifact".to_owned()));
    not_offered(request()).await;
    assert_eq!(artifacts.envelope(request()).await.expect("an answer"), None);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_comes() {
    let rig = Rig::new();
    // More than the server can send without being read.
    const SIZE: usize = 4 << 20;
    rig.auth.offer(offered(SIZE));
    let (_source, artifacts) = connected(&rig).await;
    let small = ArtifactRequest { max_bytes: SIZE - 1, ..request() };
    let error = artifacts.fetch(small).await.expect_err("too large");
    assert_eq!(
        error.to_string(),
        "failed to fetch decoder artifact from auth: it is larger than the limit of 4194303 bytes"
    );
    assert_eq!(rig.auth.tally().artifacts_sent, 0);
    let fits = ArtifactRequest { max_bytes: SIZE, ..request() };
    assert!(artifacts.fetch(fits).await.is_ok());
}

#[tokio::test]
async fn without_a_connection_there_is_an_error_to_try_again() {
    let rig = Rig::new();
    let source = rig.source(rig.config());
    let artifacts = source.artifacts();
    let error = artifacts.fetch(request()).await.expect_err("nobody has dialled");
    assert!(error.to_string().ends_with("there is no connection to auth at the moment"));
}

#[tokio::test]
async fn another_trouble_is_an_error_to_try_again() {
    let rig = Rig::new();
    rig.auth.offer(offered(10));
    let (_source, artifacts) = connected(&rig).await;
    rig.auth.set(|switches| {
        switches.fail.push(ev_test_support::CallFault {
            code: 14,
            count: Some(1),
            method: "GetArtifact".into(),
            message: "shutting down".into(),
        });
    });
    let error = artifacts.fetch(request()).await.expect_err("unavailable");
    assert_eq!(
        error.to_string(),
        "failed to fetch decoder artifact from auth: shutting down (Unavailable)"
    );
    assert!(artifacts.fetch(request()).await.is_ok());
}
