//! One attempt to get the artifact for a version: the state first, then each place in turn.

use std::sync::Arc;

use bytes::Bytes;
use ev_core::{
    ArtifactKind, ArtifactRequest, ArtifactSource, AuthVersion, BoxFuture, Decoder,
    FetchedArtifact, SignedArtifact,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::entry::{Held, Outcome, Task, Usable};
use super::{Inner, LoadError};
use crate::envelope::Claims;
use crate::hex;
use crate::refusal::Refusal;
use crate::trust::Trust;
use crate::verify::{Expectation, verify, verify_envelope};

/// Why an artifact is not used.
#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("artifact is for {version}, older than {highest}, and the downgrade policy forbids it")]
    Downgrade { version: AuthVersion, highest: AuthVersion },
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Rejected {
    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Downgrade { .. } => "downgrade",
            Self::Load(_) => "load-failed",
        }
    }
}

/// What one place had.
pub(super) enum Found {
    Ready(Usable, SignedArtifact),
    NotModified,
    NotOffered,
    Refused,
    Unreachable,
}

pub(super) async fn attempt(
    inner: Arc<Inner>,
    version: AuthVersion,
    task: Task,
    stop: CancellationToken,
) -> (AuthVersion, Outcome) {
    let attempt = Attempt { inner: &inner, version: &version, stop, trust: inner.trust() };
    let mut outcome = attempt.run(task).await;
    if let Outcome::Ready { usable, .. } = &outcome
        && attempt.is_refused_by_now(usable)
    {
        outcome = Outcome::Failed { offered: true };
    }
    (version, outcome)
}

/// One attempt. The version of an artifact is named in each call, because it may be another than
/// that of Auth ([`super::VersionPolicy`]).
pub(super) struct Attempt<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) version: &'a AuthVersion,
    stop: CancellationToken,
    /// Whose signatures counted when it began.
    trust: Arc<Trust>,
}

