//! Certificates and keys that have passed their checks.

use std::fmt;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::{CertificateFacts, Error, Passphrase, Pem};

/// A client certificate with its chain and key, known to belong together.
///
/// Whether it is valid *now* is asked with [`Identity::check`]. Printing it shows no key.
pub struct Identity {
    origin: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    facts: Vec<CertificateFacts>,
}

impl Identity {
    /// Reads certificate chain (leaf first) and key from PEM text.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with either, and [`Error::KeyMismatch`].
    pub fn from_pem(certificate: &Pem, key: &Pem) -> Result<Self, Error> {
        Self::from_encrypted_pem(certificate, key, None)
    }

    /// The same with a passphrase for the key, if it is encrypted.
    ///
    /// # Errors
    ///
    /// As [`Identity::from_pem`], and [`Error::WrongPassphrase`].
    pub fn from_encrypted_pem(
        certificate: &Pem,
        key: &Pem,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, Error> {
        let chain = certificate.certificates()?;
        let private = key.private_key_with(passphrase)?;
        Self::build(certificate.origin(), chain, key.origin(), private)
    }

    fn build(
        origin: &str,
        chain: Vec<CertificateDer<'static>>,
        key_origin: &str,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Error> {
        let facts = CertificateFacts::of_chain(&chain, origin)?;
        if facts.is_empty() {
            return Err(Error::NoCertificate { origin: origin.to_owned(), found: Vec::new() });
        }
        certified(&chain, &key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                Error::KeyMismatch { certificate: origin.to_owned(), key: key_origin.to_owned() }
            }
            rustls::Error::InvalidCertificate(error) => Error::BadCertificate {
                origin: origin.to_owned(),
                number: 1,
                what: error.to_string(),
            },
            _ => Error::UnsupportedKey {
                origin: key_origin.to_owned(),
                what: "it is damaged, or neither ECDSA (P-256, P-384), Ed25519 nor RSA of 2048 \
                       to 8192 bits"
                    .to_owned(),
            },
        })?;
        Ok(Self { origin: origin.to_owned(), chain, key, facts })
    }

    /// Facts of the certificates, leaf first; at least one.
    pub fn facts(&self) -> &[CertificateFacts] {
        &self.facts
    }

    /// Facts of the client certificate itself.
    pub fn leaf(&self) -> &CertificateFacts {
        &self.facts[0]
    }

    /// Where the certificate came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether the client certificate is valid at `now` (seconds since 1970-01-01T00:00:00Z).
    ///
    /// Only the leaf decides: a chain may carry an old cross-signed CA that no peer needs. Use
    /// [`Identity::facts`] to warn about the others.
    ///
    /// # Errors
    ///
    /// [`Error::Expired`], [`Error::NotYetValid`].
    pub fn check(&self, now: i64) -> Result<(), Error> {
        let CertificateFacts { subject, issuer, not_before, not_after, .. } = self.leaf().clone();
        let origin = self.origin.clone();
        if now > not_after {
            return Err(Error::Expired { origin, subject, issuer, not_after, now });
        }
        if now < not_before {
            return Err(Error::NotYetValid { origin, subject, issuer, not_before, now });
        }
        Ok(())
    }

    pub(crate) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key == other.key
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("origin", &self.origin)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// The CAs that a server's certificate may come from.
#[derive(Clone)]
pub struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    facts: Vec<CertificateFacts>,
    store: RootCertStore,
    /// They are those of the operating system.
    of_system: bool,
}

impl Roots {
    /// Only the CAs in these PEM texts.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with one of them.
    pub fn from_pem<'a>(parts: impl IntoIterator<Item = &'a Pem>) -> Result<Self, Error> {
        let mut roots = Self::empty();
        for part in parts {
            roots.add(part.origin(), part.certificates()?)?;
        }
        roots.not_empty("the given CA parts")
    }

    /// The CAs that the operating system trusts. Blocks. Single damaged ones are passed over,
    /// as the operator did not choose them.
    ///
    /// # Errors
    ///
    /// [`Error::NoSystemRoots`] when there are none.
    pub fn system() -> Result<Self, Error> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = Self { of_system: true, ..Self::empty() };
        for certificate in loaded.certs {
            let Ok(facts) = CertificateFacts::read(&certificate) else { continue };
            if roots.store.add(certificate.clone()).is_ok() {
                roots.certificates.push(certificate);
                roots.facts.push(facts);
            }
        }
        if roots.certificates.is_empty() {
            let what = loaded.errors.first().map_or("none installed".into(), ToString::to_string);
            return Err(Error::NoSystemRoots { what });
        }
        Ok(roots)
    }

    /// Facts of the CAs.
    pub fn facts(&self) -> &[CertificateFacts] {
        &self.facts
    }

    /// Of the CAs that an operator has chosen the one that ends last: until then there is one.
    /// `None` for those of the operating system.
    pub(crate) fn last(&self) -> Option<&CertificateFacts> {
        let chosen = if self.of_system { &[] } else { &self.facts[..] };
        chosen.iter().max_by_key(|facts| facts.not_after)
    }

    fn empty() -> Self {
        let (certificates, facts, store) = (Vec::new(), Vec::new(), RootCertStore::empty());
        Self { certificates, facts, store, of_system: false }
    }

    fn add(&mut self, origin: &str, certs: Vec<CertificateDer<'static>>) -> Result<(), Error> {
        self.facts.extend(CertificateFacts::of_chain(&certs, origin)?);
        for (index, certificate) in certs.into_iter().enumerate() {
            self.store.add(certificate.clone()).map_err(|error| Error::BadCertificate {
                origin: origin.to_owned(),
                number: index + 1,
                what: error.to_string(),
            })?;
            self.certificates.push(certificate);
        }
        Ok(())
    }

    fn not_empty(self, origin: &str) -> Result<Self, Error> {
        if self.certificates.is_empty() {
            return Err(Error::NoCertificate { origin: origin.to_owned(), found: Vec::new() });
        }
        Ok(self)
    }

    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    pub(crate) fn store(&self) -> RootCertStore {
        self.store.clone()
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for Roots {}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subjects = self.facts.iter().map(|facts| &facts.subject);
        f.write_str("Roots ")?;
        f.debug_list().entries(subjects).finish()
    }
}

/// The one crypto provider of this program, named everywhere instead of a process default.
pub(crate) fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn certified(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ca_that_is_good_is_enough() {
        let facts = |subject: &str, not_after| CertificateFacts {
            subject: subject.to_owned(),
            issuer: String::new(),
            issuer_organisation: None,
            not_before: 0,
            not_after,
        };
        let given = vec![facts("old", 10), facts("new", 30), facts("other", 20)];
        let mut roots = Roots { facts: given, ..Roots::empty() };
        assert_eq!(roots.last().map(|facts| &*facts.subject), Some("new"));
        roots.of_system = true;
        assert_eq!(roots.last(), None, "nobody has chosen them");
    }
}
