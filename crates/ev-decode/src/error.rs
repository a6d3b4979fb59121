//! What can be wrong with a table or a schema.

/// The bytes are no table that this decoder can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// They do not begin like one.
    #[error("not a schema table")]
    NotATable,
    /// It is of another format version.
    #[error("schema table has format {found}, this decoder reads format 1")]
    Format {
        /// The version in the table.
        found: u32,
    },
    /// A part contradicts the format.
    #[error("schema table is damaged: bad {what}")]
    Layout {
        /// Which part.
        what: &'static str,
    },
    /// A limit of the format is exceeded.
    #[error("schema table is too large: {what}")]
    TooLarge {
        /// Which limit.
        what: &'static str,
    },
}
