//! Who or what kept us from Auth.

use std::io;

use ev_tls::{find_tls_error, is_refusal_of_us};
use tokio_rustls::rustls::{self, CertificateError, InvalidMessage};
use tonic::Code;

use crate::Error;
use crate::dial::DialError;

/// Why there was no visit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VisitError {
    /// Settings or credentials are of no use; nobody was called.
    #[error(transparent)]
    Settings(#[from] Error),
    /// Nobody who is Auth was reached.
    #[error("{text}")]
    Unreached {
        /// At what it ended.
        at: Unreached,
        /// All of it, each way that was tried with what became of it; nothing in it is secret.
        text: String,
    },
}

/// At what an attempt to reach Auth ended; that of the first way where several were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreached {
    /// Nobody takes connections there, or the name has no address.
    Connect,
    /// Nobody answered in time.
    Overdue,
    /// The HTTP proxy on the way.
    HttpProxy,
    /// We do not trust the CA of the certificate that was shown.
    UntrustedServer,
    /// The certificate that was shown has expired or is not valid yet.
    ServerTime,
    /// The certificate that was shown is for another name.
    ServerName,
    /// Who is there does not take our certificate.
    RefusesUs,
    /// Our certificate has expired, so it was not shown.
    Expired,
    /// Who is there speaks something else than Auth.
    NotTeleport,
    /// A Proxy is there that hands no connections on.
    NoTlsRouting,
    /// Auth is there, and refused or failed the first call.
    Call,
    /// Anything else.
    Other,
}

impl VisitError {
    pub(super) fn unreached(error: &DialError) -> Self {
        Self::Unreached { at: Unreached::of(error), text: error.describe() }
    }
}

impl Unreached {
    fn of(error: &DialError) -> Self {
        match error {
            DialError::Tcp(ev_dial::Error::Connect { .. }) => Self::Connect,
            DialError::Tcp(ev_dial::Error::Overdue { .. }) | DialError::Overdue(_) => Self::Overdue,
            DialError::ProxySetting { .. } | DialError::Connect { .. } => Self::HttpProxy,
            DialError::Tls(error) => Self::of_tls(error),
            DialError::Broken(_) => Self::RefusesUs,
            DialError::Expired(_) => Self::Expired,
            DialError::NoHttp2 | DialError::Http2(_) | DialError::Find { .. } => Self::NotTeleport,
            DialError::NoTlsRouting { .. } => Self::NoTlsRouting,
            DialError::Ping(status) if status.code() == Code::Unimplemented => Self::NotTeleport,
            DialError::Ping(_) => Self::Call,
            DialError::All(failures) => {
                // A Proxy that told why it is of no use says more than the attempt before it.
                let told = failures.iter().map(|failure| Self::of(&failure.error));
                let mut told = told.collect::<Vec<_>>().into_iter();
                let first = told.next().unwrap_or(Self::Other);
                told.find(|reason| *reason == Self::NoTlsRouting).unwrap_or(first)
            }
            _ => Self::Other,
        }
    }

    fn of_tls(error: &io::Error) -> Self {
        use CertificateError as Certificate;
        match find_tls_error(error) {
            Some(error) if is_refusal_of_us(error) => Self::RefusesUs,
            Some(rustls::Error::InvalidCertificate(error)) => match error {
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. } => Self::ServerTime,
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    Self::ServerName
                }
                _ => Self::UntrustedServer,
            },
            Some(
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)
                | rustls::Error::NoApplicationProtocol
                | rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol),
            ) => Self::NotTeleport,
            Some(_) => Self::Other,
            None => Self::NotTeleport,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::AlertDescription;
    use tonic::Status;

    use super::*;
    use crate::dial::Failure;

    #[test]
    fn what_went_wrong_is_told_apart() {
        let tls = |error| DialError::Tls(io::Error::new(io::ErrorKind::InvalidData, error));
        let check = |error: DialError, expected| {
            assert_eq!(Unreached::of(&error), expected, "{}", error.describe());
        };
        let certificate = |error| tls(rustls::Error::InvalidCertificate(error));
        check(certificate(CertificateError::UnknownIssuer), Unreached::UntrustedServer);
        check(certificate(CertificateError::Expired), Unreached::ServerTime);
        check(certificate(CertificateError::NotValidForName), Unreached::ServerName);
        let alert = rustls::Error::AlertReceived;
        check(tls(alert(AlertDescription::UnknownCA)), Unreached::RefusesUs);
        check(tls(alert(AlertDescription::NoApplicationProtocol)), Unreached::NotTeleport);
        check(DialError::Ping(Status::unimplemented("")), Unreached::NotTeleport);
        check(DialError::Ping(Status::permission_denied("")), Unreached::Call);
        check(DialError::Tls(io::ErrorKind::UnexpectedEof.into()), Unreached::NotTeleport);
        let failed = |error| Failure { tried: "somehow".to_owned(), error };
        let of_no_use = |error| {
            let address = crate::address::Address { host: "a".to_owned(), port: 1 };
            let version = None;
            let routing = DialError::NoTlsRouting { address, version };
            DialError::All(vec![failed(error), failed(routing)])
        };
        check(of_no_use(DialError::NoHttp2), Unreached::NoTlsRouting);
        let all = DialError::All(vec![
            failed(certificate(CertificateError::UnknownIssuer)),
            failed(DialError::NoCluster),
        ]);
        check(all, Unreached::UntrustedServer);
    }
}
