//! Why the address cannot be served.

use std::io;
use std::net::SocketAddr;

/// Why the address cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another program has it, or it is not one of this machine.
    #[error("failed to listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// There is no thread or runtime to be had.
    #[error("failed to start the thread that serves diagnostics")]
    Thread(#[source] io::Error),
}

impl Error {
    /// Whether it may pass by itself: another process has the address now, an interface is not up
    /// yet, or there is no room for a thread.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Listen { source, .. } => {
                matches!(source.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
            }
            Self::Thread(_) => true,
        }
    }
}
