//! Decoder artifacts offered by Auth.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ev_core::{
    ArtifactError, ArtifactKind, ArtifactRequest, ArtifactSource, BoxFuture, Env, FetchedArtifact,
    SignedArtifact, within,
};
use tonic::{Code, Status, Streaming};

use crate::generated::ev::decoder::v1::get_artifact_response::Part;
use crate::generated::ev::decoder::v1::{
    ArtifactKind as WireKind, GetArtifactRequest, GetArtifactResponse, Header,
};
use crate::living::Living;
use crate::rpc;

/// Largest envelope that is taken, in bytes. Ours are below 1 KiB; the interface allows 64 KiB.
const MAX_ENVELOPE_BYTES: usize = 64 * 1024;

/// Fetches artifacts from Auth, over the connection that a [`crate::SearchSource`] keeps.
///
/// Looks at sizes only; what comes is not to be trusted before its envelope is verified.
#[derive(Clone)]
pub struct AuthArtifacts {
    living: Living,
    env: Arc<dyn Env>,
    patience: Duration,
}

impl AuthArtifacts {
    pub(crate) fn new(living: Living, env: Arc<dyn Env>, patience: Duration) -> Self {
        Self { living, env, patience }
    }

    async fn fetch(&self, request: ArtifactRequest) -> Result<FetchedArtifact, Failure> {
        let max_bytes = request.max_bytes;
        let receive = async |messages| receive(messages, max_bytes).await;
        let fetched = self.call(wire(request), receive).await?;
        Ok(fetched.unwrap_or(FetchedArtifact::NotOffered))
    }

    async fn envelope(&self, request: ArtifactRequest) -> Result<Option<Bytes>, Failure> {
        let request = GetArtifactRequest { envelope_only: true, ..wire(request) };
        let receive = async |mut messages| match first(&mut messages).await? {
            Some(header) => Ok(Some(Bytes::copy_from_slice(&header.envelope))),
            None => Ok(None),
        };
        Ok(self.call(request, receive).await?.flatten())
    }

    /// Asks Auth and lets `receive` read the answer; `None` when nothing is offered.
    async fn call<T>(
        &self,
        request: GetArtifactRequest,
        receive: impl AsyncFnOnce(Streaming<GetArtifactResponse>) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let connection = self.living.get().ok_or(Failure::NotConnected)?;
        let answer = async {
            let messages = rpc::artifact(&connection, request).await?;
            receive(messages).await
        };
        match within(&*self.env, self.patience, answer).await {
            None => Err(Failure::Overdue),
            Some(Err(Failure::Call(status))) if is_not_offered(&status) => Ok(None),
            Some(outcome) => outcome.map(Some),
        }
    }

    fn error(&self, failure: Failure) -> ArtifactError {
        ArtifactError {
            from: self.name().to_owned(),
            message: failure.to_string(),
            source: match failure {
                Failure::Call(status) => Some(Box::new(*status)),
                _ => None,
            },
        }
    }
}

impl ArtifactSource for AuthArtifacts {
    fn name(&self) -> &str {
        "auth"
    }

    fn fetch(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<FetchedArtifact, ArtifactError>> {
        Box::pin(async move { self.fetch(request).await.map_err(|failure| self.error(failure)) })
    }

    fn envelope(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<Option<Bytes>, ArtifactError>> {
        Box::pin(async move { self.envelope(request).await.map_err(|failure| self.error(failure)) })
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is no connection to auth at the moment")]
    NotConnected,
    #[error("the answer did not come in time")]
    Overdue,
    #[error("{}", rpc::describe(.0))]
    Call(Box<Status>),
    #[error("it is larger than the limit of {limit} bytes")]
    TooLarge { limit: usize },
    #[error("its envelope is larger than the limit of {MAX_ENVELOPE_BYTES} bytes")]
    EnvelopeTooLarge,
    #[error("{got} bytes came, {announced} were announced")]
    OtherSize { got: usize, announced: u64 },
    #[error("the answer breaks the protocol: {0}")]
    Protocol(&'static str),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

fn is_not_offered(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::Unimplemented)
        && std::error::Error::source(status).is_none()
}

fn wire(request: ArtifactRequest) -> GetArtifactRequest {
    let kind = |kind: &ArtifactKind| match kind {
        ArtifactKind::Module => WireKind::Module.into(),
        ArtifactKind::Table => WireKind::Table.into(),
    };
    GetArtifactRequest {
        auth_version: request.auth_version.as_str().to_owned(),
        kinds: request.kinds.iter().map(kind).collect(),
        module_abis: request.module_abis,
        table_formats: request.table_formats,
        held_sha256: request
            .held_sha256
            .map_or_else(Bytes::new, |digest| Bytes::copy_from_slice(&digest)),
        envelope_only: false,
    }
}

async fn receive(
    mut messages: Streaming<GetArtifactResponse>,
    max_bytes: usize,
) -> Result<FetchedArtifact, Failure> {
    let Some(Header { envelope, size, .. }) = first(&mut messages).await? else {
        return Ok(FetchedArtifact::NotModified);
    };
    let size_or_limit = usize::try_from(size).ok().filter(|size| *size <= max_bytes);
    let expected = size_or_limit.ok_or(Failure::TooLarge { limit: max_bytes })?;
    // Grown as it comes: the announced size is only a claim.
    let mut payload = BytesMut::new();
    while let Some(message) = messages.message().await? {
        let Some(Part::Chunk(chunk)) = message.part else {
            return Err(Failure::Protocol("something other than a chunk came"));
        };
        if payload.len() + chunk.len() > expected {
            let got = payload.len() + chunk.len();
            return Err(Failure::OtherSize { got, announced: size });
        }
        payload.extend_from_slice(&chunk);
    }
    if payload.len() != expected {
        return Err(Failure::OtherSize { got: payload.len(), announced: size });
    }
    // The envelope is a slice of its message; copied, so that it holds on to nothing.
    let envelope = Bytes::copy_from_slice(&envelope);
    Ok(FetchedArtifact::Artifact(SignedArtifact { envelope, payload: payload.freeze() }))
}

/// The header; `None` when the artifact is the one that is held.
async fn first(messages: &mut Streaming<GetArtifactResponse>) -> Result<Option<Header>, Failure> {
    match messages.message().await?.and_then(|message| message.part) {
        Some(Part::NotModified(_)) => Ok(None),
        Some(Part::Header(header)) if header.envelope.len() > MAX_ENVELOPE_BYTES => {
            Err(Failure::EnvelopeTooLarge)
        }
        Some(Part::Header(header)) => Ok(Some(header)),
        Some(Part::Chunk(_)) => Err(Failure::Protocol("a chunk came first")),
        None => Err(Failure::Protocol("nothing came")),
    }
}
