//! What can be wrong with the settings of a comparison.

/// A comparison cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address that requests are passed on to, or whose path is listened for, is not usable.
    #[error("`{setting}` is not usable: `{url}` {what}")]
    Url {
        /// The setting.
        setting: &'static str,
        /// What it says, without what stands in front of an `@`.
        url: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A certificate or a key is not usable.
    #[error(transparent)]
    Tls(#[from] ev_tls::Error),
    /// The TLS library refuses the combination of certificates.
    #[error("failed to prepare the receiver's TLS: {what}")]
    ServerTls {
        /// Why.
        what: String,
    },
}
