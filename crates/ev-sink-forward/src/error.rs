//! What can be wrong with the settings of a sink.

/// A sink cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not usable.
    #[error("`url` is not usable: {what}: `{url}`")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong and what is expected.
        what: String,
    },
    /// A tag is not usable.
    #[error("`{setting}` is not usable: {what}")]
    InvalidTag {
        /// The setting, `tag` or `session-tag`.
        setting: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// A number is outside its range.
    #[error("`{setting}` must be at least 1")]
    OutOfRange {
        /// The setting.
        setting: &'static str,
    },
    /// The shared key is there and empty.
    #[error("`shared-key` is empty")]
    EmptySharedKey,
    /// A user without a shared key: receivers ask for users in the same handshake only.
    #[error("`user` needs a `shared-key`: a receiver asks for both, or for neither")]
    UserWithoutSharedKey,
    /// Certificates or keys cannot be used.
    #[error("certificates for the receiver cannot be used")]
    Tls(#[from] ev_tls::Error),
}
