//! Decoder artifacts: envelope, trust file, policy, registry, serving and building.
//!
//! A decoder artifact is a signed schema table or a signed WebAssembly module for one Auth
//! version. [`verify()`] decides whether an artifact is to be believed, before anything parses a
//! byte of it; [`Registry`] decides which decoder fits which version, and gets the artifacts for
//! it; [`Directory`] offers artifacts to others or to oneself; [`SigningKey`] makes them.
//!
//! This crate runs no guest (`ev-wasm-host` does), decodes nothing (`ev-decode` does) and opens no
//! socket: artifacts come through [`ev_core::ArtifactSource`], and what turns a verified one into
//! a decoder is handed in as [`Load`].
//!
//! Features: `build` builds modules from the guest template; `cli` is the `decoder` command that
//! several programs share; `serve` is a gRPC service over a directory for any tonic server.
//!
//! ```
//! use ev_modules::{Manifest, SigningKey, Trust, sha256};
//! use ev_core::{ArtifactKind, AuthVersion, SignedArtifact, Timestamp};
//!
//! let key = SigningKey::generate()?;
//! let table = b"the bytes of a table";
//! let version = AuthVersion::new("18.1.0");
//! let envelope = key.sign(&Manifest {
//!     kind: ArtifactKind::Table,
//!     abi: 1,
//!     auth_version: version.clone(),
//!     schema_sha256: sha256(table),
//!     sha256: sha256(table),
//!     size: table.len() as u64,
//!     created: Timestamp::new(1_763_380_929, 0),
//!     key_id: key.key_id(),
//! });
//! let artifact = SignedArtifact { envelope: envelope.into(), payload: table.as_slice().into() };
//! let verified = ev_modules::verify(
//!     &artifact,
//!     &Trust::key(key.public_key()),
//!     &ev_modules::Expectation {
//!         auth_version: &version,
//!         kinds: &[ArtifactKind::Table],
//!         module_abis: &[],
//!         table_formats: &[1],
//!         limits: ev_modules::SizeLimits::default(),
//!         now: Timestamp::new(1_763_380_930, 0),
//!     },
//! )?;
//! assert_eq!(verified.payload(), &table[..]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

#[cfg(feature = "cli")]
pub mod cli;
mod directory;
mod envelope;
mod error;
mod file;
#[cfg(feature = "serve")]
#[path = "gen/mod.rs"]
mod generated;
mod hex;
mod key_id;
mod layout;
mod manifest;
#[cfg(feature = "build")]
mod module;
mod refusal;
mod registry;
mod rfc3339;
#[cfg(feature = "serve")]
pub mod serve;
mod sha256;
mod signing;
mod trust;
mod verify;
mod version;
mod versions;

pub use directory::{Directory, DirectorySource, ServeError};
pub use envelope::{Claims, MAX_ENVELOPE_BYTES, PAYLOAD_TYPE};
pub use error::Error;
pub use key_id::KeyId;
pub use layout::{envelope_name, file_name, version_dir};
pub use manifest::{MANIFEST_VERSION, Manifest, TABLE_FORMAT};
#[cfg(feature = "build")]
pub use module::{BuildError, build_module, table_of_module, template};
pub use refusal::Refusal;
pub use registry::{
    Backoff, Counts, Downgrade, Embedded, Exactness, Load, LoadError, Parts, Registry, Settings,
    VersionPolicy,
};
pub use sha256::sha256;
pub use signing::SigningKey;
pub use trust::{Trust, TrustedKey};
pub use verify::{Expectation, SizeLimits, Verified, VerifiedManifest, verify, verify_envelope};
pub use version::compare_versions;
pub use versions::{MAX_VERSIONS_BYTES, VERSIONS_FILE, read_versions};