impl Attempt<'_> {
    async fn run(&self, task: Task) -> Outcome {
        if task.try_cache
            && let Some(outcome) = self.cached().await
        {
            return outcome;
        }
        let (mut offered, mut unreachable) = (false, false);
        for source in &self.inner.sources {
            match self.ask(source.as_ref(), self.version, task.held.as_ref()).await {
                Found::Ready(usable, artifact) => return self.ready(usable, artifact).await,
                Found::NotModified => return Outcome::NotModified,
                Found::NotOffered => {}
                Found::Refused => offered = true,
                Found::Unreachable => unreachable = true,
            }
        }
        // One that is offered is no absence. A place that does not answer may have the exact one,
        // which is waited for as long as events may wait.
        if !offered && !task.has_exact && (!unreachable || task.overdue) {
            match self.nearest(task.held.as_ref()).await {
                Found::Ready(usable, artifact) => return self.ready(usable, artifact).await,
                Found::NotModified => return Outcome::NotModified,
                Found::NotOffered => {}
                Found::Refused => offered = true,
                Found::Unreachable => unreachable = true,
            }
        }
        if task.else_kept
            && !self.stop.is_cancelled()
            && let Some(outcome) = self.cached().await
        {
            return outcome;
        }
        if offered || unreachable { Outcome::Failed { offered } } else { Outcome::NotOffered }
    }

    /// The trust file may have changed while this was fetched and compiled.
    fn is_refused_by_now(&self, usable: &Usable) -> bool {
        if Arc::ptr_eq(&self.trust, &self.inner.trust()) {
            return false;
        }
        let refusal = self.inner.refusal(usable);
        if let Some(refusal) = refusal.clone() {
            self.log_refused("the trust file's change", &usable.envelope, &refusal.into());
        }
        refusal.is_some()
    }

    async fn ready(&self, usable: Usable, artifact: SignedArtifact) -> Outcome {
        // What is kept from before may be better.
        if self.is_refused_by_now(&usable) {
            return Outcome::Failed { offered: true };
        }
        self.keep(artifact).await;
        Outcome::Ready { usable, cached: false }
    }

    /// The last good artifact, kept from an earlier run. It was verified then, but the trust file
    /// may have changed, and so may the file it is kept in.
    async fn cached(&self) -> Option<Outcome> {
        let store = Arc::clone(self.inner.store.as_ref()?);
        let version = self.version.clone();
        let artifact = match blocking(move || store.artifact(&version)).await {
            Ok(Ok(artifact)) => artifact?,
            Ok(Err(error)) => {
                warn!(version = %self.version, error = %ev_core::chain(&error), "kept decoder artifact cannot be read");
                return None;
            }
            Err(error) => {
                warn!(version = %self.version, error = %error.message, "kept decoder artifact cannot be read");
                return None;
            }
        };
        let envelope = artifact.envelope.clone();
        let of = self.kept_version(&envelope);
        match self.accept(artifact, &of).await {
            Ok(usable) => {
                self.log_accepted("state", &usable);
                Some(Outcome::Ready { usable, cached: true })
            }
            Err(rejected) => {
                self.log_refused("state", &envelope, &rejected);
                None
            }
        }
    }

    /// Asks one place for the artifact of a version, and when a kind is refused there, for the
    /// other kinds: a damaged table must not hide a good module.
    pub(super) async fn ask(
        &self,
        source: &dyn ArtifactSource,
        of: &AuthVersion,
        held: Option<&Held>,
    ) -> Found {
        // What is held for another version is not what is asked for, though its bytes be the same.
        let held = held.filter(|held| held.of == *of).map(|held| held.sha256);
        let mut kinds = self.inner.settings.kinds.clone();
        let mut refused = false;
        while !kinds.is_empty() {
            let request = self.request(of, kinds.clone(), held);
            if let Some(decided) = self.by_envelope(source, &request).await {
                return decided;
            }
            let artifact = match self.in_time(source, source.fetch(request)).await {
                Some(FetchedArtifact::Artifact(artifact)) => artifact,
                Some(FetchedArtifact::NotModified) => return Found::NotModified,
                Some(FetchedArtifact::NotOffered) => break,
                None => return if refused { Found::Refused } else { Found::Unreachable },
            };
            let envelope = artifact.envelope.clone();
            match self.accept(artifact.clone(), of).await {
                Ok(usable) => {
                    self.log_accepted(source.name(), &usable);
                    return Found::Ready(usable, artifact);
                }
                Err(rejected) => {
                    self.log_refused(source.name(), &envelope, &rejected);
                    refused = true;
                    // Whatever kind it claims to be was refused; without a claim, all were.
                    let claimed = Claims::read(&envelope).map(|claims| claims.manifest.kind);
                    let before = kinds.len();
                    kinds.retain(|kind| claimed.is_some_and(|claimed| *kind != claimed));
                    if kinds.len() == before {
                        break;
                    }
                }
            }
        }
        if refused { Found::Refused } else { Found::NotOffered }
    }

    /// Whether the envelope alone settles it: it names the schema of an embedded table.
    async fn by_envelope(
        &self,
        source: &dyn ArtifactSource,
        request: &ArtifactRequest,
    ) -> Option<Found> {
        let envelope = self.in_time(source, source.envelope(request.clone())).await??;
        // Unverified, but only for not answering twice: what is held was verified.
        let claims = Claims::read(&envelope)?;
        if request.held_sha256 == Some(claims.manifest.sha256) {
            return Some(Found::NotModified);
        }
        // A bad envelope is refused with its artifact, so that it is logged and counted once.
        let artifact = SignedArtifact { envelope, payload: Bytes::new() };
        let usable = self.embedded(&artifact.envelope, &request.auth_version).ok()??;
        self.log_accepted(source.name(), &usable);
        Some(Found::Ready(usable, artifact))
    }

    /// Verifies that it is the artifact `of` a version, then loads away from the event path.
    async fn accept(&self, artifact: SignedArtifact, of: &AuthVersion) -> Result<Usable, Rejected> {
        if artifact.payload.is_empty()
            && let Some(usable) = self.embedded(&artifact.envelope, of)?
        {
            return Ok(usable);
        }
        let (inner, trust) = (Arc::clone(self.inner), Arc::clone(&self.trust));
        let (version, of) = (self.version.clone(), of.clone());
        blocking(move || {
            // Hashing some MiB takes milliseconds too.
            let verified = verify(&artifact, &trust, &inner.expectation(&of))?;
            inner.check_downgrade(&version)?;
            let held = Held { sha256: verified.manifest().sha256, of };
            let decoder = match inner.embedded_with(&verified.manifest().schema_sha256) {
                Some(decoder) => decoder,
                None => inner.loader.load(verified)?,
            };
            let envelope = artifact.envelope;
            Ok(Usable { decoder, exact: held.of == version, held, envelope })
        })
        .await?
    }

    /// The embedded decoder with the schema that a good envelope names, whose artifact is then
    /// not needed.
    fn embedded(&self, envelope: &Bytes, of: &AuthVersion) -> Result<Option<Usable>, Rejected> {
        let expectation = self.inner.expectation(of);
        let verified = verify_envelope(envelope, &self.trust, &expectation)?;
        self.inner.check_downgrade(self.version)?;
        let manifest = verified.manifest();
        let Some(decoder) = self.inner.embedded_with(&manifest.schema_sha256) else {
            return Ok(None);
        };
        let held = Held { sha256: manifest.sha256, of: of.clone() };
        let envelope = envelope.clone();
        Ok(Some(Usable { decoder, exact: of == self.version, held, envelope }))
    }

    /// Keeps a good artifact for the next start. Failing to do so costs a download then.
    async fn keep(&self, artifact: SignedArtifact) {
        let Some(store) = &self.inner.store else { return };
        let store = Arc::clone(store);
        let version = self.version.clone();
        let error = match blocking(move || store.put_artifact(&version, &artifact)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => ev_core::chain(&error),
            Err(error) => error.message,
        };
        warn!(version = %self.version, error, "decoder artifact cannot be kept");
    }

    /// One answer of a place, unless it fails, takes too long, or all is being stopped.
    pub(super) async fn in_time<T>(
        &self,
        source: &dyn ArtifactSource,
        answer: BoxFuture<'_, Result<T, ev_core::ArtifactError>>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            answer = answer => match answer {
                Ok(answer) => Some(answer),
                Err(error) => {
                    warn!(version = %self.version, error = %ev_core::chain(&error), "decoder artifact not fetched");
                    None
                }
            },
            () = self.inner.env.sleep(self.inner.settings.fetch_timeout) => {
                warn!(version = %self.version, from = source.name(), "fetching decoder artifact timed out");
                None
            }
        }
    }

    fn request(
        &self,
        of: &AuthVersion,
        kinds: Vec<ArtifactKind>,
        held: Option<[u8; 32]>,
    ) -> ArtifactRequest {
        let settings = &self.inner.settings;
        ArtifactRequest {
            auth_version: of.clone(),
            max_bytes: settings.limits.of_any(&kinds),
            kinds,
            module_abis: settings.module_abis.clone(),
            table_formats: settings.table_formats.clone(),
            held_sha256: held,
        }
    }

    fn log_accepted(&self, from: &str, usable: &Usable) {
        self.inner.counts.accepted();
        if !usable.exact {
            return self.log_nearest(from, usable);
        }
        info!(
            audit = "artifact.accepted",
            version = %self.version,
            from,
            decoder = %usable.decoder.identity(),
            sha256 = hex::encode(&usable.held.sha256),
            "decoder artifact accepted"
        );
    }

    fn log_refused(&self, from: &str, envelope: &[u8], rejected: &Rejected) {
        self.inner.counts.refused();
        // What it says of itself, without any proof.
        let claims = Claims::read(envelope).map(|claims| claims.manifest);
        warn!(
            audit = "artifact.refused",
            version = %self.version,
            from,
            reason = rejected.reason(),
            error = %ev_core::chain(rejected),
            claimed_key_id = claims.as_ref().map(|manifest| manifest.key_id.to_string()),
            claimed_sha256 = claims.as_ref().map(|manifest| hex::encode(&manifest.sha256)),
            "decoder artifact refused"
        );
    }
}

impl Inner {
    pub(super) fn expectation<'a>(&'a self, version: &'a AuthVersion) -> Expectation<'a> {
        Expectation {
            auth_version: version,
            kinds: &self.settings.kinds,
            module_abis: &self.settings.module_abis,
            table_formats: &self.settings.table_formats,
            limits: self.settings.limits,
            now: self.env.now(),
        }
    }

    fn embedded_with(&self, schema_sha256: &[u8; 32]) -> Option<Arc<dyn Decoder>> {
        let embedded = self.embedded.iter().find(|e| e.schema_sha256 == *schema_sha256)?;
        Some(Arc::clone(&embedded.decoder))
    }

    fn check_downgrade(&self, version: &AuthVersion) -> Result<(), Rejected> {
        match self.forbidden_downgrade(version) {
            None => Ok(()),
            Some(highest) => Err(Rejected::Downgrade { version: version.clone(), highest }),
        }
    }
}

/// Runs work on a thread that may block. A panic in it is an error like any other: a hostile
/// artifact that finds a defect must not end the process.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadError::new(format!("blocking work ended: {error}")))
}
