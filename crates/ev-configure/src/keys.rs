//! Keys of every kind, and their PEM form.

use der::SecretDocument;
use der::pem::LineEnding;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use rustls::pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use crate::{Error, KeyKind, rsa};

/// A key that can sign, and its PKCS#8 form.
pub(crate) struct Key {
    pub(crate) pair: KeyPair,
    pub(crate) pkcs8: Zeroizing<Vec<u8>>,
}

impl Key {
    /// Makes `N` keys, two at a time where there are two processors: RSA primes take seconds.
    pub(crate) fn generate<const N: usize>(kind: KeyKind) -> Result<[Self; N], Error> {
        let made = std::thread::scope(|scope| {
            let threads = [(); N].map(|()| scope.spawn(move || Self::generate_one(kind)));
            threads.map(|thread| thread.join())
        });
        let mut keys = Vec::with_capacity(N);
        for key in made {
            // A thread that panicked is a defect, and is reported as one.
            keys.push(key.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(keys.try_into().unwrap_or_else(|_| unreachable!("one key for each of the threads")))
    }

    fn generate_one(kind: KeyKind) -> Result<Self, Error> {
        let failed = |error: rcgen::Error| Error::Key { what: error.to_string() };
        let bits = match kind {
            KeyKind::EcdsaP256 => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
                let pkcs8 = Zeroizing::new(pair.serialize_der());
                return Ok(Self { pair, pkcs8 });
            }
            KeyKind::Rsa2048 => 2048,
            KeyKind::Rsa4096 => 4096,
        };
        let pkcs8 = rsa::generate(bits)?;
        // This is where `ring` checks the key.
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).map_err(failed)?;
        Ok(Self { pair, pkcs8 })
    }

    /// `-----BEGIN PRIVATE KEY-----`: not encrypted.
    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let failed = |error: der::Error| Error::Key { what: error.to_string() };
        let document = SecretDocument::try_from(self.pkcs8.as_slice()).map_err(failed)?;
        document.to_pem("PRIVATE KEY", LineEnding::LF).map_err(failed)
    }
}
