//! The short name of a public key.

use std::fmt;

use crate::hex;
use crate::sha256::sha256;

/// First 8 bytes of the SHA-256 of the raw 32-byte public key, printed as lower-case hex.
///
/// Only a name: whoever finds a second key with the same id gains nothing, because a signature is
/// checked with the public key of the trust file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The id of a public key.
    pub fn of_public_key(public_key: &[u8; 32]) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&sha256(public_key)[..8]);
        Self(id)
    }

    /// Reads 16 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
