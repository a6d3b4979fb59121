//! A way to nowhere: everything is taken, counted as written, and thrown away.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connected, Connecting, Transport};
use crate::model::ConnectionType;

/// Takes everything and sends it nowhere: for programs whose auditing is switched off, and on
/// systems without an agent.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct NoopTransport;

impl NoopTransport {
    /// A way to nowhere.
    pub fn new() -> Self {
        Self
    }
}

impl Transport for NoopTransport {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(async { Ok(Connected::new(Nowhere, ConnectionType::NO_OP, "nowhere")) })
    }
}

struct Nowhere;

impl AsyncRead for Nowhere {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // It never ends, and nothing ever comes: no wake-up is owed.
        Poll::Pending
    }
}

impl AsyncWrite for Nowhere {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
