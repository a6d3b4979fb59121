//! The byte stream under a connection, watched: what went out and what came back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// What has happened on a connection since the last [`Progress::begin`].
///
/// Stream and body set it, the exchange reads it; all three run in one task, so the order of
/// memory accesses does not matter.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    written: AtomicBool,
    read: AtomicBool,
    body_taken: AtomicBool,
    sent: AtomicBool,
    write_failed: AtomicBool,
}

impl Progress {
    /// A new request begins.
    pub(crate) fn begin(&self) {
        for flag in [&self.written, &self.read, &self.body_taken, &self.sent] {
            flag.store(false, Relaxed);
        }
    }

    /// The last part of the body has been handed over for sending.
    pub(crate) fn body_taken(&self) {
        self.body_taken.store(true, Relaxed);
    }

    /// Whether any byte of the request may have gone out.
    pub(crate) fn written(&self) -> bool {
        self.written.load(Relaxed)
    }

    /// Whether any byte of an answer has come.
    pub(crate) fn read(&self) -> bool {
        self.read.load(Relaxed)
    }

    /// Whether the operating system has taken the whole request.
    pub(crate) fn sent(&self) -> bool {
        self.sent.load(Relaxed) && !self.write_failed.load(Relaxed)
    }
}

/// A connection, with TLS or without.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Version and certificates of the peer, its own first; `None` without TLS.
    pub(crate) fn tls(&self) -> Option<(&'static str, &[CertificateDer<'static>])> {
        let Self::Tls(stream) = self else { return None };
        let connection = stream.get_ref().1;
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        Some((version, connection.peer_certificates().unwrap_or_default()))
    }
}

/// A stream that keeps its [`Progress`].
///
/// A failed write is kept silent, because the answer that explains it may be waiting to be read:
/// a receiver that finds a body too large answers 413 and closes while we are still sending.
/// Reading then brings the answer, or the end of the connection.
pub(crate) struct Watched {
    stream: Stream,
    progress: Arc<Progress>,
}

impl Watched {
    pub(crate) fn new(stream: Stream, progress: Arc<Progress>) -> Self {
        Self { stream, progress }
    }

    fn after_write(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(count)) => {
                if count > 0 {
                    self.progress.written.store(true, Relaxed);
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(_)) => {
                // Part of the bytes may be out.
                self.progress.written.store(true, Relaxed);
                self.progress.write_failed.store(true, Relaxed);
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn write_failed(&self) -> bool {
        self.progress.write_failed.load(Relaxed)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if buf.filled().len() > before {
            self.progress.read.store(true, Relaxed);
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.write_failed() {
            return Poll::Pending;
        }
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.after_write(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write_failed() {
            return Poll::Pending;
        }
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.after_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_failed() {
            return Poll::Pending;
        }
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        match result {
            Poll::Ready(Ok(())) => {
                // HTTP flushes only when it holds nothing back itself.
                let progress = &self.progress;
                if progress.written() && progress.body_taken.load(Relaxed) {
                    progress.sent.store(true, Relaxed);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => self.after_write(Poll::Ready(Err(error))).map_ok(|_| ()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
