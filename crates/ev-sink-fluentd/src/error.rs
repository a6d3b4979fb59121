//! What can be wrong with the settings of a sink.

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
    /// Certificates or keys cannot be used.
    #[error("certificates for Fluentd cannot be used")]
    Tls(#[from] ev_tls::Error),
}
