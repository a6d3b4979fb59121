//! Where signed decoder artifacts come from. Verifying them is `ev-modules`' duty, not the
//! source's: nothing here is trusted.

use bytes::Bytes;

use crate::{AuthVersion, BoxError, BoxFuture};

/// The two kinds of artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtifactKind {
    /// A compiled schema: data, run by the handler's own decoder.
    Table,
    /// WebAssembly: can express anything, runs confined.
    Module,
}

impl ArtifactKind {
    /// The name used in manifests, settings and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Module => "module",
        }
    }
}

/// Fetches artifacts from wherever they are offered: Auth, a directory, an HTTPS address.
pub trait ArtifactSource: Send + Sync {
    /// Where this looks, for logs: `auth`, `directory …`.
    fn name(&self) -> &str;

    /// One attempt to get the artifact for one version.
    fn fetch(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<FetchedArtifact, ArtifactError>>;

    /// The envelope alone of what [`ArtifactSource::fetch`] would bring, where that is cheaper:
    /// when it names a schema that is at hand, nothing more has to be fetched. `None` when there
    /// is nothing, or no cheaper way; the default.
    fn envelope(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<Option<Bytes>, ArtifactError>> {
        drop(request);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// The versions that this place has something for, so that a nearby one can be asked for where
    /// the exact one is missing. `None`, the default, where it cannot tell, or where nothing but
    /// the exact version may be taken.
    ///
    /// A hint: whether there is an artifact, and which version it is of, is seen when it is
    /// fetched and verified.
    fn versions(&self) -> BoxFuture<'_, Result<Option<Vec<AuthVersion>>, ArtifactError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// What to fetch.
#[derive(Clone, Debug)]
pub struct ArtifactRequest {
    /// The version that Auth reported.
    pub auth_version: AuthVersion,
    /// Kinds that would do, the preferred one first.
    pub kinds: Vec<ArtifactKind>,
    /// Module ABI versions that the host speaks.
    pub module_abis: Vec<u32>,
    /// Table format versions that the decoder reads.
    pub table_formats: Vec<u32>,
    /// SHA-256 of the artifact already held, so that it need not be sent again.
    pub held_sha256: Option<[u8; 32]>,
    /// Largest artifact to take, in bytes; more is refused while receiving.
    pub max_bytes: usize,
}

/// The answer of a source of artifacts.
#[derive(Clone, Debug)]
pub enum FetchedArtifact {
    /// Nothing is offered for that version.
    NotOffered,
    /// What the request already holds is what is offered.
    NotModified,
    /// Untrusted bytes.
    Artifact(SignedArtifact),
}

/// An artifact as received or stored: untrusted until its envelope is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedArtifact {
    /// The DSSE envelope, JSON.
    pub envelope: Bytes,
    /// The artifact's bytes.
    pub payload: Bytes,
}

/// An artifact could not be fetched; trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("failed to fetch decoder artifact from {from}: {message}")]
pub struct ArtifactError {
    /// Which source of artifacts.
    pub from: String,
    /// What happened, lower case.
    pub message: String,
    /// The cause, if there is one.
    #[source]
    pub source: Option<BoxError>,
}
