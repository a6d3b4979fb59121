//! Why an artifact is refused: one variant per check.

use ev_core::{AuthVersion, Timestamp};

use crate::key_id::KeyId;

/// An artifact did not pass a check; listed in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The envelope is larger than any real one.
    #[error("envelope of {size} bytes is larger than {max}")]
    EnvelopeTooLarge {
        /// Length in bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The artifact is larger than the settings allow.
    #[error("artifact of {size} bytes is larger than {max}")]
    TooLarge {
        /// Length in bytes, received or declared.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// The envelope cannot be read.
    #[error("malformed envelope: {what}")]
    MalformedEnvelope {
        /// What is wrong, lower case.
        what: String,
    },
    /// The envelope is for something other than a decoder.
    #[error("envelope has payload type `{found}`")]
    WrongPayloadType {
        /// The type it states.
        found: String,
    },
    /// No signature is by a key of the trust file.
    #[error("signed by untrusted key `{key_ids}`")]
    UntrustedKey {
        /// The key ids the envelope names, separated by commas.
        key_ids: String,
    },
    /// The key does not count yet.
    #[error("key `{key_id}` counts only from {not_before} on")]
    KeyNotYetValid {
        /// The key.
        key_id: KeyId,
        /// Its first instant.
        not_before: Timestamp,
    },
    /// The key does not count any more.
    #[error("key `{key_id}` expired at {not_after}")]
    KeyExpired {
        /// The key.
        key_id: KeyId,
        /// Its last instant.
        not_after: Timestamp,
    },
    /// The signature is not that of the key over these bytes.
    #[error("bad signature by key `{key_id}`")]
    BadSignature {
        /// The key that is named.
        key_id: KeyId,
    },
    /// The signed manifest is of a version that this program does not know.
    #[error("unknown manifest version {version}")]
    UnknownManifestVersion {
        /// The version.
        version: u64,
    },
    /// The signed manifest cannot be read.
    #[error("malformed manifest: {what}")]
    MalformedManifest {
        /// What is wrong, lower case.
        what: String,
    },
    /// The manifest names another key than the one that signed it.
    #[error("manifest names key `{named}` but was signed by `{signed_by}`")]
    KeyMismatch {
        /// The key of the signature.
        signed_by: KeyId,
        /// The key in the manifest.
        named: KeyId,
    },
    /// This kind of artifact was not asked for.
    #[error("artifact is a {kind}, which is not wanted here")]
    WrongKind {
        /// `module` or `table`.
        kind: &'static str,
    },
    /// The host speaks another ABI, or the decoder reads another table format.
    #[error("{kind} has abi {found}, this program takes {wanted:?}")]
    WrongAbi {
        /// `module` or `table`.
        kind: &'static str,
        /// The artifact's.
        found: u32,
        /// Ours.
        wanted: Vec<u32>,
    },
    /// It is for another Auth version than the one that Ping reported.
    #[error("artifact is for Auth {found}, not {wanted}")]
    OtherAuthVersion {
        /// The artifact's.
        found: AuthVersion,
        /// What Ping reported.
        wanted: AuthVersion,
    },
    /// The trust file revokes it.
    #[error("artifact {sha256} is revoked")]
    Revoked {
        /// Its digest, hex.
        sha256: String,
    },
    /// It was signed before the trust file's `min_created`.
    #[error("artifact was created at {created}, before {min_created}")]
    TooOld {
        /// When it was signed.
        created: Timestamp,
        /// The earliest allowed.
        min_created: Timestamp,
    },
    /// It has another length than its manifest says.
    #[error("received {received} bytes, the manifest says {declared}")]
    WrongSize {
        /// In the manifest.
        declared: u64,
        /// Received.
        received: u64,
    },
    /// It has other bytes than those that were signed.
    #[error("received bytes have sha256 {received}, the manifest says {declared}")]
    WrongDigest {
        /// In the manifest, hex.
        declared: String,
        /// Of the received bytes, hex.
        received: String,
    },
}

impl Refusal {
    /// A short constant name, for metrics and for searching logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::EnvelopeTooLarge { .. } => "envelope-too-large",
            Self::TooLarge { .. } => "too-large",
            Self::MalformedEnvelope { .. } => "malformed-envelope",
            Self::WrongPayloadType { .. } => "wrong-payload-type",
            Self::UntrustedKey { .. } => "untrusted-key",
            Self::KeyNotYetValid { .. } => "key-not-yet-valid",
            Self::KeyExpired { .. } => "key-expired",
            Self::BadSignature { .. } => "bad-signature",
            Self::UnknownManifestVersion { .. } => "unknown-manifest-version",
            Self::MalformedManifest { .. } => "malformed-manifest",
            Self::KeyMismatch { .. } => "key-mismatch",
            Self::WrongKind { .. } => "wrong-kind",
            Self::WrongAbi { .. } => "wrong-abi",
            Self::OtherAuthVersion { .. } => "other-auth-version",
            Self::Revoked { .. } => "revoked",
            Self::TooOld { .. } => "too-old",
            Self::WrongSize { .. } => "wrong-size",
            Self::WrongDigest { .. } => "wrong-digest",
        }
    }
}
