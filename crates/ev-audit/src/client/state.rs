//! What can be seen of the connection.

use tokio::sync::watch;

/// How the way to the agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum State {
    /// The first connection is being opened.
    #[default]
    Connecting,
    /// A connection is open.
    Up,
    /// There was a failure and no connection is open; the client keeps trying.
    Degraded,
    /// The client is closed.
    Closed,
}

/// Watches the [`State`] of a client.
#[derive(Debug, Clone)]
pub struct StateWatch(watch::Receiver<State>);

impl StateWatch {
    pub(crate) fn new(receiver: watch::Receiver<State>) -> Self {
        Self(receiver)
    }

    /// The state now.
    pub fn state(&self) -> State {
        *self.0.borrow()
    }

    /// Waits until it is another one than at the last look, and returns it. None when the client
    /// is gone and nothing will change any more.
    pub async fn next_wait(&mut self) -> Option<State> {
        self.0.changed().await.ok()?;
        Some(*self.0.borrow_and_update())
    }

    /// Waits until it is `wanted`. False when the client is gone and it never will be.
    pub async fn until_wait(&mut self, wanted: State) -> bool {
        self.0.wait_for(|state| *state == wanted).await.is_ok()
    }
}
