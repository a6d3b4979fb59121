//! Making keys and signatures: the release's side of trust, never Auth's.
//!
//! A key file is PKCS#8 in PEM (`-----BEGIN PRIVATE KEY-----`), mode 0600, as `openssl genpkey
//! -algorithm ed25519` writes it too.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::key_id::KeyId;
use crate::manifest::Manifest;
use crate::{Error, envelope, file};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// An Ed25519 key file has some 170 bytes.
const MAX_KEY_BYTES: usize = 16 * 1024;

/// An Ed25519 signing key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    ///
    /// [`Error::KeyGeneration`] when the system gives none.
    pub fn generate() -> Result<Self, Error> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| Error::KeyGeneration)?;
        Self::from_pkcs8(document.as_ref().to_vec()).map_err(|_| Error::KeyGeneration)
    }

    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], [`Error::TooLarge`], or [`Error::Key`] when it holds no Ed25519 key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = file::read_named(path, MAX_KEY_BYTES)?;
        Self::from_pem(&bytes).map_err(|message| Error::Key { path: path.to_path_buf(), message })
    }

    /// Writes a key file that only its owner can read. An existing file is never overwritten
    /// unless `replace` says so.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] or [`Error::Write`].
    pub fn write(&self, path: &Path, replace: bool) -> Result<(), Error> {
        let mut pem = format!("{BEGIN}\n");
        let text = BASE64_STANDARD.encode(&self.pkcs8);
        for (index, char) in text.chars().enumerate() {
            if index != 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(char);
        }
        pem.push_str(&format!("\n{END}\n"));
        file::write(path, pem.as_bytes(), 0o600, replace)
    }

    /// The raw public key, for a trust file.
    pub fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        key
    }

    /// The public key's short name.
    pub fn key_id(&self) -> KeyId {
        KeyId::of_public_key(&self.public_key())
    }

    /// The envelope of a manifest. The manifest's `key_id` becomes this key's. Ed25519 has no
    /// randomness: the same manifest gives the same bytes.
    pub fn sign(&self, manifest: &Manifest) -> Vec<u8> {
        let manifest = Manifest { key_id: self.key_id(), ..manifest.clone() };
        self.sign_body(&manifest.to_json())
    }

    /// The envelope of any body: for tests of what a holder of the key could sign.
    pub fn sign_body(&self, body: &[u8]) -> Vec<u8> {
        let signed = envelope::pre_authentication_encoding(envelope::PAYLOAD_TYPE, body);
        envelope::write(body, self.key_id(), self.pair.sign(&signed).as_ref())
    }

    /// A trust file that lists this key alone.
    pub fn trust_json(&self, comment: &str) -> String {
        let json = serde_json::json!({
            "keys": [{
                "public_key": BASE64_STANDARD.encode(self.public_key()),
                "key_id": self.key_id().to_string(),
                "comment": comment,
            }],
        });
        format!("{json:#}\n")
    }

    fn from_pem(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is no PEM text")?;
        let (_, rest) = text.split_once(BEGIN).ok_or(format!("has no `{BEGIN}` block"))?;
        let (body, _) = rest.split_once(END).ok_or(format!("has no `{END}` line"))?;
        let compact: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let pkcs8 = BASE64_STANDARD.decode(compact).map_err(|_| "holds no base64".to_owned())?;
        Self::from_pkcs8(pkcs8).map_err(|reason| format!("holds no Ed25519 key: {reason}"))
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, String> {
        // "Maybe unchecked": other tools leave the public key out, which is then computed.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8)
            .map_err(|rejected| rejected.to_string())?;
        Ok(Self { pair, pkcs8 })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let key = SigningKey::generate().unwrap();
        key.write(&path, false).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SigningKey::read(&path).unwrap().public_key(), key.public_key());

        let other = SigningKey::generate().unwrap();
        assert!(matches!(other.write(&path, false), Err(Error::Exists { .. })));
        assert_eq!(SigningKey::read(&path).unwrap().public_key(), key.public_key());
        other.write(&path, true).unwrap();
        assert_eq!(SigningKey::read(&path).unwrap().public_key(), other.public_key());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_key_of_openssl_is_read() {
        // The private key of RFC 8410, section 10.3, without a public key.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
        // Its public key, same section.
        let public = BASE64_STANDARD.decode("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
        assert_eq!(key.public_key().to_vec(), public.unwrap());
    }

    #[test]
    fn what_is_no_key_is_told_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let check = |text: &str, message: &str| {
            std::fs::write(&path, text).unwrap();
            let error = SigningKey::read(&path).expect_err("must be refused").to_string();
            assert!(error.contains(message) && error.contains("key.pem"), "{error}");
            assert!(!error.contains("c2VjcmV0"), "{error}");
        };
        check("c2VjcmV0", "block");
        check("-----BEGIN PRIVATE KEY-----\nc2VjcmV0", "line");
        check("-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----", "base64");
        check("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----", "Ed25519");
    }

    #[test]
    fn signing_has_no_randomness() {
        let key = SigningKey::generate().unwrap();
        assert_eq!(key.sign_body(b"x"), key.sign_body(b"x"));
    }
}
