//! Agents that only read, or do not even read.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ev_audit::transport::{Connecting, Transport, UnixTransport};
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;
/// Bytes of a bare write.
const WRITE_BYTES: usize = 64 * 1024;

/// An agent for one connection.
#[derive(Debug)]
pub(super) struct Listener {
    dir: TempDir,
    /// When the connection was accepted, and then when all that is wanted was read.
    progress: Receiver<Instant>,
    /// Open until this is dropped.
    here: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Reads and throws away, and notes when so many bytes were read.
    pub(super) fn draining(wanted: usize) -> Result<Self> {
        Self::start(Some(wanted))
    }

    /// Accepts and does not read.
    pub(super) fn stalling() -> Result<Self> {
        Self::start(None)
    }

    #[expect(clippy::disallowed_methods, reason = "real time is what is measured here")]
    fn start(wanted: Option<usize>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let listener = UnixListener::bind(dir.path().join("agent"))?;
        let (tell, progress) = sync_channel(2);
        let (here, gone) = sync_channel(0);
        let thread = std::thread::spawn(move || {
            let Ok((mut stream, _)) = listener.accept() else { return };
            // Nobody may be there any more to be told.
            tell.send(Instant::now()).ok();
            let Some(wanted) = wanted else {
                // Until the listener is dropped.
                gone.recv().ok();
                return;
            };
            let mut buffer = vec![0; READ_BYTES];
            let (mut total, mut is_told) = (0, false);
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                total += read;
                if total >= wanted && !is_told {
                    is_told = true;
                    tell.send(Instant::now()).ok();
                }
            }
        });
        Ok(Self { dir, progress, here, thread: Some(thread) })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("agent")
    }

    /// How long it took from the connection until all that is wanted was read; more may follow.
    pub(super) fn drained(&self) -> Result<Duration> {
        let accepted = self.progress.recv().context("no connection")?;
        let read = self.progress.recv().context("the connection ended too early")?;
        Ok(read.saturating_duration_since(accepted))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let (closed, _) = sync_channel(0);
        self.here = closed;
        if let Some(thread) = self.thread.take() {
            // One that still waits for a connection gets one, which ends at once.
            drop(UnixStream::connect(self.path()));
            drop(thread.join());
        }
    }
}

/// How long the same bytes take that are written as fast as can be. They lie in memory as those
/// of a full queue do: one block written again and again would stay in the processor's cache.
pub(super) fn bare(bytes: &Arc<Vec<u8>>) -> Result<Duration> {
    let agent = Listener::draining(bytes.len())?;
    let mut stream = UnixStream::connect(agent.path())?;
    let writer = std::thread::spawn({
        let bytes = Arc::clone(bytes);
        move || bytes.chunks(WRITE_BYTES).try_for_each(|block| stream.write_all(block))
    });
    let took = agent.drained()?;
    writer.join().ok().context("the writer panicked")??;
    Ok(took)
}

/// A way to an agent that is closed at first.
#[derive(Debug)]
pub(super) struct Gated {
    inner: UnixTransport,
    gate: Arc<Semaphore>,
}

/// What opens it.
#[derive(Debug)]
pub(super) struct Gate(Arc<Semaphore>);

impl Gated {
    pub(super) fn new(inner: UnixTransport) -> (Self, Gate) {
        let gate = Arc::new(Semaphore::new(0));
        (Self { inner, gate: Arc::clone(&gate) }, Gate(gate))
    }
}

impl Gate {
    pub(super) fn open(&self) {
        self.0.close();
    }
}

impl Transport for Gated {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(async {
            // There are no permits: it is closed when the gate is open.
            drop(self.gate.acquire().await);
            self.inner.connect().await
        })
    }
}
