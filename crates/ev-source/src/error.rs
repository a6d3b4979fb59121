//! Why a source cannot be made.

use std::io;
use std::path::PathBuf;

use ev_core::SourceError;

use crate::IdentityError;

/// Settings or credentials are of no use; only an operator can mend that.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of Auth is not `host:port`.
    #[error("address of auth `{address}` {what}")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A setting is outside its range.
    #[error("setting `{name}` {what}")]
    Setting {
        /// The setting, as a field of [`crate::Config`].
        name: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The identity file is missing or not readable.
    #[error("failed to read identity file `{}`", path.display())]
    ReadIdentity {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The identity file is not complete.
    #[error("identity file `{}` cannot be used", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: IdentityError,
    },
    /// The client certificate has expired.
    #[error(
        "credentials for auth have expired: sign new ones, with `tctl auth sign` (whose `--ttl` is \
         12 h unless given) or let `tbot` renew them, then start again"
    )]
    Expired(#[source] ev_tls::Error),
    /// Certificates or keys cannot be used.
    #[error("credentials for auth cannot be used")]
    Tls(#[from] ev_tls::Error),
}

impl From<Error> for SourceError {
    fn from(error: Error) -> Self {
        Self::Operator {
            message: "cannot connect to auth with these settings".to_owned(),
            source: Some(Box::new(error)),
        }
    }
}
