//! The one place that runs blocking work.

/// Where blocking work (state commits, guests) runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exec {
    /// On tokio's blocking threads, awaited: what production wants.
    Threads,
    /// Where the engine stands: what a simulation needs to replay exactly.
    InPlace,
}

impl Exec {
    /// Runs `work` and waits for it.
    ///
    /// # Panics
    ///
    /// Passes on a panic of `work`.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        match self {
            Self::InPlace => work(),
            Self::Threads => match tokio::task::spawn_blocking(work).await {
                Ok(value) => value,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
}
