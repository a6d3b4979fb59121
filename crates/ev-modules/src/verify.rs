//! The checks an artifact must pass before any parser or compiler sees a byte of it.
//!
//! In this order: sizes of what was received; the key, and whether it counts now; the signature
//! over the exact manifest bytes; the manifest and what it says of itself (kind, ABI, version,
//! revocation, age, size); the digest over the received bytes. Only the envelope's outer JSON, of
//! at most [`MAX_ENVELOPE_BYTES`], is parsed before the signature.

use bytes::Bytes;
use ev_core::{ArtifactKind, AuthVersion, SignedArtifact, Timestamp};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::envelope::{Envelope, MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, Signature};
use crate::hex;
use crate::key_id::KeyId;
use crate::manifest::{Manifest, Unreadable};
use crate::refusal::Refusal;
use crate::sha256::sha256;
use crate::trust::{Trust, TrustedKey};

/// What an artifact must be.
#[derive(Clone, Debug)]
pub struct Expectation<'a> {
    /// The version that Ping reported.
    pub auth_version: &'a AuthVersion,
    /// Kinds that would do.
    pub kinds: &'a [ArtifactKind],
    /// Module ABI versions that the host speaks.
    pub module_abis: &'a [u32],
    /// Table format versions that the decoder reads.
    pub table_formats: &'a [u32],
    /// Sizes that are allowed.
    pub limits: SizeLimits,
    /// The wall clock, for the validity of keys.
    pub now: Timestamp,
}

/// Largest artifacts that are taken, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// For a module: 4 MiB unless set. Ours have about 240 KB; with their runtime, modules of
    /// other toolchains have up to 15 MB ([`SizeLimits::with_wasi`]).
    pub module: usize,
    /// For a table: 4 MiB unless set. Ours have about 50 KB.
    pub table: usize,
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self { module: 4 * 1024 * 1024, table: 4 * 1024 * 1024 }
    }
}

impl SizeLimits {
    /// With room for modules that need WASI: 32 MiB.
    #[must_use]
    pub fn with_wasi(self) -> Self {
        Self { module: 32 * 1024 * 1024, ..self }
    }

    /// The limit for one kind.
    pub fn of(self, kind: ArtifactKind) -> usize {
        match kind {
            ArtifactKind::Module => self.module,
            ArtifactKind::Table => self.table,
        }
    }

    /// The limit while the kind is not known yet.
    pub fn of_any(self, kinds: &[ArtifactKind]) -> usize {
        kinds.iter().map(|kind| self.of(*kind)).max().unwrap_or(0)
    }
}

/// A manifest whose signature and statements passed; the artifact itself was not looked at.
#[derive(Clone, Debug)]
pub struct VerifiedManifest {
    manifest: Manifest,
    envelope: Bytes,
}

/// An artifact that passed all checks. Only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    manifest: Manifest,
    artifact: SignedArtifact,
}

/// Checks an artifact; nothing of its payload is parsed.
///
/// # Errors
///
/// The first check that it did not pass.
pub fn verify(
    artifact: &SignedArtifact,
    trust: &Trust,
    expectation: &Expectation<'_>,
) -> Result<Verified, Refusal> {
    // The size of the payload first of all, although it is hashed last: an oversized artifact is
    // told as such whatever else is wrong with it.
    check_size(artifact.payload.len(), expectation.limits.of_any(expectation.kinds))?;
    verify_envelope(&artifact.envelope, trust, expectation)?.with_payload(artifact.payload.clone())
}

/// Checks an envelope alone, for deciding whether the artifact has to be fetched at all.
///
/// # Errors
///
/// The first check that it did not pass.
pub fn verify_envelope(
    envelope: &Bytes,
    trust: &Trust,
    expectation: &Expectation<'_>,
) -> Result<VerifiedManifest, Refusal> {
    if envelope.len() > MAX_ENVELOPE_BYTES {
        return Err(Refusal::EnvelopeTooLarge { size: envelope.len(), max: MAX_ENVELOPE_BYTES });
    }
    let parsed = Envelope::parse(envelope).map_err(|what| Refusal::MalformedEnvelope { what })?;
    if parsed.payload_type != PAYLOAD_TYPE {
        return Err(Refusal::WrongPayloadType { found: parsed.payload_type });
    }
    let signed_by = check_signatures(&parsed, trust, expectation.now)?;
    let manifest = Manifest::parse(&parsed.body).map_err(|unreadable| match unreadable {
        Unreadable::Version(version) => Refusal::UnknownManifestVersion { version },
        Unreadable::Malformed(what) => Refusal::MalformedManifest { what },
    })?;
    if manifest.key_id != signed_by {
        return Err(Refusal::KeyMismatch { signed_by, named: manifest.key_id });
    }
    check_manifest(&manifest, trust, expectation)?;
    Ok(VerifiedManifest { manifest, envelope: envelope.clone() })
}

