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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Caller, CallerIdentityType, Operation, OperationCategory, Record, Target};
    use crate::transport::MemoryTransport;
    use crate::wire::Plane;
    use crate::{Outcome, Refused};

    fn record() -> Record {
        let address = std::net::Ipv4Addr::new(192, 0, 2, 7);
        let caller = Caller::new(address, "portal/2.1", "Admin");
        let operation = Operation::new("DeleteUser", OperationCategory::USER_MANAGEMENT, "Admin");
        Record::builder()
            .caller(caller.identity(CallerIdentityType::UPN, "alice@example.com", "who signed in"))
            .operation(operation)
            .target("Tenant", Target::new("contoso"))
            .build()
    }

    /// The memory of a fork is that of its parent; what differs is the process that it is in. The
    /// tests of the crate have a real fork, but none in which a lock is held.
    #[tokio::test]
    async fn a_fork_is_refused_without_touching_what_it_shares_with_its_parent() {
        let (transport, audited) = MemoryTransport::new();
        let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse().unwrap();
        let mut client = Client::builder(service, transport).build().unwrap();
        let own = std::process::id();
        let parent = own ^ 1;
        Arc::get_mut(&mut client.0).unwrap().process = parent;
        {
            // Another thread of the parent was in here, and did not come along.
            let shared = client.0.shared.clone();
            let _held = shared.queue();
            let refused = client.send(Plane::Data, record()).unwrap_err();
            assert!(matches!(refused.reason(), Refused::Forked { parent: of } if *of == parent));
            assert!(refused.is_unrecoverable());
            assert_eq!(*refused.record(), record());
            assert!(client.send_ref(Plane::Data, &record()).is_err());
            assert!(client.send_with_receipt(Plane::Data, record()).is_err());
            assert!(client.send_timeout(Plane::Data, record(), Duration::MAX).is_err());
            assert!(
                client.flush(Duration::MAX).is_empty() && client.close(Duration::MAX).is_empty()
            );
            assert_eq!(client.ledger(), Ledger::default());
            client.reset();
        }
        assert!(client.send_wait(Plane::Data, record()).await.is_err());
        assert!(client.flush_wait_until(std::future::pending()).await.is_empty());
        assert!(client.close_wait_until(std::future::pending()).await.is_empty());

        // The parent saw nothing of all that.
        Arc::get_mut(&mut client.0).unwrap().process = own;
        assert_eq!(client.ledger().accepted, 0);
        let receipt = client.send_with_receipt(Plane::Data, record()).unwrap();
        assert_eq!(receipt.wait_timeout(Duration::from_secs(60)), Some(Outcome::Written));
        assert_eq!(audited.records().len(), 1);
    }
}
