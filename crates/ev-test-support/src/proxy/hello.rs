//! Reading a TLS greeting without taking it from whoever gets the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::server::Acceptor;

use crate::door::Transport;

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The name it asks for.
    pub sni: Option<String>,
    /// The protocols that it offers, preferred first.
    pub alpn: Vec<String>,
    /// Whether it came inside an upgraded connection.
    pub inside_upgrade: bool,
}

impl Hello {
    /// Reads the greeting; the stream then begins with it again.
    pub(super) async fn read(
        mut stream: Box<dyn Transport>,
        inside_upgrade: bool,
    ) -> io::Result<(Self, Rewound)> {
        let mut acceptor = Acceptor::default();
        let mut read = Vec::new();
        loop {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read.extend_from_slice(&chunk[..count]);
            let mut rest = &chunk[..count];
            while !rest.is_empty() {
                acceptor.read_tls(&mut rest)?;
            }
            let accepted = acceptor.accept().map_err(|(error, _)| io::Error::other(error))?;
            if let Some(accepted) = accepted {
                let hello = accepted.client_hello();
                let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
                let hello = Self {
                    sni: hello.server_name().map(str::to_owned),
                    alpn: hello.alpn().into_iter().flatten().map(text).collect(),
                    inside_upgrade,
                };
                return Ok((hello, Rewound { read, at: 0, stream }));
            }
        }
    }
}

/// A stream of which the beginning has been read already, and is read once more.
pub(super) struct Rewound {
    read: Vec<u8>,
    at: usize,
    stream: Box<dyn Transport>,
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = &this.read[this.at..];
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let count = left.len().min(buf.remaining());
        buf.put_slice(&left[..count]);
        this.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    /// An alert stands behind what was to be sent before it, and is written but once.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
