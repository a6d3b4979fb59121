//! Where credentials are read from, and read again.

use std::path::PathBuf;

use crate::modes::warn_if_open;
use crate::{Error, Identity, PassphraseSource, Pem, Roots};

/// What a TLS client needs: whom it trusts and who it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The CAs that the server's certificate may come from.
    pub roots: Roots,
    /// The client certificate, if there is one.
    pub identity: Option<Identity>,
}

/// A place from which credentials can be read again and again.
///
/// Closures are sources too, for whoever has a file format of its own.
pub trait CredentialSource: Send + Sync {
    /// Reads everything anew. May block.
    ///
    /// # Errors
    ///
    /// What is wrong and where; [`Error::Source`] wraps what is not about certificates.
    fn read(&self) -> Result<Credentials, Error>;
}

impl<F: Fn() -> Result<Credentials, Error> + Send + Sync> CredentialSource for F {
    fn read(&self) -> Result<Credentials, Error> {
        self()
    }
}

/// Credentials in PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialFiles {
    /// CAs to trust, and no others; without it those of the operating system.
    pub ca: Option<PathBuf>,
    /// Client certificate and its chain, leaf first; needs `key`.
    pub certificate: Option<PathBuf>,
    /// Private key of the client certificate.
    pub key: Option<PathBuf>,
    /// What opens the key, if it is encrypted; not needed otherwise.
    pub passphrase: Option<PassphraseSource>,
}

impl CredentialFiles {
    /// Warns about secret files that others than their owner may use.
    pub fn warn_if_open(&self) {
        let passphrase = match &self.passphrase {
            Some(PassphraseSource::File(path)) => Some(path),
            Some(PassphraseSource::Known(_)) | None => None,
        };
        self.key.iter().chain(passphrase).for_each(|path| warn_if_open(path));
    }
}

impl CredentialSource for CredentialFiles {
    fn read(&self) -> Result<Credentials, Error> {
        let roots = match &self.ca {
            Some(path) => Roots::from_pem([&Pem::read(path)?])?,
            None => Roots::system()?,
        };
        let identity = match (&self.certificate, &self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let passphrase =
                    self.passphrase.as_ref().map(PassphraseSource::read).transpose()?;
                let (certificate, key) = (Pem::read(certificate)?, Pem::read(key)?);
                Some(Identity::from_encrypted_pem(&certificate, &key, passphrase.as_ref())?)
            }
            (Some(path), None) => return Err(half(path, "private key")),
            (None, Some(path)) => return Err(half(path, "certificate")),
        };
        Ok(Credentials { roots, identity })
    }
}

fn half(given: &std::path::Path, missing: &'static str) -> Error {
    Error::HalfIdentity { given: given.display().to_string(), missing }
}
