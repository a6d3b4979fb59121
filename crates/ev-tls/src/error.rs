//! What can be wrong with certificates and keys.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use crate::facts::format_time;

/// Certificates or keys cannot be used.
///
/// `origin` is where they came from as the operator knows it: a path, or a path with the name of
/// a part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is missing, not readable or unreasonably large.
    #[error("failed to read `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The text is no valid PEM.
    #[error("`{origin}` is not valid PEM: {what}")]
    InvalidPem {
        /// Where it came from.
        origin: String,
        /// What is wrong.
        what: String,
    },
    /// No `CERTIFICATE` block.
    #[error("no certificate in `{origin}` ({})", holds(found))]
    NoCertificate {
        /// Where it came from.
        origin: String,
        /// Labels of the blocks that are there.
        found: Vec<String>,
    },
    /// No private key block.
    #[error("no private key in `{origin}` ({})", holds(found))]
    NoKey {
        /// Where it came from.
        origin: String,
        /// Labels of the blocks that are there.
        found: Vec<String>,
    },
    /// The key is protected by a passphrase, and none is given.
    #[error("private key in `{origin}` is encrypted and no passphrase is set")]
    EncryptedKey {
        /// Where it came from.
        origin: String,
    },
    /// The passphrase does not open the key.
    #[error(
        "private key in `{origin}` cannot be decrypted: the passphrase is wrong or the file damaged"
    )]
    WrongPassphrase {
        /// Where the key came from.
        origin: String,
    },
    /// A passphrase file holds nothing.
    #[error("no passphrase is in `{}`", path.display())]
    EmptyPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The key has a form or a kind that cannot be used.
    #[error("private key in `{origin}` cannot be used: {what}")]
    UnsupportedKey {
        /// Where it came from.
        origin: String,
        /// Why.
        what: String,
    },
    /// A certificate is damaged.
    #[error("certificate {number} in `{origin}` cannot be used: {what}")]
    BadCertificate {
        /// Where it came from.
        origin: String,
        /// Which one, counted from 1.
        number: usize,
        /// Why.
        what: String,
    },
    /// The key belongs to another certificate.
    #[error("private key in `{key}` does not belong to the first certificate in `{certificate}`")]
    KeyMismatch {
        /// Where the certificate came from.
        certificate: String,
        /// Where the key came from.
        key: String,
    },
    /// A chain whose certificates do not belong behind each other.
    #[error(
        "certificate {number} (`{subject}`) in `{origin}` was not signed by the certificate behind \
         it: a chain begins with the certificate itself, and each is followed by its issuer"
    )]
    BrokenChain {
        /// Where it came from.
        origin: String,
        /// Which one, counted from 1.
        number: usize,
        /// Its subject.
        subject: String,
    },
    /// A certificate was set without its key, or a key without its certificate.
    #[error("`{given}` is set without a {missing}: a client certificate needs both")]
    HalfIdentity {
        /// The part that is there.
        given: String,
        /// What the other part is.
        missing: &'static str,
    },
    /// The certificate is no longer valid.
    #[error(
        "certificate `{subject}` (issued by `{issuer}`) in `{origin}` expired at {}, it is now {}",
        format_time(*not_after), format_time(*now)
    )]
    Expired {
        /// Where it came from.
        origin: String,
        /// Its subject.
        subject: String,
        /// Its issuer.
        issuer: String,
        /// Last second of its validity, since 1970-01-01T00:00:00Z.
        not_after: i64,
        /// The time of the check, in the same unit.
        now: i64,
    },
    /// The certificate is not valid yet.
    #[error(
        "certificate `{subject}` (issued by `{issuer}`) in `{origin}` is not valid before {}, \
         it is now {}: is the clock right?",
        format_time(*not_before), format_time(*now)
    )]
    NotYetValid {
        /// Where it came from.
        origin: String,
        /// Its subject.
        subject: String,
        /// Its issuer.
        issuer: String,
        /// First second of its validity, since 1970-01-01T00:00:00Z.
        not_before: i64,
        /// The time of the check, in the same unit.
        now: i64,
    },
    /// The operating system has no usable CA certificates.
    #[error("no CA certificates found on this system: {what}")]
    NoSystemRoots {
        /// What was tried.
        what: String,
    },
    /// A host name that no certificate could be valid for.
    #[error("`{name}` is neither a host name nor an address")]
    InvalidServerName {
        /// The name.
        name: String,
    },
    /// A [`crate::CredentialSource`] other than files failed.
    #[error("failed to read credentials")]
    Source(#[source] Box<dyn StdError + Send + Sync>),
    /// The TLS library refuses the combination.
    #[error("failed to prepare TLS")]
    Tls(#[from] rustls::Error),
}

fn holds(found: &[String]) -> String {
    if found.is_empty() {
        "it holds no PEM block".to_owned()
    } else {
        format!("it holds: {}", found.join(", "))
    }
}
