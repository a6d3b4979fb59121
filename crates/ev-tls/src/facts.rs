//! What a certificate says about itself.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate, X509Name};

use crate::Error;

/// The facts of one certificate that operators ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Common name of the subject; the whole name if it has none.
    pub subject: String,
    /// Common name of the issuer; the whole name if it has none.
    pub issuer: String,
    /// Organisation of the issuer, if it has one: in Teleport the name of the cluster.
    pub issuer_organisation: Option<String>,
    /// First second of validity, since 1970-01-01T00:00:00Z.
    pub not_before: i64,
    /// Last second of validity, since 1970-01-01T00:00:00Z.
    pub not_after: i64,
}

impl CertificateFacts {
    /// Facts of a chain that a peer presented, in its order.
    ///
    /// # Errors
    ///
    /// [`Error::BadCertificate`] with `origin` as where they came from.
    pub fn of_chain(chain: &[CertificateDer<'_>], origin: &str) -> Result<Vec<Self>, Error> {
        let read = |(at, der)| {
            Self::read(der).map_err(|what| Error::BadCertificate {
                origin: origin.to_owned(),
                number: at + 1,
                what,
            })
        };
        chain.iter().enumerate().map(read).collect()
    }

    /// Reads them from DER; the text of the error says what is damaged.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
        if !rest.is_empty() {
            return Err(format!("{} bytes stand behind it", rest.len()));
        }
        let validity = certificate.validity();
        Ok(Self {
            subject: name(certificate.subject()),
            issuer: name(certificate.issuer()),
            issuer_organisation: certificate
                .issuer()
                .iter_organization()
                .next()
                .and_then(|attribute| attribute.as_str().ok())
                .map(harmless),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Whether `now` (seconds since 1970-01-01T00:00:00Z) lies behind the end of validity.
    pub fn is_expired(&self, now: i64) -> bool {
        now > self.not_after
    }

    /// From when on (seconds since 1970-01-01T00:00:00Z) an operator should hear that the end is
    /// near: in the last fifth of the lifetime, at most 30 days ahead. What is renewed
    /// by itself is renewed earlier.
    pub fn warn_from(&self) -> i64 {
        let lifetime = self.not_after.saturating_sub(self.not_before).max(0);
        self.not_after.saturating_sub((lifetime / 5).min(30 * 86_400))
    }
}

fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|attribute| attribute.as_str().ok());
    let text = common.map_or_else(|| name.to_string(), str::to_owned);
    harmless(&text)
}

/// Names go into logs; whoever made the certificate must not be able to forge log lines.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A span of seconds in its two largest units.
pub(crate) fn format_span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (1.., _, _) => format!("{days}d{hours}h"),
        (_, 1.., _) => format!("{hours}h{minutes}m"),
        _ => format!("{minutes}m{}s", seconds % 60),
    }
}

/// A time in seconds since 1970-01-01T00:00:00Z as RFC 3339 text in UTC.
pub fn format_time(seconds: i64) -> String {
    match ASN1Time::from_timestamp(seconds) {
        Ok(time) => {
            let (date, clock) = (time.to_datetime().date(), time.to_datetime().time());
            let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
            let (hour, minute, second) = clock.as_hms();
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
        }
        Err(_) => format!("{seconds} s since 1970-01-01T00:00:00Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc() {
        assert_eq!(format_time(0), "1970-01-01T00:00:00Z");
        assert_eq!(format_time(1_763_380_929), "2025-11-17T12:02:09Z");
        assert_eq!(format_time(i64::MAX), "9223372036854775807 s since 1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_end_is_told_a_fifth_ahead_and_at_most_thirty_days() {
        let check = |lifetime: i64, ahead: i64| {
            let facts = CertificateFacts {
                subject: "s".to_owned(),
                issuer: "i".to_owned(),
                issuer_organisation: None,
                not_before: 1_000,
                not_after: 1_000 + lifetime,
            };
            assert_eq!(facts.not_after - facts.warn_from(), ahead);
        };
        check(12 * 3600, 12 * 720);
        check(3600, 720);
        check(150 * 86_400, 30 * 86_400);
        check(10 * 365 * 86_400, 30 * 86_400);
        check(-5, 0);
        let spans = [59, 3_599, 3_600, 86_399, 90_000].map(format_span);
        assert_eq!(spans, ["0m59s", "59m59s", "1h0m", "23h59m", "1d1h"]);
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        assert!(CertificateFacts::read(&CertificateDer::from(vec![0x30, 0x03, 1, 2])).is_err());
        assert!(CertificateFacts::read(&CertificateDer::from(vec![])).is_err());
        let chain = [CertificateDer::from(vec![0x30])];
        let error = CertificateFacts::of_chain(&chain, "the server").expect_err("damaged");
        let text = error.to_string();
        assert!(text.starts_with("certificate 1 in `the server` cannot be used: "), "{text}");
    }
}
