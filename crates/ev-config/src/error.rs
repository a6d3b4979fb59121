//! Why there are no settings.

use std::path::PathBuf;

use crate::Finding;

/// The configuration cannot be used; nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("failed to read configuration file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration file is no TOML.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What is wrong, the line, and where it can be guessed the corrected line.
        message: String,
    },
    /// Settings that cannot be meant, all of them.
    #[error("{}", list(problems))]
    Invalid {
        /// At least one.
        problems: Vec<Finding>,
    },
}

impl ConfigError {
    /// Whether the same configuration may be right a minute later: all that is wrong is an identity
    /// file that nobody has written yet. Worth another start, unlike everything else.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Invalid { problems } => problems.iter().all(Finding::is_awaited),
            _ => false,
        }
    }
}

fn list(problems: &[Finding]) -> String {
    match problems {
        [one] => one.to_string(),
        many => {
            let lines: Vec<_> = many.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("{} settings cannot be used:{}", many.len(), lines.concat())
        }
    }
}
