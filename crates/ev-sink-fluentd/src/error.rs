//! What can be wrong with the settings of a sink.

use std::path::PathBuf;

/// A sink cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address is not usable.
    #[error("`{setting}` is not usable: {what}: `{url}`")]
    InvalidUrl {
        /// The setting, `url` or `session-url`.
        setting: &'static str,
        /// What was given.
        url: String,
        /// What is wrong and what is expected.
        what: String,
    },
    /// A number is outside its range.
    #[error("`{setting}` must be at least 1")]
    OutOfRange {
        /// The setting.
        setting: &'static str,
    },
    /// A header cannot be set.
    #[error("header `{name}` cannot be set: {what}")]
    InvalidHeader {
        /// Its name, as it was given.
        name: String,
        /// Why; without its value.
        what: String,
    },
    /// The file of a token cannot be used.
    #[error("token file `{}` cannot be used: {what}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why; without what is in it.
        what: String,
    },
    /// More than one of an address, a header and a token would be `Authorization`.
    #[error("`Authorization` is given twice: by {one} and by {other}")]
    TwoAuthorizations {
        /// One of them.
        one: &'static str,
        /// And the other.
        other: &'static str,
    },
    /// Certificates or keys cannot be used.
    #[error("certificates for Fluentd cannot be used")]
    Tls(#[from] ev_tls::Error),
}
