//! A receiver for tests: it reads what a client sends, holds it against the format, counts and
//! keeps it, and misbehaves on demand.
//!
//! It runs on a thread of its own, so that programs with and without an asynchronous runtime can
//! use it, a paused clock included. Nothing has to sleep: [`Receiver::until`] and
//! [`Receiver::wait`] wait for what is to be seen in its [`Tally`].
//!
//! ```
//! use std::io::Write as _;
//! use std::time::Duration;
//!
//! use ev_audit::receiver::Receiver;
//! use ev_audit::wire::encode_diagnostic;
//!
//! let receiver = Receiver::tcp().start()?;
//! let mut stream = std::net::TcpStream::connect(receiver.address().expect("it is TCP"))?;
//! let mut frame = Vec::new();
//! encode_diagnostic(&mut frame, 1_700_000_000);
//! stream.write_all(&frame)?;
//! let tally = receiver.wait(Duration::from_secs(10), |tally| tally.frames == 1).expect("a frame");
//! // The format has such messages, but no client sends them.
//! assert_eq!(tally.first_violations[0].rule, "diagnostic");
//! # Ok::<(), std::io::Error>(())
//! ```

mod checks;
mod connection;
mod faults;
mod judge;
mod listen;
mod server;
mod shared;
mod stream;
mod tally;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc;

pub use checks::Checks;
pub use faults::{Cut, CutAt, Faults, HalfClose, Side};
pub use tally::{Received, Tally, Violation};

use connection::Order;
use listen::Address;
use server::{Asked, Command, Server};
use shared::{OnMessage, Shared};

/// Commands that the thread has not taken yet.
const COMMANDS: usize = 16;

/// A receiver that runs until it is dropped.
pub struct Receiver {
    shared: Arc<Shared>,
    address: Address,
    /// Nothing once it ends.
    commands: Option<mpsc::Sender<Asked>>,
    thread: Option<JoinHandle<()>>,
}

/// How a receiver is started.
#[must_use]
pub struct ReceiverBuilder {
    address: Address,
    checks: Checks,
    faults: Faults,
    keep: usize,
    drains: bool,
    on_message: Option<OnMessage>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl ReceiverBuilder {
    fn new(address: Address) -> Self {
        Self {
            address,
            checks: Checks::default(),
            faults: Faults::default(),
            keep: 100_000,
            drains: false,
            on_message: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Demands this of what comes.
    pub fn checks(self, checks: Checks) -> Self {
        Self { checks, ..self }
    }

    /// Misbehaves so from the start.
    pub fn faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Keeps so many messages at most, 100,000 by default; all are counted.
    pub fn keep(self, keep: usize) -> Self {
        Self { keep, ..self }
    }

    /// Only reads and counts bytes.
    pub fn drain(self) -> Self {
        Self { drains: true, ..self }
    }

    /// Calls this for each message, in the order in which they come on each connection. Nothing
    /// is read meanwhile, and the receiver must not be asked from within.
    pub fn on_message(self, on_message: impl FnMut(&Received) + Send + 'static) -> Self {
        Self { on_message: Some(Box::new(on_message)), ..self }
    }

    /// Speaks TLS on TCP.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: Arc<rustls::ServerConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Listens, and starts the thread.
    ///
    /// # Errors
    ///
    /// The address cannot be listened at, or the thread cannot be started.
    pub fn start(self) -> io::Result<Receiver> {
        let Self { address, checks, faults, keep, drains, on_message, .. } = self;
        let shared = Arc::new(Shared::new(checks, keep, drains, faults, on_message));
        let (commands, asked) = mpsc::channel(COMMANDS);
        let (ready, started) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let theirs = Arc::clone(&shared);
        #[cfg(feature = "tls")]
        let tls = self.tls.map(tokio_rustls::TlsAcceptor::from);
        let serve = move || {
            runtime.block_on(async move {
                let (listener, address) = match address.bind() {
                    Ok(bound) => bound,
                    // It is waited for, below.
                    Err(error) => return drop(ready.send(Err(error))),
                };
                drop(ready.send(Ok(address.clone())));
                let server = Server {
                    shared: theirs,
                    listener,
                    address,
                    commands: asked,
                    #[cfg(feature = "tls")]
                    tls,
                };
                server.run().await;
            });
        };
        let thread = thread::Builder::new().name("audit-receiver".to_owned()).spawn(serve)?;
        let address = started.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        Ok(Receiver { shared, address, commands: Some(commands), thread: Some(thread) })
    }
}

impl Receiver {
    /// A receiver at a socket of Unix.
    pub fn unix(path: impl Into<PathBuf>) -> ReceiverBuilder {
        ReceiverBuilder::new(Address::Unix(path.into()))
    }

    /// A receiver at a free port of the loopback address.
    pub fn tcp() -> ReceiverBuilder {
        Self::tcp_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// A receiver at this address.
    pub fn tcp_at(address: SocketAddr) -> ReceiverBuilder {
        ReceiverBuilder::new(Address::Tcp(address))
    }

    /// The path of its socket, when it has one.
    pub fn path(&self) -> Option<&Path> {
        self.address.path()
    }

    /// Its address and port, when it listens on TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.tcp()
    }

    /// What was counted up to now.
    pub fn tally(&self) -> Tally {
        self.shared.tally()
    }

    /// The messages that came and were kept.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received()
    }

    /// The same, which are then no longer kept.
    pub fn take_received(&self) -> Vec<Received> {
        self.shared.take_received()
    }

    /// The numbers below `end` that no record had, as ranges.
    pub fn missing(&self, end: u64) -> Vec<Range<u64>> {
        self.shared.missing(end)
    }

    /// Waits until this holds of the tally. Dropping the future loses nothing.
    pub async fn until(&self, holds: impl Fn(&Tally) -> bool) -> Tally {
        self.shared.until(holds).await
    }

    /// Blocks until this holds of the tally.
    ///
    /// # Errors
    ///
    /// It does not after that time: the tally as it is then.
    pub fn wait(
        &self,
        within: Duration,
        holds: impl Fn(&Tally) -> bool,
    ) -> Result<Tally, Box<Tally>> {
        self.shared.wait(within, holds)
    }

    /// Misbehaves so from now on, on open connections too.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.faults.send_replace(faults);
    }

    /// Changes how it misbehaves.
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.faults.send_modify(change);
    }

