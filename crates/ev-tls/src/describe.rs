//! TLS errors in the words of an operator.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use crate::format_time;

/// What a TLS error means and where to look, lower case, without full stop.
pub fn describe_tls_error(error: &rustls::Error) -> String {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(error) => certificate(error),
        Tls::AlertReceived(alert) => self::alert(*alert),
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not answer in TLS: is this a plain HTTP port?".to_owned()
        }
        Tls::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig) => {
            "the server wants a TLS version older than 1.2".to_owned()
        }
        Tls::NoCertificatesPresented => "the server presented no certificate".to_owned(),
        Tls::NoApplicationProtocol => {
            "the server speaks none of the protocols offered (ALPN)".to_owned()
        }
        Tls::FailedToGetCurrentTime => "the clock of this machine stands before 1970".to_owned(),
        other => other.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "certificate of the server is not signed by a trusted \
             CA: check that the CA file is the one that issued it"
            .to_owned(),
        CertificateError::BadSignature => "certificate of the server has a wrong signature: a CA \
             of the same name but with another key is trusted"
            .to_owned(),
        CertificateError::Expired => "certificate of the server has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "certificate of the server expired at {}, it is now {}",
            unix(not_after.as_secs()),
            unix(time.as_secs())
        ),
        CertificateError::NotValidYet => "certificate of the server is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "certificate of the server is not valid before {}, it is now {}: is the clock right?",
            unix(not_before.as_secs()),
            unix(time.as_secs())
        ),
        CertificateError::NotValidForName => {
            "certificate of the server is not valid for the name that was dialled".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = match &presented[..] {
                [] => "for no name at all (a common name alone does not count)".to_owned(),
                names => format!(
                    "for {}",
                    names.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
                ),
            };
            let expected = expected.to_str();
            format!("certificate of the server is not valid for `{expected}`, only {presented}")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate of the server is not meant for servers (extended key usage)".to_owned()
        }
        CertificateError::Revoked => "certificate of the server is revoked".to_owned(),
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server presents a CA certificate as its own".to_owned()
        }
        other => format!("certificate of the server is refused: {other}"),
    }
}

/// The name inside `DnsName("…")` or `IpAddress(…)`, the form in which names are reported.
fn bare(name: &str) -> String {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"').to_owned()
}

fn alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    let text = match alert {
        Alert::UnknownCA => "the server does not trust the CA of our client certificate",
        Alert::CertificateExpired => "the server says that our client certificate has expired",
        Alert::CertificateRevoked => "the server says that our client certificate is revoked",
        Alert::CertificateRequired => "the server demands a client certificate",
        Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::UnsupportedCertificate
        | Alert::NoCertificate
        | Alert::AccessDenied => "the server refuses our client certificate",
        Alert::HandshakeFailure => {
            "the server refuses the handshake: it may demand a client certificate, or have no \
             cipher in common with us"
        }
        Alert::ProtocolVersion => "the server accepts neither TLS 1.2 nor TLS 1.3",
        Alert::UnrecognisedName => "the server does not know the name that was asked for (SNI)",
        Alert::NoApplicationProtocol => "the server speaks none of the protocols offered (ALPN)",
        other => return format!("the server ended the connection with the TLS alert {other:?}"),
    };
    format!("{text} (TLS alert {alert:?})")
}

fn unix(seconds: u64) -> String {
    format_time(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// The TLS error at the bottom of a chain of errors, if there is one.
///
/// I/O errors are looked into, since TLS streams hide their errors there.
pub fn find_tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // `source` of an I/O error skips the error that it wraps.
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Whether the server ended the connection because of who we are.
///
/// In TLS 1.3 a client believes the handshake done before the server has looked at its
/// certificate; so this answer may come when a request is already on its way. It proves that the
/// server did not take that request.
pub fn is_refusal_of_us(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::UnknownCA
                | Alert::CertificateExpired
                | Alert::CertificateRevoked
                | Alert::CertificateRequired
                | Alert::CertificateUnknown
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::NoCertificate
                | Alert::AccessDenied
                | Alert::HandshakeFailure
                | Alert::DecryptError
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_errors_are_found_inside_io_errors() {
        let tls = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        let io = io::Error::new(io::ErrorKind::InvalidData, tls.clone());
        let twice = io::Error::other(io);
        assert_eq!(find_tls_error(&twice), Some(&tls));
        assert_eq!(find_tls_error(&io::Error::other("plain")), None);
    }

    #[test]
    fn alerts_about_us_are_told_from_others() {
        let alert = rustls::Error::AlertReceived;
        assert!(is_refusal_of_us(&alert(AlertDescription::CertificateRequired)));
        assert!(!is_refusal_of_us(&alert(AlertDescription::InternalError)));
        let text = describe_tls_error(&alert(AlertDescription::UnknownCA));
        assert!(text.contains("does not trust the CA of our client certificate"), "{text}");
    }
}
