use std::io;
use std::path::PathBuf;

/// A fake could not be set up, or its input is unusable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A certificate could not be made.
    #[error("failed to make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up with the given certificates.
    #[error("failed to set up tls")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// A file or socket refuses.
    #[error("failed to {what}")]
    Io {
        /// What was tried.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// A line of event data is unusable.
    #[error("`{}` line {line}: {message}", path.display())]
    Data {
        /// Where it came from.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A recorded event cannot be changed as asked.
    #[error("cannot make an event of `{vector}`: {message}")]
    Vector {
        /// Type and case of the recorded event.
        vector: String,
        /// Why not.
        message: String,
    },
    /// An admin call was refused or not understood.
    #[error("admin call `{call}`: {message}")]
    Admin {
        /// Path of the call.
        call: String,
        /// What the other side said.
        message: String,
    },
}

impl Error {
    /// The message with those of its causes.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        text
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