    /// Reads nothing until [`resume`](Self::resume).
    pub fn stall(&self) {
        self.change_faults(|faults| faults.stalled = true);
    }

    /// Reads again.
    pub fn resume(&self) {
        self.change_faults(|faults| faults.stalled = false);
    }

    /// Orders all open connections to end, over TCP with a reset when that is asked for; they have
    /// ended when the tally says so.
    ///
    /// # Errors
    ///
    /// The thread ended.
    pub fn cut(&self, reset: bool) -> io::Result<()> {
        self.command(Command::All(Order::Cut { reset }))
    }

    /// Orders all open connections to close one side.
    ///
    /// # Errors
    ///
    /// The thread ended.
    pub fn half_close(&self, side: Side) -> io::Result<()> {
        self.command(Command::All(Order::HalfClose(side)))
    }

    /// Refuses connections until [`listen`](Self::listen): the socket's file stays, and so does the
    /// port. Open connections go on.
    ///
    /// # Errors
    ///
    /// The port is lost, or the thread ended.
    pub fn refuse(&self) -> io::Result<()> {
        self.command(Command::Refuse)
    }

    /// Removes the file of the socket: nobody finds it until [`listen`](Self::listen). Open
    /// connections go on.
    ///
    /// # Errors
    ///
    /// It cannot be removed, or the thread ended.
    pub fn unlink(&self) -> io::Result<()> {
        self.command(Command::Unlink)
    }

    /// Listens again: at a new file of the socket, or at the same port.
    ///
    /// # Errors
    ///
    /// It cannot be listened at, or the thread ended.
    pub fn listen(&self) -> io::Result<()> {
        self.command(Command::Listen)
    }

    /// Ends everything: what was counted, with what was left.
    pub fn stop(mut self) -> Tally {
        self.end();
        self.tally()
    }

    /// The thread answers at once: it never waits for anything but what is to come.
    fn command(&self, command: Command) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let (answer, answered) = sync_channel(1);
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        commands.try_send((command, answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }

    fn end(&mut self) {
        self.commands = None;
        // A panic of the thread was told by itself.
        if let Some(thread) = self.thread.take()
            && thread.join().is_ok()
        {
            // The file of the socket is of no use to anybody; that it stays harms nobody.
            drop(self.address.unlink());
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}
