//! Serves a directory of artifacts over gRPC, as part of any tonic server.
//!
//! ```text
//!  GetArtifact ── checked ──▶ a free place? ──▶ Directory::open ──▶ Answer: header, then chunks
//!                                                (blocking thread)      ▲ room for one chunk
//!                                                                       │
//!                                                    feed: one task for each answer; reads the
//!                                                    next chunk when there is room for it, ends
//!                                                    with the answer or when its time is up
//! ```
//!
//! A client that stops reading holds one chunk of 64 KiB and its place, and the place no longer
//! than [`ServeLimits::answer_time`]. The answer owns its task: dropping it, as a server does when
//! a client is gone, ends the task. A blocking thread cannot be ended: it has the place with it,
//! which is free when the thread is.

mod answer;
mod places;
mod request;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ev_core::{BoxFuture, Env};
use tonic::codegen::{Body, Service, StdError, http};
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tracing::{debug, warn};

use self::answer::Answer;
use self::places::Places;
use crate::directory::{Directory, Offer, ServeError};
use crate::generated::ev::decoder::v1::decoder_module_service_server::{
    DecoderModuleService, DecoderModuleServiceServer,
};
use crate::generated::ev::decoder::v1::{
    ArtifactKind as WireKind, GetArtifactRequest, GetArtifactResponse, Header, NotModified,
    get_artifact_response::Part,
};

/// Largest request that is read, in bytes. The largest that keeps the rules has some 350; the rest
/// is room for fields of later clients.
const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// What a server does at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Answers under way at one time; more are refused with `RESOURCE_EXHAUSTED`. 32 unless set.
    pub answers: usize,
    /// Answers under way at one time to one peer, so that one client cannot take all places; more
    /// are refused with `RESOURCE_EXHAUSTED`. 8 unless set. A peer is an IPv4 address or the /64 of
    /// an IPv6 address; where the server does not tell it, as on other transports than TCP, only
    /// the limit above counts. Behind a proxy all clients are one peer.
    pub answers_per_peer: usize,
    /// Time for an answer; a client that has not taken all of it by then gets `DEADLINE_EXCEEDED`.
    /// 60 s unless set, which is enough for 4 MiB at 70 KB/s.
    pub answer_time: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { answers: 32, answers_per_peer: 8, answer_time: Duration::from_secs(60) }
    }
}

/// `ev.decoder.v1.DecoderModuleService` over a [`Directory`], ready to be added to a tonic server
/// or router.
///
/// Nothing is verified here and no key is needed: a server's word counts for nothing, and whoever
/// receives an artifact checks it. Who may ask is the business of the server that this is added
/// to. Files may be replaced at any time, as the directory says.
///
/// Status of a refusal, as the interface has it: `INVALID_ARGUMENT` for a request that breaks a
/// rule, `NOT_FOUND` for what is not offered, `UNAVAILABLE` for what cannot be read at the moment
/// (the log says why), `RESOURCE_EXHAUSTED` and `DEADLINE_EXCEEDED` by [`ServeLimits`].
///
/// ```
/// use std::sync::Arc;
///
/// use ev_core::Env;
/// use ev_modules::serve::{DecoderModuleServer, ServeLimits};
/// use ev_modules::{Directory, SizeLimits};
///
/// fn service(env: Arc<dyn Env>) -> DecoderModuleServer {
///     let directory = Directory::new("/var/lib/ev-artifacts", SizeLimits::default().module);
///     DecoderModuleServer::new(directory, ServeLimits::default(), env)
/// }
/// # fn is_service<S: tonic::server::NamedService + Clone + Send + Sync + 'static>(_: S) {}
/// # fn check(env: Arc<dyn Env>) { is_service(service(env)) }
/// ```
#[derive(Clone)]
pub struct DecoderModuleServer {
    inner: DecoderModuleServiceServer<Api>,
}

impl DecoderModuleServer {
    /// Serves `directory`. Nothing is opened yet; `env` tells when the time of an answer is up.
    pub fn new(directory: Directory, limits: ServeLimits, env: Arc<dyn Env>) -> Self {
        let places = Places::new(&limits);
        let api = Api { directory: Arc::new(directory), places, limits, env };
        let inner = DecoderModuleServiceServer::new(api);
        Self { inner: inner.max_decoding_message_size(MAX_REQUEST_BYTES) }
    }
}

impl fmt::Debug for DecoderModuleServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecoderModuleServer")
    }
}

impl NamedService for DecoderModuleServer {
    const NAME: &'static str = <DecoderModuleServiceServer<Api> as NamedService>::NAME;
}

impl<B> Service<http::Request<B>> for DecoderModuleServer
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<http::Request<B>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        self.inner.call(request)
    }
}

struct Api {
    directory: Arc<Directory>,
    places: Places,
    limits: ServeLimits,
    env: Arc<dyn Env>,
}

#[tonic::async_trait]
impl DecoderModuleService for Api {
    type GetArtifactStream = Answer;

    async fn get_artifact(
        &self,
        request: Request<GetArtifactRequest>,
    ) -> Result<Response<Answer>, Status> {
        let peer = request.remote_addr().map(|peer| peer.ip());
        let wanted = request::read(request.into_inner())?;
        let place = self.places.take(peer)?;
        let version = wanted.request.auth_version.clone();
        let directory = Arc::clone(&self.directory);
        // The place goes with the work: when the request is given up, the work is not.
        let opened =
            tokio::task::spawn_blocking(move || (directory.open(&wanted.request), place)).await;
        let (offer, place) = opened.map_err(|error| {
            warn!(%version, %error, "decoder artifact not served");
            Status::internal("looking for the artifact failed")
        })?;
        let offer = offer.map_err(|error| refusal(&version, &error))?;
        let offered = match offer {
            Offer::Nothing => {
                debug!(%version, "no decoder artifact to serve");
                return Err(Status::not_found("nothing that fits the request is offered"));
            }
            Offer::Held => {
                debug!(%version, "decoder artifact not modified");
                return Ok(Response::new(Answer::only(Part::NotModified(NotModified {}))));
            }
            Offer::Artifact(offered) => offered,
        };
        let header = Part::Header(Header {
            envelope: offered.envelope,
            kind: wire_kind(offered.kind).into(),
            size: offered.size,
        });
        if wanted.envelope_only {
            return Ok(Response::new(Answer::only(header)));
        }
        debug!(%version, kind = offered.kind.as_str(), size = offered.size, "serving decoder artifact");
        let time_up = self.env.sleep(self.limits.answer_time);
        Ok(Response::new(Answer::with_chunks(header, offered.file, offered.size, place, time_up)))
    }
}

/// What a client is told. Paths of this machine are none of its business; the log has them.
fn refusal(version: &ev_core::AuthVersion, error: &ServeError) -> Status {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    warn!(%version, %error, cause, "decoder artifact not served");
    Status::unavailable(match error {
        ServeError::NoDirectory { .. } => "the artifacts cannot be read at the moment",
        ServeError::Unpaired { .. } => "an artifact and its envelope are not both there",
        ServeError::TooLarge { .. } => "the artifact is larger than what is served",
        ServeError::Io { .. } => "the artifact cannot be read at the moment",
    })
}

fn wire_kind(kind: ev_core::ArtifactKind) -> WireKind {
    match kind {
        ev_core::ArtifactKind::Module => WireKind::Module,
        ev_core::ArtifactKind::Table => WireKind::Table,
    }
}

fn message(part: Part) -> GetArtifactResponse {
    GetArtifactResponse { part: Some(part) }
}
