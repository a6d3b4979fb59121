//! Why there is no connection.

use std::io;
use std::time::Duration;

use crate::describe;

/// No connection was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name has no address, or nobody at any of them takes a connection.
    #[error("cannot connect to `{host}` port {port}: {source}")]
    Connect {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// What became of the last attempt.
        source: io::Error,
    },
    /// Nobody answered in time.
    #[error("no connection to `{host}` port {port} within {limit:?}")]
    Overdue {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Time for all of it.
        limit: Duration,
    },
    /// The host can stand in no certificate.
    #[error(transparent)]
    Name(ev_tls::Error),
    /// The TLS handshake failed.
    #[error("TLS handshake failed: {}", describe(.0))]
    Handshake(#[source] io::Error),
    /// The TLS handshake was not over in time.
    #[error("no TLS handshake within {0:?}")]
    HandshakeOverdue(Duration),
}
