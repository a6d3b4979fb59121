//! From an address to a connection that has answered a Ping.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ev_core::{Env, Survey};
use ev_tls::{ClientTls, describe_tls_error, find_tls_error};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::AlertDescription;
use tonic::{Code, Status};
use tracing::{debug, warn};

use crate::connection::Connection;
use crate::error::chain;
use crate::rpc::Trouble;
use crate::tasks::within;
use crate::{Config, rpc};

/// HTTP/2 pings go out this often, also without calls; as the official client.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Without any answer to them for this long the connection is dead; as the official client.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(180);
/// How long a connection that fails a call may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What one stream may hold unread: a page of Auth's usual limit of 1 MiB.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("failed to connect")]
    Tcp(#[source] io::Error),
    #[error("failed to prepare TLS")]
    Prepare(#[source] ev_tls::Error),
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error(
        "the server did not agree on HTTP/2 (ALPN): is this the address of a Proxy instead of \
         Auth's?"
    )]
    NoHttp2,
    #[error("HTTP/2 handshake failed")]
    Http2(#[source] hyper::Error),
    #[error("the server closed the connection")]
    Broken(#[source] hyper::Error),
    #[error("Ping failed")]
    Ping(#[source] Status),
    #[error("no connection within {} s", .0.as_secs())]
    Overdue(Duration),
}

impl DialError {
    /// The whole of it for an operator, in one line.
    pub(crate) fn describe(&self) -> String {
        if let Some(tls) = find_tls_error(self) {
            return format!("{self}: {}", describe_tls_error(tls));
        }
        match self {
            Self::Ping(status) if status.code() == Code::Unimplemented => {
                format!("{self}: the server is not a Teleport Auth server")
            }
            Self::Ping(status) => format!("{self}: {}", rpc::describe(status)),
            Self::Broken(_) => {
                let text = chain(self);
                match alert_in(&text) {
                    Some(alert) => {
                        describe_tls_error(&tokio_rustls::rustls::Error::AlertReceived(alert))
                    }
                    None => format!("{text}: it may not accept our certificate"),
                }
            }
            _ => chain(self),
        }
    }
}

/// The TLS alert that an HTTP/2 error speaks of: it keeps nothing but the text.
fn alert_in(text: &str) -> Option<AlertDescription> {
    use AlertDescription as Alert;
    let (_, rest) = text.split_once("received fatal alert: ")?;
    let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let alerts = [
        Alert::UnknownCA,
        Alert::CertificateExpired,
        Alert::CertificateRevoked,
        Alert::CertificateRequired,
        Alert::CertificateUnknown,
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::AccessDenied,
        Alert::HandshakeFailure,
        Alert::DecryptError,
        Alert::InternalError,
    ];
    alerts.into_iter().find(|alert| format!("{alert:?}") == name)
}

/// What dialling needs.
#[derive(Clone)]
pub(crate) struct Dialler {
    pub(crate) config: Arc<Config>,
    pub(crate) tls: Arc<ClientTls>,
    pub(crate) env: Arc<dyn Env>,
}

impl Dialler {
    /// One attempt. `again` reads the credentials anew, in case they have changed meanwhile.
    pub(crate) async fn dial(
        self,
        id: u64,
        again: bool,
    ) -> Result<(Arc<Connection>, Survey), DialError> {
        if again {
            self.reload().await;
        }
        let limit = self.config.dial_timeout;
        within(&self.env, limit, self.connect(id)).await.unwrap_or(Err(DialError::Overdue(limit)))
    }

    async fn reload(&self) {
        let tls = Arc::clone(&self.tls);
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(true)) => debug!("credentials for auth have changed"),
            Ok(Ok(false)) | Err(_) => {}
            Ok(Err(error)) => {
                let error = chain(&error);
                warn!(error, "failed to read credentials for auth again, the old ones stay");
            }
        }
    }

    async fn connect(&self, id: u64) -> Result<(Arc<Connection>, Survey), DialError> {
        let tcp = TcpStream::connect(self.config.address.as_str()).await.map_err(DialError::Tcp)?;
        tcp.set_nodelay(true).map_err(DialError::Tcp)?;
        let name = self.tls.server_name(self.config.host()).map_err(DialError::Prepare)?;
        let connector = TlsConnector::from(self.tls.config());
        let stream = connector.connect(name, tcp).await.map_err(DialError::Tls)?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(DialError::NoHttp2);
        }

        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            // A recording that nobody reads for lack of credit fills its stream's window. All of
            // them together must leave room for pages, or these would wait for ever.
            .initial_connection_window_size(self.connection_window());
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(DialError::Http2)?;
        let max = self.config.max_message_bytes;
        let mut connection = Connection::new(id, sender, connection, max);
        let survey = match rpc::ping(&connection).await {
            Ok(survey) => survey,
            Err(status) => return Err(self.ping_failed(&connection, status).await),
        };
        connection.speak(survey.version.as_str());
        Ok((Arc::new(connection), survey))
    }

    /// In TLS 1.3 a client believes the handshake done before the server has looked at its
    /// certificate, so that a refusal comes here, and the connection knows more than the call.
    async fn ping_failed(&self, connection: &Connection, status: Status) -> DialError {
        if Trouble::of(&status) == Trouble::Connection {
            within(&self.env, LAST_WORDS, connection.closed()).await;
            if let Some(cause) = connection.take_cause() {
                return DialError::Broken(cause);
            }
        }
        DialError::Ping(status)
    }

    fn connection_window(&self) -> u32 {
        let streams = u32::try_from(self.config.concurrency).unwrap_or(u32::MAX).saturating_add(4);
        // The protocol's limit is 2^31 - 1.
        STREAM_WINDOW.saturating_mul(streams).min(i32::MAX.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_our_certificate_is_found_in_the_text() {
        let text = "the server closed the connection: connection error: received fatal alert: ";
        let alert = alert_in(&format!("{text}UnknownCA"));
        assert_eq!(alert, Some(AlertDescription::UnknownCA));
        assert_eq!(alert_in(&format!("{text}UnknownPSKIdentity")), None);
        assert_eq!(alert_in("broken pipe"), None);
    }
}
