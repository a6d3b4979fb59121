//! Where a value came from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value came from, printed as an operator would look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--name` on the command line.
    Flag(&'static str),
    /// A line of the TOML file.
    File {
        /// The file.
        path: Arc<Path>,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Env(&'static str),
    /// Nobody gave one.
    Default,
}

impl Origin {
    /// Whether somebody wrote the value.
    pub fn is_given(&self) -> bool {
        *self != Self::Default
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}
