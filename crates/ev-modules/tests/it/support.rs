//! Artifacts, places, loaders and a clock that do what a test says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ev_core::{
    ArtifactError, ArtifactKind, ArtifactRequest, ArtifactSource, AuthVersion, BoxFuture, Cost,
    Decoder, DecoderError, DecoderIdentity, DecoderKind, Env, FetchedArtifact, Flavour, Mode,
    Output, RawEvent, SignedArtifact, Timestamp,
};
use ev_modules::{Embedded, Load, LoadError, Manifest, SigningKey, Verified, sha256};

/// 2025-11-17T12:02:09Z
pub(crate) const NOW: Timestamp = Timestamp::new(1_763_380_929, 0);

pub(crate) fn version(text: &str) -> AuthVersion {
    AuthVersion::new(text)
}

/// The manifest of a good table for 18.1.0.
pub(crate) fn manifest(key: &SigningKey, payload: &[u8]) -> Manifest {
    Manifest {
        kind: ArtifactKind::Table,
        abi: 1,
        auth_version: version("18.1.0"),
        schema_sha256: sha256(payload),
        sha256: sha256(payload),
        size: payload.len() as u64,
        created: NOW,
        key_id: key.key_id(),
    }
}

pub(crate) fn signed(key: &SigningKey, manifest: &Manifest, payload: &[u8]) -> SignedArtifact {
    SignedArtifact { envelope: key.sign(manifest).into(), payload: Bytes::copy_from_slice(payload) }
}

/// A good table for 18.1.0.
pub(crate) fn table(key: &SigningKey, payload: &[u8]) -> SignedArtifact {
    signed(key, &manifest(key, payload), payload)
}

/// The clock of tokio, which tests pause; jitter takes the whole limit.
pub(crate) struct TestEnv {
    start: tokio::time::Instant,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        Self { start: tokio::time::Instant::now() }
    }
}

impl Env for TestEnv {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> u64 {
        0
    }

    fn jitter(&self, limit: Duration) -> Duration {
        limit
    }
}

/// A decoder that is only ever asked who it is.
pub(crate) struct StubDecoder(DecoderIdentity);

impl StubDecoder {
    pub(crate) fn new(kind: DecoderKind, auth: &AuthVersion, schema_sha256: [u8; 32]) -> Self {
        Self(DecoderIdentity {
            kind,
            auth_version: auth.clone(),
            schema_sha256,
            artifact_sha256: None,
            flavour: Flavour::Go,
        })
    }
}

impl Decoder for StubDecoder {
    fn identity(&self) -> &DecoderIdentity {
        &self.0
    }

    fn cost(&self) -> Cost {
        Cost::Inline
    }

    fn decode(&self, _: &[RawEvent], _: Mode, _: &mut Output) -> Result<(), DecoderError> {
        Err(DecoderError::new("not meant to decode"))
    }
}

pub(crate) fn embedded(auth: &str) -> Embedded {
    let auth_version = version(auth);
    let schema_sha256 = sha256(auth.as_bytes());
    let decoder = Arc::new(StubDecoder::new(DecoderKind::Native, &auth_version, schema_sha256));
    Embedded { auth_version, schema_sha256, decoder }
}

/// Loads any payload but those that start with `bad`; counts its calls.
#[derive(Default)]
pub(crate) struct TestLoad {
    pub(crate) calls: AtomicUsize,
}

impl Load for TestLoad {
    fn load(&self, verified: Verified) -> Result<Arc<dyn Decoder>, LoadError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if verified.payload().starts_with(b"bad") {
            return Err(LoadError::new("self-test failed"));
        }
        assert!(!verified.payload().starts_with(b"panic"), "a defect in the loader");
        let manifest = verified.manifest();
        let kind = match manifest.kind {
            ArtifactKind::Table => DecoderKind::Table,
            ArtifactKind::Module => DecoderKind::Module,
        };
        Ok(Arc::new(StubDecoder::new(kind, &manifest.auth_version, manifest.schema_sha256)))
    }
}

/// What a place answers next.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Nothing is offered.
    Nothing,
    /// An artifact, or "not modified" if it is held.
    Offer(SignedArtifact),
    /// An artifact, after a while.
    Late(Duration, SignedArtifact),
    /// Always "not modified".
    Unmodified,
    /// It cannot be reached.
    Unreachable,
    /// It never answers.
    Silence,
}

/// A place with artifacts: gives its answers in turn, the last one for ever.
pub(crate) struct TestSource {
    answers: Mutex<VecDeque<Answer>>,
    envelopes: bool,
    pub(crate) requests: Mutex<Vec<ArtifactRequest>>,
    pub(crate) downloads: AtomicUsize,
}

impl TestSource {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            envelopes: false,
            requests: Mutex::default(),
            downloads: AtomicUsize::new(0),
        })
    }

    /// One that can give envelopes alone.
    pub(crate) fn with_envelopes(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new([answer].into()),
            envelopes: true,
            requests: Mutex::default(),
            downloads: AtomicUsize::new(0),
        })
    }

    pub(crate) fn then(&self, answer: Answer) {
        *self.answers.lock().unwrap() = [answer].into();
    }

    pub(crate) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(crate) fn downloads(&self) -> usize {
        self.downloads.load(Ordering::SeqCst)
    }

    fn next(&self) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        let next = answers.front().cloned().expect("a test gives at least one answer");
        if answers.len() > 1 {
            answers.pop_front();
        }
        next
    }
}

impl ArtifactSource for TestSource {
    fn name(&self) -> &str {
        "test"
    }

    fn fetch(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<FetchedArtifact, ArtifactError>> {
        self.requests.lock().unwrap().push(request.clone());
        let answer = self.next();
        Box::pin(async move {
            match answer {
                Answer::Nothing => Ok(FetchedArtifact::NotOffered),
                Answer::Unmodified => Ok(FetchedArtifact::NotModified),
                Answer::Offer(artifact)
                    if request.held_sha256 == Some(sha256(&artifact.payload)) =>
                {
                    Ok(FetchedArtifact::NotModified)
                }
                Answer::Offer(artifact) => {
                    self.downloads.fetch_add(1, Ordering::SeqCst);
                    Ok(FetchedArtifact::Artifact(artifact))
                }
                Answer::Late(after, artifact) => {
                    tokio::time::sleep(after).await;
                    Ok(FetchedArtifact::Artifact(artifact))
                }
                Answer::Unreachable => Err(ArtifactError {
                    from: "test".to_owned(),
                    message: "connection refused".to_owned(),
                    source: None,
                }),
                Answer::Silence => std::future::pending().await,
            }
        })
    }

    fn envelope(&self, _: ArtifactRequest) -> BoxFuture<'_, Result<Option<Bytes>, ArtifactError>> {
        let envelope = match self.answers.lock().unwrap().front() {
            Some(Answer::Offer(artifact)) if self.envelopes => Some(artifact.envelope.clone()),
            _ => None,
        };
        Box::pin(std::future::ready(Ok(envelope)))
    }
}
