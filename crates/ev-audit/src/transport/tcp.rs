//! TCP without TLS.

use std::io;
#[cfg(unix)]
use std::time::Duration;

use tokio::net::TcpStream;

use super::{ConnectError, Connected, Connecting, Transport};
use crate::model::ConnectionType;

/// What the system may hold of ours unsent. Left to itself it grows to several megabytes, all of
/// which are lost when the connection breaks; this is enough for a million records a second to
/// an agent 100 µs away.
#[cfg(unix)]
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// An agent that says nothing for so long is asked whether it is there, and again after as long.
/// Agents never say anything, so this goes on for as long as the connection is idle.
#[cfg(unix)]
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After so many questions without an answer the connection is over.
#[cfg(unix)]
const KEEP_ALIVE_QUESTIONS: u32 = 4;

/// Bytes that nobody acknowledged for so long, in milliseconds, end the connection: as long as the
/// questions above take. The system would try for a quarter of an hour otherwise.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MS: u32 = 60_000;

/// Connects to an agent over TCP.
///
/// The name is resolved in every attempt and its addresses are tried in the resolver's order.
/// Small writes are not held back (`TCP_NODELAY`). A machine that is gone without a word is
/// noticed within 75 seconds, also while nothing is written (`SO_KEEPALIVE`).
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

    /// Opens the stream alone, for transports that put something on top of TCP. Waits for the
    /// resolver and the agent for as long as the system does; limits are up to the caller.
    ///
    /// # Errors
    ///
    /// What the resolver or the last address tried answered.
    pub async fn open(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address).await?;
        // A record on an idle connection leaves at once; batches are put together by the client.
        stream.set_nodelay(true)?;
        #[cfg(unix)]
        watch_peer(&stream)?;
        Ok(stream)
    }
}

/// Sets the options by which the end of a machine is noticed, and bounds what is lost with it.
#[cfg(unix)]
fn watch_peer(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;

    sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    // Elsewhere the times are the system's.
    #[cfg(not(any(target_os = "haiku", target_os = "nto", target_os = "openbsd")))]
    {
        sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
        sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE)?;
        sockopt::set_tcp_keepcnt(stream, KEEP_ALIVE_QUESTIONS)?;
    }
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS)?;
    Ok(())
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use rustix::net::sockopt;

    use super::TcpTransport;

    #[tokio::test]
    async fn a_machine_that_is_gone_is_noticed() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stream = TcpTransport::new(address).open().await.unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        let fifteen = Duration::from_secs(15);
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), fifteen);
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), fifteen);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), 4);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 60_000);
    }
}
