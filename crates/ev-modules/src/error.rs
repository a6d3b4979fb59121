//! What can go wrong here, apart from the refusal of an artifact ([`crate::Refusal`]).

use std::path::PathBuf;

/// Files, keys and settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is there already and nobody allowed to replace it.
    #[error("`{}` exists already; nothing was overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file is larger than anything it could reasonably be.
    #[error("`{}` is larger than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        max: usize,
    },
    /// The trust file says something that cannot be meant.
    #[error("trust file `{}`: `{field}` {message}", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// The member, for instance `keys[1].public_key`.
        field: String,
        /// What is wrong with it, lower case.
        message: String,
    },
    /// The key file holds no Ed25519 private key.
    #[error("key file `{}` {message}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, lower case; never any of its content.
        message: String,
    },
    /// The system gave no randomness for a new key.
    #[error("failed to generate a key")]
    KeyGeneration,
    /// A value given to a function cannot be used.
    #[error("{message}")]
    Invalid {
        /// What is wrong, lower case.
        message: String,
    },
    /// The registry needs at least one embedded table, so that there is always a nearest one.
    #[error("no embedded schema table to fall back to")]
    NoEmbedded,
    /// The state cannot be read.
    #[error("failed to read the highest Auth version seen")]
    State(#[from] ev_core::StateError),
    /// An artifact was refused.
    #[error("artifact refused")]
    Refused(#[from] crate::Refusal),
    /// A module cannot be built.
    #[cfg(feature = "build")]
    #[error("failed to build the module")]
    Build(#[from] crate::BuildError),
    /// The bytes are no table that the decoder reads.
    #[cfg(feature = "cli")]
    #[error("the table cannot be used")]
    Table(#[from] ev_decode::TableError),
    /// The schema cannot be compiled to a table.
    #[cfg(feature = "cli")]
    #[error("failed to compile the schema")]
    Compile {
        /// What the compiler said.
        #[from]
        source: ev_decode::CompileError,
    },
    /// An artifact that was built again has other bytes.
    #[error("the rebuilt artifact differs: sha256 {rebuilt}, signed {signed}")]
    NotReproduced {
        /// Digest of what was built, hex.
        rebuilt: String,
        /// Digest of what was signed, hex.
        signed: String,
    },
}
