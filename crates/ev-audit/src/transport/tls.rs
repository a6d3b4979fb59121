//! TLS and mutual TLS over TCP.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ev_tls::{
    ClientOptions, ClientTls, CredentialSource, CredentialWatch, describe_tls_error, find_tls_error,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ConnectError, Connected, Connecting, TcpTransport, Transport};
use crate::clock::{Clock, SystemClock};
use crate::model::ConnectionType;

/// What a record of TLS holds at most (RFC 8446, 5.1).
const RECORD_BYTES: usize = 16 * 1024;

/// Connects to an agent over TLS.
///
/// TLS 1.2 and 1.3; the server's certificate has to be valid for the host that is dialled, or for
/// the name set in [`ClientOptions`]. The credentials are read again for each new connection, and
/// replaced when they are good; when they are not, those in use stay, and that is logged once for
/// each new trouble.
///
/// In TLS 1.3 a server looks at a client's certificate when the client is done with the
/// handshake. One that refuses it closes the connection at once, and what was written by then was
/// not taken.
///
/// ```no_run
/// use ev_audit::transport::TlsTransport;
/// use ev_tls::{ClientOptions, CredentialFiles};
///
/// let files = CredentialFiles {
///     ca: Some("/etc/audit/ca.pem".into()),
///     certificate: Some("/etc/audit/client.pem".into()),
///     key: Some("/etc/audit/client.key".into()),
///     passphrase: None,
/// };
/// let transport = TlsTransport::new("audit.example:4421", files, ClientOptions::default())?;
/// # Ok::<(), ev_tls::Error>(())
/// ```
pub struct TlsTransport {
    tcp: TcpTransport,
    tls: Arc<ClientTls>,
    watch: Option<CredentialWatch>,
}

/// A TLS handshake that failed.
#[derive(Debug, thiserror::Error)]
#[error("TLS handshake failed: {what}")]
struct HandshakeFailed {
    what: String,
    #[source]
    source: io::Error,
}

impl TlsTransport {
    /// To `address`, written `host:port`, with credentials that are read now and again for each
    /// connection. Blocks on files.
    ///
    /// # Errors
    ///
    /// What is wrong with the credentials.
    pub fn new(
        address: impl Into<String>,
        credentials: impl CredentialSource + 'static,
        options: ClientOptions,
    ) -> Result<Self, ev_tls::Error> {
        let clock = ev_tls::Clock::new(|| SystemClock.unix_seconds());
        let tls = Arc::new(ClientTls::new(credentials, options, clock)?);
        let advice = "replace the files; they are read for each new connection";
        let watch = Some(CredentialWatch::new("audit agent", advice));
        Ok(Self { tcp: TcpTransport::new(address), tls, watch })
    }

    /// To `address`, with TLS that is shared: whoever shares it reads its credentials again.
    pub fn with_tls(address: impl Into<String>, tls: Arc<ClientTls>) -> Self {
        Self { tcp: TcpTransport::new(address), tls, watch: None }
    }

    async fn attempt(&mut self) -> Result<Connected, ConnectError> {
        let peer = self.tcp.address().to_owned();
        let failed = |source| ConnectError::retry(peer.clone(), source);
        if let Some(watch) = &mut self.watch {
            let tls = Arc::clone(&self.tls);
            // Files may lie on a network, and the sender has other things to do meanwhile.
            let read = tokio::task::spawn_blocking(move || tls.reload());
            let read = read.await.map_err(|error| failed(io::Error::other(error)))?;
            // It logs what is new; nothing more is to be done.
            let _: ev_tls::News = watch.take(read, &self.tls);
            watch.expiry(&self.tls);
        }
        let host = peer.rsplit_once(':').map_or(peer.as_str(), |(host, _)| host);
        let name = self.tls.server_name(host).map_err(|error| {
            // The address does not change any more.
            let source = io::Error::new(io::ErrorKind::InvalidInput, error);
            ConnectError::permanent(peer.clone(), source)
        })?;
        let tcp = self.tcp.open().await.map_err(failed)?;
        let connector = TlsConnector::from(self.tls.config());
        let stream = connector.connect(name, tcp).await.map_err(|source| {
            let what = match find_tls_error(&source) {
                Some(error) => describe_tls_error(error),
                None => source.to_string(),
            };
            failed(io::Error::new(source.kind(), HandshakeFailed { what, source }))
        })?;
        Ok(Connected::new(OneRecord(stream), ConnectionType::TCP, peer))
    }
}

/// Takes one record of TLS in each write.
///
/// Whether a record left this side is known, and one of which a part is missing is never read. If
/// a write made several, the first could be with the agent when the second fails, and nobody
/// would know.
struct OneRecord(TlsStream<TcpStream>);

impl AsyncRead for OneRecord {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for OneRecord {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(RECORD_BYTES)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Transport for TlsTransport {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(self.attempt())
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport")
            .field("tcp", &self.tcp)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
