//! Where a receiver listens.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::stream::Stream;

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Where a receiver listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A listener, or what keeps its place while there is none.
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
    /// Not listening, but nobody else gets the port.
    Reserved(TcpSocket),
    Nothing,
}

impl Address {
    /// Listens, and gives the address with its port.
    pub(super) fn bind(&self) -> io::Result<(Listener, Self)> {
        match self {
            Self::Unix(path) => Ok((Listener::Unix(UnixListener::bind(path)?), self.clone())),
            Self::Tcp(address) => {
                let listener = reserved(*address)?.listen(BACKLOG)?;
                let address = listener.local_addr()?;
                Ok((Listener::Tcp(listener), Self::Tcp(address)))
            }
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Tcp(_) => None,
        }
    }

    pub(super) fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(address) => Some(*address),
        }
    }

    /// Removes the socket's file; that there is none is well too.
    pub(super) fn unlink(&self) -> io::Result<()> {
        match self.path().map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn reserved(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of before may still be ending.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Listener {
    /// The next connection; never, when there is nothing to listen at.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => Ok(Stream::Tcp(listener.accept().await?.0)),
            Self::Reserved(_) | Self::Nothing => std::future::pending().await,
        }
    }

    /// Listens no more: connecting is refused. A socket's file stays, and so does the port.
    pub(super) fn refuse(&mut self, address: &Address) -> io::Result<()> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Unix(_) | Self::Nothing => {}
            Self::Reserved(socket) => *self = Self::Reserved(socket),
            Self::Tcp(listener) => {
                drop(listener);
                if let Address::Tcp(address) = address {
                    *self = Self::Reserved(reserved(*address)?);
                }
            }
        }
        Ok(())
    }

    /// Listens again, at a new socket file or the same port. A port that is listened at stays as
    /// it is; a file is always a new one.
    pub(super) fn listen(&mut self, address: &Address) -> io::Result<()> {
        *self = match std::mem::replace(self, Self::Nothing) {
            Self::Reserved(socket) => Self::Tcp(socket.listen(BACKLOG)?),
            Self::Tcp(listener) => Self::Tcp(listener),
            Self::Unix(_) | Self::Nothing => {
                address.unlink()?;
                address.bind()?.0
            }
        };
        Ok(())
    }
}
