//! The client: what callers hold.

mod builder;
mod error;
mod events;
mod finish;
mod hooks;
mod identity;
mod metrics;
mod scratch;
mod send;
mod shared;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub use builder::{ClientBuilder, Driver, Overflow};
pub use error::{BuildError, Refused, SendError};
pub use events::{Event, EventKind, Events};
pub use finish::{Remainder, Unsent};
pub use hooks::HookError;
pub(crate) use identity::default_heartbeat;
pub(crate) use shared::Shared;
pub use state::{State, StateWatch};

use crate::model::{Rules, ServiceId};
use crate::queue::Ledger;
use crate::transport::Transport;
use hooks::Hooks;

/// Sends audit records to an agent without ever making the program wait, unless asked to.
///
/// It is a handle: clones share one queue and one connection. Functions with `wait` in their name
/// are for async callers and can be used in any runtime; those with `timeout` in their name, and
/// `flush` and `close`, block; all others return at once.
///
/// A record is *queued* when a send succeeds, and *written* when the operating system took it for
/// the agent. Whether the agent read it nobody knows: the protocol has no acknowledgement.
///
/// Call [`close`](Self::close) before the program ends: what is still queued is written, and what
/// cannot be written comes back. Dropping the last handle instead gives the sender a moment, see
/// [`ClientBuilder::linger`], which an ending program does not wait for.
#[derive(Clone)]
pub struct Client(Arc<Handle>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.0.service)
            .field("state", &self.state().state())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Starts to put a client together that sends the records of `service` over `transport`.
    pub fn builder(service: ServiceId, transport: impl Transport) -> ClientBuilder {
        ClientBuilder::new(service, Box::new(transport))
    }

    /// The service whose records it sends.
    pub fn service(&self) -> &ServiceId {
        &self.0.service
    }

    /// Where every record is at this moment.
    pub fn ledger(&self) -> Ledger {
        if self.0.forked_from().is_some() {
            return Ledger::default();
        }
        self.0.shared.ledger()
    }

    /// What happened. Reading it is optional.
    pub fn events(&self) -> Events {
        Events::of(&self.0.shared.events)
    }

    /// How the connection is, to look at or to wait for changes.
    pub fn state(&self) -> StateWatch {
        StateWatch::new(self.0.shared.state.subscribe())
    }

    /// Gives up the connection and opens a new one; what is queued stays queued. Does not wait.
    pub fn reset(&self) {
        if self.0.forked_from().is_some() {
            return;
        }
        self.0.shared.queue().reset = true;
        self.0.shared.wake_sender.notify_one();
    }
}

/// What all clones share; the last one to go tells the sender.
struct Handle {
    shared: Arc<Shared>,
    service: ServiceId,
    rules: Rules,
    report_all_problems: bool,
    max_queue_bytes: usize,
    overflow: Overflow,
    hooks: Hooks,
    /// The sender lives in a thread of its own.
    threaded: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
    process: u32,
}

impl Handle {
    #[expect(clippy::too_many_arguments, reason = "called once, by the builder")]
    fn new(
        shared: Arc<Shared>,
        service: ServiceId,
        rules: Rules,
        report_all_problems: bool,
        max_queue_bytes: usize,
        overflow: Overflow,
        hooks: Hooks,
        threaded: bool,
    ) -> Self {
        Self {
            shared,
            service,
            rules,
            report_all_problems,
            max_queue_bytes,
            overflow,
            hooks,
            threaded,
            thread: Mutex::new(None),
            process: std::process::id(),
        }
    }

    fn set_thread(&self, thread: JoinHandle<()>) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The process that made the client, when this is a fork of it. There the sender does not
    /// run, and the lock may be held for ever by a thread that did not come along: nothing else
    /// may be touched.
    fn forked_from(&self) -> Option<u32> {
        (std::process::id() != self.process).then_some(self.process)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.forked_from().is_none() {
            self.shared.abandon();
        }
    }
}
