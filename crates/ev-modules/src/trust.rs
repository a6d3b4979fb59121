//! The trust file: whose signatures count.
//!
//! JSON:
//!
//! ```json
//! {
//!   "keys": [
//!     {
//!       "public_key": "<base64 of the raw 32-byte Ed25519 key>",
//!       "key_id": "<16 hex digits, optional: checked against the key>",
//!       "not_before": "2025-01-01T00:00:00Z",
//!       "not_after": "2027-01-01T00:00:00Z",
//!       "comment": "release key 2025"
//!     }
//!   ],
//!   "revoked": ["<64 hex digits: SHA-256 of an artifact>"],
//!   "min_created": "2025-01-01T00:00:00Z"
//! }
//! ```
//!
//! Only `keys` and in it `public_key` are required. `not_before` is the first instant at which the
//! key counts, `not_after` the last; both are compared with the clock at the time of the check, so
//! an artifact kept from earlier is refused too once its key has expired. During a rotation both
//! keys are listed. Artifacts that were signed before `min_created` are refused. Unknown members
//! are refused: one that is mistyped would not do what was meant.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::Timestamp;
use serde::Deserialize;

use crate::key_id::KeyId;
use crate::sha256::sha256;
use crate::{Error, file, hex, rfc3339};

/// Largest trust file that is read: thousands of keys and revoked digests.
const MAX_TRUST_BYTES: usize = 1024 * 1024;

/// Whose signatures count, and for what.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: Vec<TrustedKey>,
    revoked: BTreeSet<[u8; 32]>,
    min_created: Option<Timestamp>,
    file: Option<TrustFile>,
}

/// Where a trust was read from, and what was there.
#[derive(Clone, Debug)]
struct TrustFile {
    path: PathBuf,
    sha256: [u8; 32],
}

/// A key whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Raw Ed25519 public key.
    pub public_key: [u8; 32],
    /// Its short name.
    pub key_id: KeyId,
    /// First instant at which it counts.
    pub not_before: Option<Timestamp>,
    /// Last instant at which it counts.
    pub not_after: Option<Timestamp>,
    /// For people.
    pub comment: String,
}

/// A member of a trust file that cannot be meant, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadField {
    pub(crate) field: String,
    pub(crate) message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    keys: Vec<WireKey>,
    #[serde(default)]
    revoked: Vec<String>,
    min_created: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireKey {
    public_key: String,
    key_id: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    #[serde(default)]
    comment: String,
}

impl Trust {
    /// Trusts nobody: every artifact is refused.
    pub fn nobody() -> Self {
        Self::default()
    }

    /// Trusts one key, always.
    pub fn key(public_key: [u8; 32]) -> Self {
        let key_id = KeyId::of_public_key(&public_key);
        let key = TrustedKey {
            public_key,
            key_id,
            not_before: None,
            not_after: None,
            comment: String::new(),
        };
        Self { keys: vec![key], ..Self::default() }
    }

    /// Reads a trust file.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], [`Error::TooLarge`], or [`Error::Trust`] with the member that is wrong.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = file::read_named(path, MAX_TRUST_BYTES)?;
        Self::from_file(path, &bytes)
    }

    fn from_file(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let file = TrustFile { path: path.to_path_buf(), sha256: sha256(bytes) };
        Ok(Self { file: Some(file), ..Self::from_json(bytes, path)? })
    }

    /// Whether it came from a file, which can be read again.
    pub(crate) fn is_from_file(&self) -> bool {
        self.file.is_some()
    }

    /// What the file says now, if it is not what it said before.
    pub(crate) fn read_again(&self) -> Result<Option<Self>, Error> {
        let Some(TrustFile { path, sha256: before }) = &self.file else { return Ok(None) };
        let bytes = file::read_named(path, MAX_TRUST_BYTES)?;
        if sha256(&bytes) == *before {
            return Ok(None);
        }
        Self::from_file(path, &bytes).map(Some)
    }

    /// Reads the text of a trust file; `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`Error::Trust`] with the member that is wrong.
    pub fn from_json(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        Self::parse(bytes).map_err(|BadField { field, message }| Error::Trust {
            path: path.to_path_buf(),
            field,
            message,
        })
    }

    /// The keys listed.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    pub(crate) fn find(&self, key_id: KeyId) -> Option<&TrustedKey> {
        self.keys.iter().find(|key| key.key_id == key_id)
    }

    pub(crate) fn is_revoked(&self, sha256: &[u8; 32]) -> bool {
        self.revoked.contains(sha256)
    }

    pub(crate) fn min_created(&self) -> Option<Timestamp> {
        self.min_created
    }

    fn parse(bytes: &[u8]) -> Result<Self, BadField> {
        let bad = |field: String, message: &str| BadField { field, message: message.to_owned() };
        // The message of the JSON reader names the member and its line where it can.
        let wire: Wire = serde_json::from_slice(bytes)
            .map_err(|error| bad("(whole file)".to_owned(), &format!("is wrong: {error}")))?;
        if wire.keys.is_empty() {
            return Err(bad("keys".to_owned(), "is empty: every artifact would be refused"));
        }
        let mut trust = Self::default();
        for (index, key) in wire.keys.into_iter().enumerate() {
            let key = parse_key(index, key)?;
            if trust.find(key.key_id).is_some() {
                return Err(bad(format!("keys[{index}].public_key"), "is listed twice"));
            }
            trust.keys.push(key);
        }
        for (index, digest) in wire.revoked.iter().enumerate() {
            let digest = hex::decode(digest).ok_or_else(|| {
                bad(format!("revoked[{index}]"), "is not 64 lower-case hex digits")
            })?;
            trust.revoked.insert(digest);
        }
        trust.min_created = time(wire.min_created.as_deref(), || "min_created".to_owned())?;
        Ok(trust)
    }
}

