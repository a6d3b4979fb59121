//! The manifest: what a signature says about an artifact.
//!
//! JSON, exactly these members:
//!
//! ```json
//! {"v":1,"kind":"table","abi":1,"auth_version":"18.1.0","schema_sha256":"<64 hex>",
//!  "sha256":"<64 hex>","size":52874,"created":"2025-11-17T12:02:09Z","key_id":"<16 hex>"}
//! ```
//!
//! `abi` is the module ABI's version for `"kind":"module"`, and the table format's version for
//! `"kind":"table"`. What is signed are the bytes as they stand, so there is no canonical form to
//! agree on. A version or a member that is not known here is refused: it may restrict the artifact
//! in a way that this program does not understand.

use ev_core::{ArtifactKind, AuthVersion, Timestamp};
use serde::{Deserialize, Serialize};

use crate::key_id::KeyId;
use crate::{hex, layout, rfc3339};

/// The manifest version written and understood.
pub const MANIFEST_VERSION: u64 = 1;

/// The version of the table format that `ev-decode` writes and reads, the `abi` of a table.
pub const TABLE_FORMAT: u32 = 1;

/// What a signature says about an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Module or table.
    pub kind: ArtifactKind,
    /// Version of the module ABI, or of the table format.
    pub abi: u32,
    /// The Auth version whose schema it has; must equal what Ping reports.
    pub auth_version: AuthVersion,
    /// SHA-256 of the schema table that it is or contains.
    pub schema_sha256: [u8; 32],
    /// SHA-256 of the artifact's bytes.
    pub sha256: [u8; 32],
    /// Length of the artifact in bytes.
    pub size: u64,
    /// When it was signed.
    pub created: Timestamp,
    /// The key that signs it.
    pub key_id: KeyId,
}

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Another manifest version.
    Version(u64),
    /// What is wrong, lower case.
    Malformed(String),
}

#[derive(Deserialize)]
struct Probe {
    v: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u64,
    kind: String,
    abi: u32,
    auth_version: String,
    schema_sha256: String,
    sha256: String,
    size: u64,
    created: String,
    key_id: String,
}

impl Manifest {
    /// The JSON that gets signed. The same manifest gives the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let wire = Wire {
            v: MANIFEST_VERSION,
            kind: self.kind.as_str().to_owned(),
            abi: self.abi,
            auth_version: self.auth_version.as_str().to_owned(),
            schema_sha256: hex::encode(&self.schema_sha256),
            sha256: hex::encode(&self.sha256),
            size: self.size,
            created: self.created.to_string(),
            key_id: self.key_id.to_string(),
        };
        serde_json::to_vec(&wire).expect("strings and integers always serialise")
    }

    /// Reads a manifest; strict.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let malformed = |what: &str| Unreadable::Malformed(what.to_owned());
        // The version first: a later one may have members that the strict form below refuses, and
        // the operator should be told the true reason.
        let probe: Probe = serde_json::from_slice(bytes)
            .map_err(|error| Unreadable::Malformed(error.to_string()))?;
        if probe.v != MANIFEST_VERSION {
            return Err(Unreadable::Version(probe.v));
        }
        let wire: Wire = serde_json::from_slice(bytes)
            .map_err(|error| Unreadable::Malformed(error.to_string()))?;
        if !layout::is_safe_component(&wire.auth_version) {
            return Err(malformed("`auth_version` is no version"));
        }
        Ok(Self {
            kind: parse_kind(&wire.kind)
                .ok_or_else(|| malformed("`kind` is neither `module` nor `table`"))?,
            abi: wire.abi,
            auth_version: AuthVersion::new(&wire.auth_version),
            schema_sha256: hex::decode(&wire.schema_sha256)
                .ok_or_else(|| malformed("`schema_sha256` is not 64 lower-case hex digits"))?,
            sha256: hex::decode(&wire.sha256)
                .ok_or_else(|| malformed("`sha256` is not 64 lower-case hex digits"))?,
            size: wire.size,
            created: rfc3339::parse(&wire.created)
                .ok_or_else(|| malformed("`created` is no RFC 3339 time in UTC"))?,
            key_id: KeyId::parse(&wire.key_id)
                .ok_or_else(|| malformed("`key_id` is not 16 lower-case hex digits"))?,
        })
    }
}

/// The kind with that name.
pub(crate) fn parse_kind(name: &str) -> Option<ArtifactKind> {
    [ArtifactKind::Table, ArtifactKind::Module].into_iter().find(|kind| kind.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            kind: ArtifactKind::Table,
            abi: 1,
            auth_version: AuthVersion::new("18.1.0"),
            schema_sha256: [0x0a; 32],
            sha256: [0xf0; 32],
            size: 7,
            created: Timestamp::new(1_763_380_929, 0),
            key_id: KeyId::of_public_key(&[1; 32]),
        }
    }

    #[test]
    fn reads_what_it_writes() {
        let json = manifest().to_json();
        assert_eq!(json, manifest().to_json());
        assert_eq!(Manifest::parse(&json), Ok(manifest()));
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let good = String::from_utf8(manifest().to_json()).unwrap();
        let check = |from: &str, to: &str, what: &str| {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            match Manifest::parse(bad.as_bytes()) {
                Err(Unreadable::Malformed(text)) => assert!(text.contains(what), "{text}"),
                other => panic!("{to}: {other:?}"),
            }
        };
        check("{", "{\"extra\":1,", "unknown field `extra`");
        check("{", "{\"size\":7,", "duplicate field `size`");
        check("\"size\":7,", "", "missing field `size`");
        check("\"table\"", "\"Table\"", "`kind`");
        check("0a0a", "0A0a", "`schema_sha256`");
        check("f0f0", "f0", "`sha256`");
        check("2025-", "2025/", "`created`");
        check("18.1.0", "../etc", "`auth_version`");
        check("\"key_id\":\"", "\"key_id\":\"0", "`key_id`");
        check("\"abi\":1", "\"abi\":4294967296", "4294967296");
        let newer = good.replacen("{\"v\":1,", "{\"v\":2,\"new\":true,", 1);
        assert_eq!(Manifest::parse(newer.as_bytes()), Err(Unreadable::Version(2)));
        assert!(matches!(Manifest::parse(b"[]"), Err(Unreadable::Malformed(_))));
        assert!(matches!(Manifest::parse(b"\xff"), Err(Unreadable::Malformed(_))));
    }
}
