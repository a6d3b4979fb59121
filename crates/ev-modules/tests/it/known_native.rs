//! `Exactness::KnownNative`: known events never wait for an artifact.

use std::sync::Arc;

use ev_core::{Choice, DecoderIdentity, DecoderKind, DecoderSet};
use ev_modules::{Exactness, Manifest, SigningKey, sha256};

use crate::rig::{PARKED, Rig, Setup, key};
use crate::support::{Answer, TestSource, embedded, manifest, signed, table};

fn start(key: &SigningKey, source: &Arc<TestSource>) -> Rig {
    let mut setup = Setup::new(key, &[source]);
    setup.settings.exactness = Exactness::KnownNative;
    setup.start()
}

/// Waits, by the registry's own word, for so many artifacts.
async fn accepted(rig: &Rig, count: u64) {
    while rig.registry.counts().accepted < count {
        let seen = rig.registry.generation();
        rig.registry.changed(seen).await;
    }
}

fn identity(rig: &Rig) -> DecoderIdentity {
    match rig.choose("18.1.0") {
        Choice::Inexact { decoder, .. } => decoder.identity().clone(),
        other => panic!("it was {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn known_native_never_waits() {
    let key = key();
    let source = TestSource::new([Answer::Unreachable]);
    let mut setup = Setup::new(&key, &[&source]);
    setup.settings.exactness = Exactness::KnownNative;
    let rig = setup.start();
    assert_eq!(rig.state("18.1.0"), PARKED);
    // With the artifact, the nearest still comes first: counted as inexact.
    source.then(Answer::Offer(table(&key, b"table")));
    while rig.registry.counts().accepted == 0 {
        let seen = rig.registry.generation();
        rig.registry.changed(seen).await;
    }
    assert_eq!(rig.state("18.1.0"), PARKED);
    // An embedded table of that very version is exact.
    assert_eq!(rig.state("18.0.0-dev"), "exact native 18.0.0-dev");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_artifact_makes_it_another_decoder() {
    let key = key();
    let source = TestSource::new([Answer::Unreachable]);
    let rig = start(&key, &source);
    let before = identity(&rig);
    assert_eq!(before.artifact_sha256, None);
    // Events parked as unknown are tried again when the decoder has another identity.
    source.then(Answer::Offer(table(&key, b"table")));
    accepted(&rig, 1).await;
    let with_artifact = identity(&rig);
    assert_ne!(with_artifact, before);
    assert_eq!(with_artifact.artifact_sha256, Some(sha256(b"table")));
    assert_eq!(with_artifact.kind, DecoderKind::Native);
    assert_eq!(identity(&rig), with_artifact, "the same as long as nothing changes");
    source.then(Answer::Offer(table(&key, b"newer")));
    accepted(&rig, 2).await;
    assert_eq!(identity(&rig).artifact_sha256, Some(sha256(b"newer")));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_embedded_table_that_an_envelope_names_is_exact() {
    let key = key();
    let schema_sha256 = embedded("18.0.0-dev").schema_sha256;
    let named = Manifest { schema_sha256, ..manifest(&key, b"table") };
    let source = TestSource::new([Answer::Offer(signed(&key, &named, b"table"))]);
    let rig = start(&key, &source);
    assert_eq!(rig.state("18.1.0"), PARKED, "it does not wait for the envelope");
    rig.until("18.1.0", "exact native 18.0.0-dev").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_artifact_is_failing_the_nearest_works_alone() {
    let key = key();
    let source = TestSource::new([Answer::Offer(table(&key, b"table"))]);
    let rig = start(&key, &source);
    assert_eq!(rig.state("18.1.0"), PARKED);
    accepted(&rig, 1).await;
    let both = identity(&rig);
    rig.fail_for_long().await;
    assert_eq!(identity(&rig).artifact_sha256, None);
    accepted(&rig, 2).await;
    assert_eq!(identity(&rig), both);
    rig.end().await;
}
