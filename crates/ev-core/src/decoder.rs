//! Decoders, and the choice of the one that fits an Auth version.

use std::fmt;
use std::sync::Arc;

use crate::{AuthVersion, BoxError, BoxFuture, Flavour, Mode, Output, RawEvent, UnknownPolicy};

/// Turns raw events into JSON.
pub trait Decoder: Send + Sync {
    /// Which schema and artifact this is.
    fn identity(&self) -> &DecoderIdentity;

    /// Whether a page may be decoded where the caller stands.
    fn cost(&self) -> Cost;

    /// Appends exactly one outcome per event to `out`, in order.
    ///
    /// Nothing in an event can make this fail: what is wrong with an event is its [`Outcome`](crate::Outcome)(crate::Outcome).
    ///
    /// # Errors
    ///
    /// The decoder itself failed (a guest trapped or lied). `out` is as before the call; the
    /// caller may try the events one by one to find the guilty one.
    fn decode(&self, events: &[RawEvent], mode: Mode, out: &mut Output)
    -> Result<(), DecoderError>;
}

/// Whether decoding a page blocks for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Well below 500 µs a page: call it in place.
    Inline,
    /// May take milliseconds, or run into a deadline: call it on a thread of its own.
    Blocking,
}

/// How a decoder came to know its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecoderKind {
    /// A table compiled into this program.
    Native,
    /// A signed table, run by this program's own decoder.
    Table,
    /// A signed WebAssembly module.
    Module,
}

impl DecoderKind {
    /// The name used in reports, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Table => "table",
            Self::Module => "module",
        }
    }
}

/// Which decoder it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecoderIdentity {
    /// How it came to know its schema.
    pub kind: DecoderKind,
    /// The Auth version whose schema it has.
    pub auth_version: AuthVersion,
    /// SHA-256 of the schema table.
    pub schema_sha256: [u8; 32],
    /// SHA-256 of the artifact, for a table or module.
    pub artifact_sha256: Option<[u8; 32]>,
    /// The JSON it writes.
    pub flavour: Flavour,
}

impl fmt::Display for DecoderIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.auth_version)
    }
}

/// A decoder failed, as opposed to an event being at fault.
#[derive(Debug, thiserror::Error)]
#[error("decoder failed: {message}")]
pub struct DecoderError {
    /// What happened, lower case.
    pub message: String,
    /// The cause, if there is one.
    #[source]
    pub source: Option<BoxError>,
}

impl DecoderError {
    /// A failure without a further cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }
}

/// Answers which decoder fits the version that Auth reported.
///
/// Implemented by the registry of artifacts; the engine only asks.
pub trait DecoderSet: Send + Sync {
    /// The choice as it stands now. Asking for a version that was not asked for before starts
    /// fetching its artifact, if one is needed.
    fn choose(&self, version: &AuthVersion) -> Choice;

    /// Grows whenever the answer of [`DecoderSet::choose`] may have changed.
    fn generation(&self) -> u64;

    /// Resolves once [`DecoderSet::generation`] differs from `seen`.
    fn changed(&self, seen: u64) -> BoxFuture<'static, ()>;

    /// Tells that the decoder in use for `version` failed, so that its artifact is fetched again.
    fn report_failure(&self, version: &AuthVersion, error: &DecoderError);

    /// Tells that Auth of `version` has sent what the decoder of [`Choice::Exact`] does not wholly
    /// know: whatever its name says, it has another schema than Auth. A set that can do better, or
    /// has a policy for such events, answers [`DecoderSet::choose`] otherwise from then on. To be
    /// told again changes nothing.
    fn report_unknown(&self, _version: &AuthVersion) {}
}

/// A decoder for a version, or why there is none.
#[derive(Clone)]
pub enum Choice {
    /// The schema is exactly that of the version.
    Exact(Arc<dyn Decoder>),
    /// An exact one is offered but not usable yet: park and wait.
    Pending,
    /// No exact one is to be had, or it did not come in time: decode strictly with the nearest,
    /// counting each event as inexact.
    Inexact {
        /// The nearest decoder there is.
        decoder: Arc<dyn Decoder>,
        /// What becomes of events it does not fully know.
        unknown: UnknownPolicy,
    },
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(decoder) => write!(f, "exact: {}", decoder.identity()),
            Self::Pending => f.write_str("pending"),
            Self::Inexact { decoder, .. } => write!(f, "inexact: {}", decoder.identity()),
        }
    }
}
