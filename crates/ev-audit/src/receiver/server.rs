//! The thread of a receiver: accepts connections, and does what its owner orders.
//!
//! ```text
//! owner --commands--> server --orders--> connection, connection, ...   (owned by its JoinSet)
//!   '----- faults, stop (watch) ------------^          |
//!   '<---- tally, messages (shared) -------------------'
//! ```
//!
//! The server ends when its owner drops the commands; it then stops all connections and waits for
//! them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[cfg(feature = "tls")]
use super::connection::stopped;
use super::connection::{Connection, Order};
use super::listen::{Address, Listener};
use super::shared::Shared;
use super::stream::Stream;

/// Orders that a connection has not carried out yet.
const ORDERS: usize = 16;

/// How long it waits when a connection cannot be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// What the owner of a receiver wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    Refuse,
    Unlink,
    Listen,
    /// An order to all open connections.
    All(Order),
}

/// A command, and where to say how it went.
pub(super) type Asked = (Command, SyncSender<io::Result<()>>);

pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    pub(super) listener: Listener,
    pub(super) address: Address,
    pub(super) commands: mpsc::Receiver<Asked>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
}

impl Server {
    pub(super) async fn run(mut self) {
        let mut tasks = JoinSet::new();
        let mut open: Vec<mpsc::Sender<Order>> = Vec::new();
        let mut connections = 0;
        loop {
            tokio::select! {
                biased;
                asked = self.commands.recv() => {
                    let Some((command, answer)) = asked else { break };
                    open.retain(|orders| !orders.is_closed());
                    // Who asked may have gone.
                    drop(answer.try_send(self.command(command, &open)));
                }
                Some(_) = tasks.join_next() => {}
                accepted = self.listener.accept() => {
                    let Ok(stream) = accepted else {
                        // Out of descriptors, say: it would be so again at once.
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                        continue;
                    };
                    connections += 1;
                    if let Some(orders) = self.accepted(connections, stream, &mut tasks) {
                        open.retain(|orders| !orders.is_closed());
                        open.push(orders);
                    }
                }
            }
        }
        self.shared.stop.send_replace(true);
        while tasks.join_next().await.is_some() {}
    }

    fn command(&mut self, command: Command, open: &[mpsc::Sender<Order>]) -> io::Result<()> {
        match command {
            Command::Refuse => self.listener.refuse(&self.address),
            Command::Unlink => self.address.unlink(),
            Command::Listen => self.listener.listen(&self.address),
            Command::All(order) => {
                for orders in open {
                    // One that is full has been told to end, one that is closed has ended.
                    orders.try_send(order).ok();
                }
                Ok(())
            }
        }
    }

    /// Serves a connection; nothing when it was closed at once.
    fn accepted(
        &self,
        number: u64,
        stream: Stream,
        tasks: &mut JoinSet<()>,
    ) -> Option<mpsc::Sender<Order>> {
        if self.shared.take_fault(|faults| Some(&mut faults.close_accepted)) {
            drop(stream);
            self.shared.update(|state| {
                state.tally.connections += 1;
                state.tally.closed_accepted += 1;
            });
            return None;
        }
        self.shared.update(|state| {
            state.tally.connections += 1;
            state.tally.open += 1;
        });
        let (sender, orders) = mpsc::channel(ORDERS);
        let shared = Arc::clone(&self.shared);
        #[cfg(feature = "tls")]
        if let (Some(tls), Stream::Tcp(_)) = (&self.tls, &stream) {
            let tls = tls.clone();
            tasks.spawn(async move {
                match agreed(&tls, stream, &shared).await {
                    Some(stream) => Connection::new(shared, number, stream, orders).serve().await,
                    None => shared.update(|state| {
                        state.tally.open -= 1;
                        state.tally.tls_failures += 1;
                    }),
                }
            });
            return Some(sender);
        }
        tasks.spawn(Connection::new(shared, number, stream, orders).serve());
        Some(sender)
    }
}

/// The connection when TLS was agreed before everything stopped.
#[cfg(feature = "tls")]
async fn agreed(
    tls: &tokio_rustls::TlsAcceptor,
    stream: Stream,
    shared: &Shared,
) -> Option<Stream> {
    let Stream::Tcp(stream) = stream else { return Some(stream) };
    let mut stop = shared.stop.subscribe();
    tokio::select! {
        biased;
        () = stopped(&mut stop) => None,
        agreed = tls.accept(stream) => agreed.ok().map(|stream| Stream::Tls(Box::new(stream))),
    }
}
