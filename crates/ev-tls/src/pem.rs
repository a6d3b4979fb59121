//! PEM text and what is in it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

use crate::encrypted::{Closed, EncryptedKey};
use crate::{Error, Passphrase};

/// Largest file that is read, in bytes. A bundle of all public CAs is about 250 kB; the limit
/// keeps a wrong path (a log, a device) from filling the memory.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// PEM text and where it came from. May hold a private key: printing it shows only its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    origin: String,
    bytes: Vec<u8>,
}

impl Pem {
    /// Text that is already in memory; `origin` is what errors call it.
    pub fn new(origin: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { origin: origin.into(), bytes: bytes.into() }
    }

    /// Reads a file. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::ReadFile`] when it is missing, not readable, or larger than 4 MiB.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::ReadFile { path: path.to_owned(), source };
        let bytes = read_file(path).map_err(failed)?;
        Ok(Self::new(path.display().to_string(), bytes))
    }

    /// Where the text came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// All certificates, in order; at least one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPem`], [`Error::NoCertificate`].
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let certificates = CertificateDer::pem_slice_iter(&self.bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.invalid(&error))?;
        if certificates.is_empty() {
            return Err(Error::NoCertificate { origin: self.origin.clone(), found: self.labels() });
        }
        Ok(certificates)
    }

    /// The first private key, which must not be encrypted: PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPem`], [`Error::NoKey`], [`Error::EncryptedKey`] and
    /// [`Error::UnsupportedKey`].
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        self.private_key_with(None)
    }

    /// The first private key, opened with `passphrase` if it is encrypted: by PKCS#8 PBES2 with
    /// PBKDF2 or scrypt, or in the older form of OpenSSL with AES or triple DES.
    ///
    /// # Errors
    ///
    /// As [`Pem::private_key`], and [`Error::WrongPassphrase`].
    pub fn private_key_with(
        &self,
        passphrase: Option<&Passphrase>,
    ) -> Result<PrivateKeyDer<'static>, Error> {
        let origin = || self.origin.clone();
        let found = self.labels();
        // The old form has a header line inside the block, which a strict reader takes for
        // damaged base64; so both encrypted forms are told before the block is read.
        if let Some(key) = EncryptedKey::find(&self.lines().collect::<Vec<_>>()) {
            let Some(passphrase) = passphrase else {
                return Err(Error::EncryptedKey { origin: origin() });
            };
            return key.open(passphrase).map_err(|closed| match closed {
                Closed::Wrong => Error::WrongPassphrase { origin: origin() },
                Closed::Damaged(what) => {
                    Error::UnsupportedKey { origin: origin(), what: what.to_owned() }
                }
                Closed::Unsupported(how) => Error::UnsupportedKey {
                    origin: origin(),
                    what: format!(
                        "it is encrypted with {how}, which is not supported: convert it with \
                         `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
                    ),
                },
            });
        }
        match PrivateKeyDer::from_pem_slice(&self.bytes) {
            Ok(key) => Ok(key),
            Err(pem::Error::NoItemsFound)
                if found.iter().any(|label| label == "OPENSSH PRIVATE KEY") =>
            {
                let what = "it is in OpenSSH's own form, PKCS#8, PKCS#1 or SEC1 is needed";
                Err(Error::UnsupportedKey { origin: origin(), what: what.to_owned() })
            }
            Err(pem::Error::NoItemsFound) => Err(Error::NoKey { origin: origin(), found }),
            Err(error) => Err(self.invalid(&error)),
        }
    }

    fn invalid(&self, error: &pem::Error) -> Error {
        // Never the library's own text: it may quote a line, and the line may be part of a key.
        let what = match error {
            pem::Error::MissingSectionEnd { .. } => "a block has no `-----END …-----` line",
            pem::Error::IllegalSectionStart { .. } => "a `-----BEGIN …` line is broken",
            pem::Error::Base64Decode(_) => "a block holds something other than base64",
            pem::Error::SectionTooLarge => "a block is too large",
            _ => "it cannot be read",
        };
        Error::InvalidPem { origin: self.origin.clone(), what: what.to_owned() }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
    }

    /// Labels of all blocks, at most a handful, for messages.
    fn labels(&self) -> Vec<String> {
        self.lines()
            .filter_map(|line| line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----"))
            .filter(|label| label.len() <= 64 && label.is_ascii())
            .take(8)
            .map(|label| String::from_utf8_lossy(label).into_owned())
            .collect()
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem")
            .field("origin", &self.origin)
            .field("bytes", &format_args!("[{} bytes, not shown]", self.bytes.len()))
            .finish()
    }
}

/// Reads a file that holds certificates and keys. Blocks.
///
/// # Errors
///
/// When it is missing, not readable, larger than 4 MiB, or no regular file: a pipe or a device
/// would block, or never end.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let what = format!("larger than {MAX_FILE_BYTES} bytes, so no certificate or key file");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_error(text: &str) -> String {
        Pem::new("k.pem", text).private_key().expect_err("no usable key").to_string()
    }

    #[test]
    fn what_is_wrong_is_told() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(key_error(""), "no private key in `k.pem` (it holds no PEM block)");
        assert_eq!(key_error(certificate), "no private key in `k.pem` (it holds: CERTIFICATE)");
        let closed = "private key in `k.pem` is encrypted and no passphrase is set";
        assert_eq!(key_error("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"), closed);
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\r\nAAAA\n";
        assert_eq!(key_error(old), closed);
        let openssh =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
        assert!(key_error(openssh).contains("OpenSSH"));
        let cut = "-----BEGIN PRIVATE KEY-----\nAAAA\n";
        assert!(key_error(cut).contains("-----END"));
        let garbage = "-----BEGIN PRIVATE KEY-----\nsecret!secret\n-----END PRIVATE KEY-----\n";
        assert_eq!(
            key_error(garbage),
            "`k.pem` is not valid PEM: a block holds something other than base64"
        );
        let error = Pem::new("c.pem", "x").certificates().expect_err("no certificate");
        assert_eq!(error.to_string(), "no certificate in `c.pem` (it holds no PEM block)");
    }

    #[test]
    fn printing_shows_no_key() {
        let shown = format!("{:?}", Pem::new("k.pem", "secret"));
        assert_eq!(shown, "Pem { origin: \"k.pem\", bytes: [6 bytes, not shown] }");
    }
}
