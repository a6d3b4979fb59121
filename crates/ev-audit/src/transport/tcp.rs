//! TCP without TLS.

use std::io;

use tokio::net::TcpStream;

use super::{ConnectError, Connected, Connecting, Transport};
use crate::model::ConnectionType;

/// What the system may hold of ours unsent. Left to itself it grows to several megabytes, all of
/// which are lost when the connection breaks; this is enough for a million records a second to
/// an agent 100 µs away.
#[cfg(unix)]
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Connects to an agent over TCP.
///
/// The name is resolved in every attempt and its addresses are tried in the resolver's order.
/// Small writes are not held back (`TCP_NODELAY`).
#[derive(Debug, Clone)]
pub struct TcpTransport {
    address: String,
}

impl TcpTransport {
    /// To `address`, written `host:port`.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into() }
    }

    /// Where it leads, written `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Opens the stream alone, for transports that put something on top of TCP.
    ///
    /// # Errors
    ///
    /// What the resolver or the last address tried answered.
    pub async fn open(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address).await?;
        // A record on an idle connection leaves at once; batches are put together by the client.
        stream.set_nodelay(true)?;
        #[cfg(unix)]
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)?;
        Ok(stream)
    }
}

impl Transport for TcpTransport {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(async {
            match self.open().await {
                Ok(stream) => Ok(Connected::new(stream, ConnectionType::TCP, &self.address)),
                Err(source) => Err(ConnectError::retry(&self.address, source)),
            }
        })
    }
}
