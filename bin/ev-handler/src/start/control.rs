//! What a running handler can be told from outside.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::debug;

/// Commands that may wait. More of them say nothing new.
const COMMANDS: usize = 4;

/// A command to a running handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Read credentials, certificates and what of the settings can change again.
    Reload,
    /// Write down what is going on.
    Dump,
}

/// Gives commands.
#[derive(Clone, Debug)]
pub struct Controller(mpsc::Sender<Command>);

impl Controller {
    /// Gives a command; nobody waits for what comes of it. One that finds too many others waiting
    /// is dropped, and so is one to a handler that has ended.
    pub fn tell(&self, command: Command) {
        if self.0.try_send(command).is_err() {
            debug!(?command, "command is dropped: others wait, or nobody is there");
        }
    }
}

/// What is done about the settings when everything is to be read again. Blocks on files.
pub(crate) type Reread = Arc<dyn Fn() + Send + Sync>;

/// The handler's end.
pub struct Control {
    commands: mpsc::Receiver<Command>,
    reread: Option<Reread>,
}

impl Control {
    /// A handler's end, and who gives it commands.
    pub fn new() -> (Controller, Self) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        (Controller(sender), Self { commands, reread: None })
    }

    /// Also reads settings again.
    pub(crate) fn with_reread(mut self, reread: Reread) -> Self {
        self.reread = Some(reread);
        self
    }

    pub(super) fn reread(&self) -> Option<Reread> {
        self.reread.clone()
    }

    /// The next command; never resolves when nobody can give one any more.
    pub(super) async fn next(&mut self) -> Command {
        match self.commands.recv().await {
            Some(command) => command,
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}
