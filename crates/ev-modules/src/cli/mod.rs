//! The `decoder` command: build, keygen, sign, verify and list artifacts. Arguments and work in one
//! place, so that every program that has the command has the same one.

mod index;
mod work;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ev_core::ArtifactKind;

pub use self::work::run;

/// Build, sign, verify and list decoder artifacts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a table or module from a protobuf schema
    Build(Build),
    /// Make a signing key and a trust file that lists it
    Keygen(Keygen),
    /// Sign an artifact: writes its envelope
    Sign(Sign),
    /// Check an artifact as the handler does, and rebuild it if asked to
    Verify(Verify),
    /// List the versions in a directory of artifacts, for those who read it over HTTPS
    Index(Index),
}

/// Arguments of `build`.
#[derive(Debug, Args)]
pub struct Build {
    #[command(flatten)]
    schema: SchemaArgs,
    /// Auth version whose schema this is, as Ping reports it; may be left out with `--table`
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// What Auth of that version does with equal keys on its unstructured roads
    #[arg(long, value_enum, default_value = "refuse")]
    duplicate_keys: DuplicateKeys,
    /// What to build
    #[arg(long, value_enum)]
    kind: Kind,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Guest template to use instead of the one of this release
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SchemaArgs {
    /// Directory of protobuf files, for instance of a Teleport checkout
    #[arg(long, value_name = "DIR")]
    proto: Option<PathBuf>,
    /// Serialised `google.protobuf.FileDescriptorSet`
    #[arg(long, value_name = "FILE")]
    descriptors: Option<PathBuf>,
    /// Table that was built before
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DuplicateKeys {
    /// The event cannot be printed: from version 18 on
    Refuse,
    /// The object ends before the second one: version 15
    Cut,
}

impl From<DuplicateKeys> for ev_decode::DuplicateKeys {
    fn from(keys: DuplicateKeys) -> Self {
        match keys {
            DuplicateKeys::Refuse => Self::Refuse,
            DuplicateKeys::Cut => Self::Cut,
        }
    }
}

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub struct Keygen {
    /// Directory for `decoder-key.pem` and `decoder-trust.json`; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the trust file says of the key
    #[arg(long, default_value = "")]
    comment: String,
    /// Replace the files if they exist
    #[arg(long)]
    force: bool,
}

/// Arguments of `sign`.
#[derive(Debug, Args)]
pub struct Sign {
    /// Key file, Ed25519 in PKCS#8 PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Table or module to sign
    #[arg(long, value_name = "FILE")]
    artifact: PathBuf,
    /// Auth version it is for, as Ping reports it; default: the one its table was built for
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// What it is; default: what its first bytes say
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// ABI version of the module or format version of the table; default: ours, or the table's own
    #[arg(long, value_name = "N")]
    abi: Option<u32>,
    /// Table that a module of other making contains, for the schema's digest
    #[arg(long, value_name = "FILE", conflicts_with = "schema_sha256")]
    table: Option<PathBuf>,
    /// Digest of the schema of a module of other making, 64 hex digits
    #[arg(long, value_name = "HEX")]
    schema_sha256: Option<String>,
    /// Time to state, RFC 3339 in UTC; default: now
    #[arg(long, value_name = "TIME")]
    created: Option<String>,
    /// Envelope to write; default: `<artifact>.dsse.json`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the envelope if it exists
    #[arg(long)]
    force: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Trust file
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    /// Table or module to check
    #[arg(long, value_name = "FILE")]
    artifact: PathBuf,
    /// Its envelope; default: `<artifact>.dsse.json`
    #[arg(long, value_name = "FILE")]
    envelope: Option<PathBuf>,
    /// Auth version it must be for; default: the one it names
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Build it again from this schema and compare: a directory of protobuf files, a descriptor
    /// set or a table
    #[arg(long, value_name = "SCHEMA")]
    rebuild: Option<PathBuf>,
    /// As it was given to `build`
    #[arg(long, value_enum, default_value = "refuse")]
    duplicate_keys: DuplicateKeys,
    /// Guest template to use instead of the one of this release
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
}

/// Arguments of `index`.
#[derive(Debug, Args)]
pub struct Index {
    /// Directory with a folder for each version; `versions.json` in it is written or replaced
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// WebAssembly: any handler of this ABI runs it
    Module,
    /// The compiled schema alone: run by the handler's own decoder
    Table,
}

impl From<Kind> for ArtifactKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Module => Self::Module,
            Kind::Table => Self::Table,
        }
    }
}
