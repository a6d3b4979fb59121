//! Test mode: what a program audits, kept in memory to assert on.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connected, Connecting, Transport};
use crate::model::{ConnectionType, Record};
use crate::wire::{self, Message, Plane};

/// A record that a program audited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditedRecord {
    /// Data or control plane.
    pub plane: Plane,
    /// The record as the agent would see it.
    pub record: Record,
    /// Its time, in seconds since 1970-01-01 UTC.
    pub seconds: i64,
}

/// Keeps everything in memory, as an agent would see it.
///
/// ```
/// use std::time::Duration;
/// use ev_audit::{Caller, CallerIdentityType, Client, Operation, OperationCategory, Plane, Record, Target};
/// use ev_audit::transport::MemoryTransport;
///
/// let (transport, audited) = MemoryTransport::new();
/// let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;
/// let client = Client::builder(service, transport).build()?;
///
/// let caller = Caller::new(std::net::Ipv4Addr::new(192, 0, 2, 7), "portal/2.1", "Administrator")
///     .identity(CallerIdentityType::UPN, "alice@example.com", "who signed in");
/// let record = Record::builder()
///     .caller(caller)
///     .operation(Operation::new("DeleteUser", OperationCategory::USER_MANAGEMENT, "Administrator"))
///     .target("Tenant", Target::new("contoso"))
///     .build();
/// client.send(Plane::Control, record)?;
///
/// let records = audited.wait_for(1, Duration::from_secs(10));
/// assert_eq!(records[0].record.operation_name, "DeleteUser");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemoryTransport(Arc<Inner>);

/// What was kept; see [`MemoryTransport`].
#[derive(Debug, Clone)]
pub struct Audited(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept: Mutex<Kept>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    records: Vec<AuditedRecord>,
    heartbeats: usize,
    /// The beginning of a frame whose end was not written yet.
    partial: Vec<u8>,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryTransport {
    /// A transport, and what looks at what it got.
    pub fn new() -> (Self, Audited) {
        let inner = Arc::new(Inner::default());
        (Self(inner.clone()), Audited(inner))
    }
}

impl Audited {
    /// The records so far, in their order.
    pub fn records(&self) -> Vec<AuditedRecord> {
        self.0.lock().records.clone()
    }

    /// Takes the records so far.
    pub fn take(&self) -> Vec<AuditedRecord> {
        std::mem::take(&mut self.0.lock().records)
    }

    /// How many heartbeats came.
    pub fn heartbeats(&self) -> usize {
        self.0.lock().heartbeats
    }

    /// Blocks until there are `count` records, for `timeout` at most, and returns those that there
    /// are.
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Vec<AuditedRecord> {
        let kept = self.0.lock();
        let (kept, _) = self
            .0
            .more
            .wait_timeout_while(kept, timeout, |kept| kept.records.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        kept.records.clone()
    }
}

impl Transport for MemoryTransport {
    fn connect(&mut self) -> Connecting<'_> {
        let inner = self.0.clone();
        Box::pin(async move {
            inner.lock().partial.clear();
            Ok(Connected::new(Memory(inner), ConnectionType::UNKNOWN, "memory"))
        })
    }
}

struct Memory(Arc<Inner>);

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // It never ends, and nothing ever comes: no wake-up is owed.
        Poll::Pending
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut kept = self.0.lock();
        let mut partial = std::mem::take(&mut kept.partial);
        partial.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match wire::decode(&partial[at..]) {
                Ok(None) => break,
                Ok(Some((message, length))) => {
                    at += length;
                    match message {
                        Message::Record { plane, record, seconds, .. } => {
                            kept.records.push(AuditedRecord { plane, record: *record, seconds });
                        }
                        Message::Heartbeat { .. } => kept.heartbeats += 1,
                        Message::Diagnostic { .. } => {}
                    }
                }
                Err(error) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            }
        }
        partial.drain(..at);
        kept.partial = partial;
        drop(kept);
        self.0.more.notify_all();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