fn parse_key(index: usize, key: WireKey) -> Result<TrustedKey, BadField> {
    let field = |name: &str| format!("keys[{index}].{name}");
    let bad =
        |name: &str, message: &str| BadField { field: field(name), message: message.to_owned() };
    let public_key: [u8; 32] = BASE64_STANDARD
        .decode(&key.public_key)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| bad("public_key", "is not the base64 of 32 bytes"))?;
    let key_id = KeyId::of_public_key(&public_key);
    if let Some(named) = &key.key_id {
        let named =
            KeyId::parse(named).ok_or_else(|| bad("key_id", "is not 16 lower-case hex digits"))?;
        if named != key_id {
            let message = format!("is `{named}`, but the key's id is `{key_id}`");
            return Err(bad("key_id", &message));
        }
    }
    let not_before = time(key.not_before.as_deref(), || field("not_before"))?;
    let not_after = time(key.not_after.as_deref(), || field("not_after"))?;
    if let (Some(from), Some(to)) = (not_before, not_after)
        && from > to
    {
        return Err(bad("not_after", "is before `not_before`: the key would never count"));
    }
    Ok(TrustedKey { public_key, key_id, not_before, not_after, comment: key.comment })
}

fn time(text: Option<&str>, field: impl FnOnce() -> String) -> Result<Option<Timestamp>, BadField> {
    let Some(text) = text else { return Ok(None) };
    rfc3339::parse(text).map(Some).ok_or_else(|| BadField {
        field: field(),
        message: "is no RFC 3339 time in UTC, such as `2025-01-31T12:00:00Z`".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    #[test]
    fn reads_several_keys() {
        let id = KeyId::of_public_key(&[1; 32]);
        let other = BASE64_STANDARD.encode([2; 32]);
        let json = format!(
            r#"{{"keys":[{{"public_key":"{KEY}","key_id":"{id}","comment":"old",
                "not_after":"2026-01-01T00:00:00Z"}},{{"public_key":"{other}"}}],
                "revoked":["{}"],"min_created":"2025-01-01T00:00:00Z"}}"#,
            "ab".repeat(32)
        );
        let trust = Trust::parse(json.as_bytes()).unwrap();
        assert_eq!(trust.keys().len(), 2);
        assert_eq!(trust.keys()[0].comment, "old");
        assert_eq!(trust.find(id).unwrap().public_key, [1; 32]);
        assert!(trust.is_revoked(&[0xab; 32]));
        assert!(!trust.is_revoked(&[0xac; 32]));
        assert_eq!(trust.min_created().unwrap().to_string(), "2025-01-01T00:00:00Z");
    }

    #[test]
    fn names_file_and_member() {
        let check = |json: String, field: &str, message: &str| {
            let error = Trust::from_json(json.as_bytes(), Path::new("/etc/trust.json"));
            let text = error.expect_err("must be refused").to_string();
            assert!(text.contains("`/etc/trust.json`"), "{text}");
            assert!(text.contains(&format!("`{field}`")), "{text}");
            assert!(text.contains(message), "{text}");
        };
        let with = |more: &str| format!(r#"{{"keys":[{{"public_key":"{KEY}"{more}}}]}}"#);
        check(String::new(), "(whole file)", "EOF");
        check("{}".to_owned(), "(whole file)", "missing field `keys`");
        check(r#"{"keys":[]}"#.to_owned(), "keys", "empty");
        check(with(",\"not_afer\":\"x\""), "(whole file)", "unknown field `not_afer`");
        check(r#"{"keys":[{"public_key":"AQ=="}]}"#.to_owned(), "keys[0].public_key", "32 bytes");
        check(with(",\"key_id\":\"00\""), "keys[0].key_id", "16 lower-case");
        check(with(",\"key_id\":\"0000000000000000\""), "keys[0].key_id", "the key's id is");
        check(with(",\"not_before\":\"tomorrow\""), "keys[0].not_before", "RFC 3339");
        check(
            with(r#","not_before":"2026-01-01T00:00:00Z","not_after":"2025-01-01T00:00:00Z""#),
            "keys[0].not_after",
            "never count",
        );
        check(
            format!(r#"{{"keys":[{{"public_key":"{KEY}"}},{{"public_key":"{KEY}"}}]}}"#),
            "keys[1].public_key",
            "twice",
        );
        let and = |more: &str| format!(r#"{{"keys":[{{"public_key":"{KEY}"}}],{more}}}"#);
        check(and("\"revoked\":[\"AB\"]"), "revoked[0]", "64 lower-case");
        check(and("\"min_created\":\"2025\""), "min_created", "RFC 3339");
    }
}
