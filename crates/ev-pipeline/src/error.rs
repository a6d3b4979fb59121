//! Why the engine had to end.

use ev_core::{SourceError, StateError};

/// The engine cannot go on. What waiting can mend never becomes one of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source needs an operator.
    #[error("the source cannot go on")]
    Source(#[from] SourceError),
    /// The state cannot be used, or another run has taken it over.
    #[error("the state cannot be used")]
    State(#[from] StateError),
}
