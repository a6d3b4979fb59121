//! Why a schema cannot be told.

use ev_decode::TableError;

/// Why a schema cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no table that the decoder would take.
    #[error("the schema table cannot be read")]
    Table(#[from] TableError),
    /// The decoder takes the table, and something in it is not known here.
    #[error("the schema table cannot be told: {what}")]
    Layout {
        /// What is not known.
        what: &'static str,
    },
}
