//! Ways to the agent.
//!
//! A [`Transport`] opens one connection after the other; what is opened is any stream that can be
//! written, and read for the only thing that is ever read: its end. The client decides when to
//! connect, how long to wait and what to send again. Closing is dropping the stream.

mod failover;
mod memory;
mod noop;
#[cfg(unix)]
mod peer;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod unix;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::model::ConnectionType;

pub use failover::{AllFailed, Failover};
pub use memory::{Audited, AuditedRecord, MemoryTransport};
pub use noop::NoopTransport;
#[cfg(unix)]
pub use peer::{CheckedUnixTransport, PeerRefused, PeerRules};
pub use tcp::TcpTransport;
#[cfg(feature = "tls")]
pub use tls::TlsTransport;
pub use unix::UnixTransport;

/// A byte stream to an agent.
///
/// One that has buffers of its own should take no more in one write than the other side gets as a
/// whole or not at all, as a stream over TLS takes one record: when it breaks
/// before a flush is ready, what that write took counts as not written and goes out again on the
/// next connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection.
pub struct Connected {
    /// What is written to. Dropping it closes the connection.
    pub stream: Box<dyn Stream>,
    /// What the heartbeat says of it.
    pub destination: ConnectionType,
    /// Where it leads, for events and logs: a path or an address.
    pub peer: String,
}

impl Connected {
    /// A connection over `stream`.
    pub fn new(
        stream: impl Stream + 'static,
        destination: ConnectionType,
        peer: impl Into<String>,
    ) -> Self {
        Self { stream: Box::new(stream), destination, peer: peer.into() }
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("destination", &self.destination)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It may work later; the client tries again.
    #[error("failed to connect to audit agent at {peer}")]
    Retry {
        /// Where to.
        peer: String,
        /// The least time to wait before the next attempt, if the far side asked for one.
        retry_after: Option<Duration>,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It will never work; the client closes and keeps what is pending for its owner.
    #[error("connection to audit agent at {peer} is impossible")]
    Permanent {
        /// Where to.
        peer: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl ConnectError {
    /// A failure that may pass.
    pub fn retry(peer: impl Into<String>, source: io::Error) -> Self {
        Self::Retry { peer: peer.into(), retry_after: None, source }
    }

    /// A failure that will not pass.
    pub fn permanent(peer: impl Into<String>, source: io::Error) -> Self {
        Self::Permanent { peer: peer.into(), source }
    }

    /// Whether another attempt makes sense.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }

    /// The least time to wait before it, if one was asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Retry { retry_after, .. } => *retry_after,
            Self::Permanent { .. } => None,
        }
    }
}

/// A connection attempt under way.
pub type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<Connected, ConnectError>> + Send + 'a>>;

/// Opens connections to an agent.
///
/// One attempt is one call; names and paths are looked up anew in each, so that an agent that
/// moved is found. The future is dropped when the attempt takes longer than the client's limit,
/// and must leave nothing open then.
///
/// ```
/// use ev_audit::ConnectionType;
/// use ev_audit::transport::{ConnectError, Connected, Connecting, Transport};
///
/// /// Hands out the two ends of a pipe in memory.
/// struct Pipe(Option<tokio::io::DuplexStream>);
///
/// impl Transport for Pipe {
///     fn connect(&mut self) -> Connecting<'_> {
///         Box::pin(async {
///             let stream = self.0.take().ok_or_else(|| {
///                 let gone = std::io::ErrorKind::NotConnected.into();
///                 ConnectError::permanent("pipe", gone)
///             })?;
///             Ok(Connected::new(stream, ConnectionType::UNKNOWN, "pipe"))
///         })
///     }
/// }
/// ```
pub trait Transport: Send + 'static {
    /// Opens one connection.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Retry`] leads to the next attempt after a pause, which grows;
    /// [`ConnectError::Permanent`] closes the client.
    fn connect(&mut self) -> Connecting<'_>;
}

impl Transport for Box<dyn Transport> {
    fn connect(&mut self) -> Connecting<'_> {
        (**self).connect()
    }
}
