//! The server's key under its passphrase: PKCS#8 with PBES2, PBKDF2 with HMAC-SHA-256, AES-256-CBC
//! (RFC 8018).
//!
//! What OpenSSL and Fluentd read: a key under scrypt at usual costs is refused by OpenSSL's limit
//! on memory, and the form that the reference handler writes rests on one round of MD5.

use der::pem::LineEnding;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::{Error, Passphrase};

/// What OWASP recommends for PBKDF2 with HMAC-SHA-256; some tenths of a second, once at the start
/// of Fluentd.
const ITERATIONS: u32 = 600_000;

const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Encrypts a PKCS#8 key, as PEM.
pub(crate) fn encrypt(pkcs8: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<String>, Error> {
    let random = SystemRandom::new();
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    for bytes in [&mut salt, &mut iv] {
        random.fill(bytes).map_err(|_| Error::Randomness)?;
    }
    let encrypt = || -> Result<Zeroizing<String>, pkcs8::Error> {
        let parameters =
            pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, iv)?;
        let key = PrivateKeyInfoRef::try_from(pkcs8)?;
        let document = key.encrypt_with_params(parameters, passphrase.reveal())?;
        Ok(document.to_pem(LABEL, LineEnding::LF)?)
    };
    encrypt().map_err(|error| Error::Encrypt { what: error.to_string() })
}

/// Decrypts what [`encrypt`] wrote, to PKCS#8 DER.
pub(crate) fn decrypt(pem: &str, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, Error> {
    let decrypt = || -> Result<Zeroizing<Vec<u8>>, pkcs8::Error> {
        let (_label, der) = der::SecretDocument::from_pem(pem)?;
        let key = EncryptedPrivateKeyInfoRef::try_from(der.as_bytes())?;
        Ok(key.decrypt(passphrase.reveal())?.to_bytes())
    };
    decrypt().map_err(|error| Error::Encrypt { what: error.to_string() })
}
