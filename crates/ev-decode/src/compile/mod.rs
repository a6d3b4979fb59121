//! The schema compiler: protobuf descriptors with gogoproto options in, a table out.
//!
//! What the table cannot express is refused with the message and field named: such a schema needs
//! a module. Go types that the descriptors only name (`casttype`) and that are not among the known
//! ones ([`known`]) are taken as plain values, and noted; so are types that are written by hand
//! (`typedecl`, `enumdecl`). What nothing in the descriptors tells, a `MarshalJSON` of a type that
//! the generator declares, cannot be noticed here.

mod known;
mod load;
mod options;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::table::DuplicateKeys;
use crate::{Table, TableError};

/// What the descriptors do not say.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// The version that Auth reports, for instance `18.1.0`.
    pub auth_version: String,
    /// What Auth of that version does with equal keys on its unstructured roads. Default: refuse,
    /// as from version 18 on.
    pub duplicate_keys: DuplicateKeys,
    /// Whether the table has the names of fields, which only paths need. Default: yes.
    pub names: bool,
}

impl CompileOptions {
    /// The defaults, for one version.
    pub fn new(auth_version: impl Into<String>) -> Self {
        Self {
            auth_version: auth_version.into(),
            duplicate_keys: DuplicateKeys::default(),
            names: true,
        }
    }
}

/// A compiled schema.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The table; the same schema and options always give the same bytes.
    pub table: Vec<u8>,
    /// Fields whose Go type is not known and whose JSON may differ from Auth's, one sentence each.
    pub notes: Vec<String>,
}

/// A schema cannot be made into a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The tree has no events in it.
    #[error(
        "`{}` has no `teleport/legacy/types/events/events.proto` in it, in `proto` or in `api/proto`",
        tree.display()
    )]
    NoEventsFile {
        /// The directory.
        tree: PathBuf,
    },
    /// The gzip stream is damaged.
    #[error("failed to unpack the descriptor set")]
    Unpack {
        /// The cause.
        source: std::io::Error,
    },
    /// The bytes are no descriptor set.
    #[error("failed to read the descriptor set")]
    Descriptors {
        /// The cause.
        source: prost_reflect::DescriptorError,
    },
    /// The `.proto` files do not compile.
    #[error("failed to compile the `.proto` files")]
    Proto {
        /// The cause.
        source: protox::Error,
    },
    /// The descriptors lack the definition of an option, so that the options cannot be read.
    #[error("the descriptors lack the option `{name}`")]
    NoOption {
        /// The extension's full name.
        name: String,
    },
    /// The descriptors lack the message that holds any event.
    #[error("the descriptors lack the message `{name}`")]
    NoMessage {
        /// The message's full name.
        name: &'static str,
    },
    /// A table cannot express the field.
    #[error(
        "`{message}.{field}` cannot be expressed in a table ({reason}): the schema needs a module"
    )]
    NeedsModule {
        /// Full name of the message.
        message: String,
        /// Name of the field.
        field: String,
        /// What it is about the field.
        reason: String,
    },
    /// The finished table is not one: a limit of the format is exceeded.
    #[error("the schema does not fit into a table")]
    Table {
        /// Which limit.
        #[from]
        source: TableError,
    },
}

/// Compiles a serialised `FileDescriptorSet`, plain or gzip. It must contain
/// `gogoproto/gogo.proto`, and the options of the fields.
///
/// # Errors
///
/// [`CompileError`] says what cannot be read or expressed.
pub fn compile_descriptor_set(
    bytes: &[u8],
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    compile(&load::descriptor_set(bytes)?, options)
}

/// Compiles a descriptor-set file, or a directory of `.proto` files: one with
/// `teleport/legacy/types/events/events.proto` in it, in its `proto` or in its `api/proto`.
///
/// # Errors
///
/// [`CompileError`] says what cannot be read or expressed.
pub fn compile_path(path: &Path, options: &CompileOptions) -> Result<Compiled, CompileError> {
    compile(&load::path(path)?, options)
}

fn compile(
    pool: &prost_reflect::DescriptorPool,
    options: &CompileOptions,
) -> Result<Compiled, CompileError> {
    let (draft, notes) = schema::draft(pool, options)?;
    let table = draft.to_bytes();
    // The reader has the last word: what it refuses is never handed out.
    Table::parse(&table)?;
    Ok(Compiled { table, notes })
}
