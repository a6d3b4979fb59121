//! What can be wrong with the settings of a source.

/// A source cannot be set up. What goes wrong while fetching is an [`ev_core::ArtifactError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be used.
    #[error("`{url}` is not usable: {what}")]
    InvalidUrl {
        /// The address, without user, password and query.
        url: String,
        /// What is wrong with it, lower case.
        what: String,
    },
    /// The certificates cannot be used.
    #[error("the certificates are not usable")]
    Tls(#[from] ev_tls::Error),
}
