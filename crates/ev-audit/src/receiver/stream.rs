//! An accepted connection of any kind.

use std::io;
use std::os::fd::AsFd as _;

use rustix::net::Shutdown;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpStream, UnixStream};

use super::faults::Side;
use crate::model::ConnectionType;

pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

impl Stream {
    /// What heartbeats on it must name.
    pub(super) fn kind(&self) -> ConnectionType {
        match self {
            Self::Unix(_) => ConnectionType::UNIX_DOMAIN_SOCKET,
            _ => ConnectionType::TCP,
        }
    }

    /// Cancelling loses nothing.
    pub(super) async fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(room).await,
            Self::Tcp(stream) => stream.read(room).await,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(room).await,
        }
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(stream) => Some(stream),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Some(stream.get_ref().0),
        }
    }

    /// Ends the connection, over TCP with a reset when that is asked for.
    pub(super) fn end(self, reset: bool) -> io::Result<()> {
        match self.tcp() {
            Some(stream) if reset => stream.set_zero_linger(),
            _ => Ok(()),
        }
    }

    pub(super) fn half_close(&self, side: Side) -> io::Result<()> {
        let how = match side {
            Side::Read => Shutdown::Read,
            Side::Write => Shutdown::Write,
        };
        match self {
            Self::Unix(stream) => rustix::net::shutdown(stream.as_fd(), how)?,
            _ => {
                if let Some(stream) = self.tcp() {
                    rustix::net::shutdown(stream.as_fd(), how)?;
                }
            }
        }
        Ok(())
    }
}
