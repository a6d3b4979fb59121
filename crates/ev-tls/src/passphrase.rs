//! What opens an encrypted private key.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, read_file};

/// A passphrase. Printing shows nothing of it, not even its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Vec<u8>);

impl Passphrase {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Reads a file whose content is the passphrase; one line end behind it does not belong to it.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::ReadFile`], and [`Error::EmptyPassphrase`] when nothing is in it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut bytes =
            read_file(path).map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.is_empty() {
            return Err(Error::EmptyPassphrase { path: path.to_owned() });
        }
        Ok(Self(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(not shown)")
    }
}

/// Where a passphrase comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A file, read again with the key.
    File(PathBuf),
    /// It is known already.
    Known(Passphrase),
}

impl PassphraseSource {
    /// The passphrase of now. Blocks on the file.
    ///
    /// # Errors
    ///
    /// As [`Passphrase::read`].
    pub fn read(&self) -> Result<Passphrase, Error> {
        match self {
            Self::File(path) => Passphrase::read(path),
            Self::Known(passphrase) => Ok(passphrase.clone()),
        }
    }
}
