//! Why there is no connection.

use std::io;
use std::time::Duration;

use ev_tls::{describe_tls_error, find_tls_error, is_refusal_of_us};
use http::StatusCode;
use tokio_rustls::rustls::{self, AlertDescription};
use tonic::{Code, Status};

use crate::address::Address;
use crate::rpc;
use ev_core::chain;

/// Why there is no connection. Nothing in it is secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Tcp(#[from] ev_dial::Error),
    #[error("the HTTP proxy set in `{variable}` cannot be used: {what}")]
    ProxySetting { variable: &'static str, what: &'static str },
    #[error("failed to go through the HTTP proxy `{proxy}` set in `{variable}`: {what}")]
    Connect { proxy: String, variable: &'static str, what: String },
    #[error("failed to prepare TLS")]
    Prepare(#[source] ev_tls::Error),
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the server did not agree on HTTP/2 (ALPN)")]
    NoHttp2,
    #[error("HTTP/2 handshake failed")]
    Http2(#[source] hyper::Error),
    #[error("the server closed the connection")]
    Broken(#[source] hyper::Error),
    #[error("Ping failed")]
    Ping(#[source] Status),
    #[error("no connection within {} s", .0.as_secs())]
    Overdue(Duration),
    #[error("`/webapi/find` of `{address}` was of no use: {what}")]
    Find { address: Address, what: String },
    #[error(
        "the proxy at `{address}`{} has no TLS routing, and SSH tunnels are not supported: set \
         `proxy_listener_mode: multiplex` in the `auth_service` section of the cluster, or give \
         Auth's own address (port 3025)",
        version.as_ref().map_or_else(String::new, |v| format!(" (version {v})"))
    )]
    NoTlsRouting { address: Address, version: Option<String> },
    #[error(
        "the name of the cluster is not known: neither the proxy nor the client certificate tells it"
    )]
    NoCluster,
    #[error("the server answered {status} instead of upgrading the connection")]
    NoUpgrade { status: StatusCode },
    #[error("the connection was upgraded wrongly: {what}")]
    BadUpgrade { what: String },
    #[error("HTTP/1.1 failed")]
    Http1(#[source] hyper::Error),
    #[error("the credentials in use have expired")]
    Expired(#[source] ev_tls::Error),
    #[error("all connection methods failed")]
    All(Vec<Failure>),
}

/// A way that was tried and did not work.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What was tried, behind «failed to connect».
    pub(crate) tried: String,
    pub(crate) error: DialError,
}

/// Failures in one line.
pub(crate) fn describe_all(failures: &[Failure]) -> String {
    let one = |Failure { tried, error }: &Failure| format!("{tried}: {}", error.describe());
    failures.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl DialError {
    /// The whole of it for an operator, in one line.
    pub(crate) fn describe(&self) -> String {
        if let Self::All(failures) = self {
            return format!("{self}: {}", describe_all(failures));
        }
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
                    Some(alert) => describe_tls_error(&rustls::Error::AlertReceived(alert)),
                    None => format!("{text}: it may not accept our certificate"),
                }
            }
            Self::Tls(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                format!("{self}: the server closed the connection")
            }
            _ => chain(self),
        }
    }

    /// Whether Auth itself was reached, and had something to say about us or our call.
    pub(crate) fn is_of_auth(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Ping(status) => status.code() != Code::Unimplemented,
            Self::Tls(_) => find_tls_error(self).is_some_and(is_about_us),
            _ => false,
        }
    }

    /// Whether the configured address may be that of a Proxy, when it failed as Auth's. It is not
    /// when nobody is there, or when what is there showed a certificate of the cluster and then
    /// had something to say about us or our call.
    pub(crate) fn may_be_a_proxy(&self) -> bool {
        match self {
            Self::Tls(_) | Self::Ping(_) => !self.is_of_auth(),
            Self::NoHttp2 | Self::Http2(_) | Self::Overdue(_) => true,
            _ => false,
        }
    }
}

fn is_about_us(error: &rustls::Error) -> bool {
    let unclear = rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
    is_refusal_of_us(error) && *error != unclear
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

    #[test]
    fn only_what_can_be_a_proxy_is_asked_as_one() {
        let tls = |error| DialError::Tls(io::Error::new(io::ErrorKind::InvalidData, error));
        let alert = |alert| tls(rustls::Error::AlertReceived(alert));
        assert!(tls(rustls::Error::NoApplicationProtocol).may_be_a_proxy());
        assert!(alert(AlertDescription::HandshakeFailure).may_be_a_proxy());
        assert!(!alert(AlertDescription::CertificateExpired).may_be_a_proxy());
        assert!(DialError::Ping(Status::unimplemented("x")).may_be_a_proxy());
        assert!(!DialError::Ping(Status::permission_denied("x")).may_be_a_proxy());
        let (host, port) = ("x".to_owned(), 1);
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(!DialError::Tcp(ev_dial::Error::Connect { host, port, source }).may_be_a_proxy());
    }
}