impl VerifiedManifest {
    /// What was signed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The envelope it came in.
    pub fn envelope(&self) -> &Bytes {
        &self.envelope
    }

    /// Checks the artifact's bytes against it.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongSize`] or [`Refusal::WrongDigest`].
    pub fn with_payload(self, payload: Bytes) -> Result<Verified, Refusal> {
        let received = payload.len() as u64;
        if received != self.manifest.size {
            return Err(Refusal::WrongSize { declared: self.manifest.size, received });
        }
        let digest = sha256(&payload);
        if digest != self.manifest.sha256 {
            return Err(Refusal::WrongDigest {
                declared: hex::encode(&self.manifest.sha256),
                received: hex::encode(&digest),
            });
        }
        let artifact = SignedArtifact { envelope: self.envelope, payload };
        Ok(Verified { manifest: self.manifest, artifact })
    }
}

impl Verified {
    /// What was signed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The artifact's bytes.
    pub fn payload(&self) -> &Bytes {
        &self.artifact.payload
    }

    /// Envelope and bytes, as received.
    pub fn artifact(&self) -> &SignedArtifact {
        &self.artifact
    }
}

/// The key of the first good signature. Without one, what was wrong with the signature that came
/// nearest to being good.
fn check_signatures(envelope: &Envelope, trust: &Trust, now: Timestamp) -> Result<KeyId, Refusal> {
    let signed_bytes = envelope.signed_bytes();
    let mut failure = None;
    for signature in &envelope.signatures {
        let Some(key) = KeyId::parse(&signature.key_id).and_then(|id| trust.find(id)) else {
            continue;
        };
        match check_signature(signature, key, &signed_bytes, now) {
            Ok(()) => return Ok(key.key_id),
            Err(refusal) => failure = failure.or(Some(refusal)),
        }
    }
    Err(failure.unwrap_or_else(|| {
        let named: Vec<_> = envelope.signatures.iter().map(|s| printable(&s.key_id)).collect();
        Refusal::UntrustedKey { key_ids: named.join(", ") }
    }))
}

fn check_signature(
    signature: &Signature,
    key: &TrustedKey,
    signed_bytes: &[u8],
    now: Timestamp,
) -> Result<(), Refusal> {
    let key_id = key.key_id;
    if let Some(not_before) = key.not_before.filter(|not_before| now < *not_before) {
        return Err(Refusal::KeyNotYetValid { key_id, not_before });
    }
    if let Some(not_after) = key.not_after.filter(|not_after| now > *not_after) {
        return Err(Refusal::KeyExpired { key_id, not_after });
    }
    UnparsedPublicKey::new(&ED25519, key.public_key)
        .verify(signed_bytes, &signature.bytes)
        .map_err(|_| Refusal::BadSignature { key_id })
}

fn check_manifest(
    manifest: &Manifest,
    trust: &Trust,
    expectation: &Expectation<'_>,
) -> Result<(), Refusal> {
    let kind = manifest.kind;
    if !expectation.kinds.contains(&kind) {
        return Err(Refusal::WrongKind { kind: kind.as_str() });
    }
    let abis = match kind {
        ArtifactKind::Module => expectation.module_abis,
        ArtifactKind::Table => expectation.table_formats,
    };
    if !abis.contains(&manifest.abi) {
        return Err(Refusal::WrongAbi {
            kind: kind.as_str(),
            found: manifest.abi,
            wanted: abis.to_vec(),
        });
    }
    if manifest.auth_version != *expectation.auth_version {
        return Err(Refusal::OtherAuthVersion {
            found: manifest.auth_version.clone(),
            wanted: expectation.auth_version.clone(),
        });
    }
    if trust.is_revoked(&manifest.sha256) {
        return Err(Refusal::Revoked { sha256: hex::encode(&manifest.sha256) });
    }
    if let Some(min_created) = trust.min_created().filter(|min| manifest.created < *min) {
        return Err(Refusal::TooOld { created: manifest.created, min_created });
    }
    let max = expectation.limits.of(kind);
    if usize::try_from(manifest.size).is_ok_and(|size| size <= max) {
        Ok(())
    } else {
        Err(Refusal::TooLarge { size: manifest.size, max: max as u64 })
    }
}

fn check_size(size: usize, max: usize) -> Result<(), Refusal> {
    if size <= max { Ok(()) } else { Err(Refusal::TooLarge { size: size as u64, max: max as u64 }) }
}

/// A key id as a peer wrote it, cut and cleaned for a log line.
fn printable(key_id: &str) -> String {
    key_id.chars().take(32).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}
