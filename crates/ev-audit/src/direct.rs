//! The low-level sender: one connection, and everything else is up to its user.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::client::default_heartbeat;
use crate::clock::{Clock, SystemClock};
use crate::model::{Problem, Record, Rules, ServiceId};
use crate::transport::Connected;
use crate::wire::{self, Heartbeat, Plane};

/// Why a record was not written by a [`DirectSender`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectError {
    /// The record is not valid; the connection was not touched.
    #[error("audit record is not valid")]
    Invalid(#[from] Problem),
    /// An earlier write failed or was given up in the middle of a frame: the connection is of no
    /// use any more, and only [`DirectSender::reset`] helps.
    #[error("connection to audit agent is broken")]
    Broken,
    /// The connection failed in this write. The frame is to be sent again, whole, on the next one.
    #[error("failed to write to audit agent")]
    Write(#[source] io::Error),
}

impl DirectError {
    /// Whether nothing will be written until [`DirectSender::reset`].
    pub fn is_unrecoverable(&self) -> bool {
        !matches!(self, Self::Invalid(_))
    }
}

/// Writes records to one connection, each at once and whole, in the caller's task.
///
/// It has no queue, no thread and no timers, and never connects by itself: whoever wants another
/// connection opens one and calls [`reset`](Self::reset). It keeps the rules of a connection: the
/// first record is followed by a heartbeat, a further one goes out with the first record after
/// each interval, and a frame that was cut is never continued. For all else there is
/// [`Client`](crate::Client).
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// use ev_audit::transport::{MemoryTransport, Transport as _};
/// use ev_audit::{DirectSender, Plane};
/// # let record = {
/// #     use ev_audit::{Caller, CallerIdentityType, Operation, OperationCategory, Record, Target};
/// #     let caller = Caller::new(std::net::Ipv4Addr::new(192, 0, 2, 7), "portal", "Administrator")
/// #         .identity(CallerIdentityType::UPN, "alice@example.com", "who signed in");
/// #     let operation =
/// #         Operation::new("DeleteUser", OperationCategory::USER_MANAGEMENT, "Administrator");
/// #     Record::builder().caller(caller).operation(operation).target("Tenant", Target::new("contoso")).build()
/// # };
///
/// let (mut transport, audited) = MemoryTransport::new();
/// let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;
/// let mut sender = DirectSender::new(service, transport.connect().await?);
/// sender.send(Plane::Data, &record).await?;
/// assert_eq!((audited.records().len(), audited.heartbeats()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DirectSender {
    connected: Connected,
    /// A frame is being written, or was not written whole.
    broken: bool,
    rules: Rules,
    heartbeat: Heartbeat,
    heartbeat_interval: Duration,
    /// None before the first record of the connection.
    next_heartbeat: Option<Duration>,
    clock: Arc<dyn Clock>,
    frame: Vec<u8>,
}

impl fmt::Debug for DirectSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectSender")
            .field("connected", &self.connected)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl DirectSender {
    /// Sends the records of `service` over an open connection, with the default rules and a
    /// heartbeat every 30 minutes.
    pub fn new(service: ServiceId, connected: Connected) -> Self {
        Self {
            connected,
            broken: false,
            rules: Rules::default(),
            heartbeat: default_heartbeat(service),
            heartbeat_interval: Duration::from_secs(30 * 60),
            next_heartbeat: None,
            clock: Arc::new(SystemClock),
            frame: Vec::new(),
        }
    }

    /// What is demanded of records.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// What heartbeats say, but for the destination, and how far apart they are.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Heartbeat, interval: Duration) -> Self {
        self.heartbeat = Heartbeat { service: self.heartbeat.service, ..heartbeat };
        self.heartbeat_interval = interval;
        self
    }

    /// Where the time comes from.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Whether nothing can be written until [`reset`](Self::reset).
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes one record, stamped now, and a heartbeat behind it when one is due. Waits for the
    /// connection for as long as that takes; limits are up to the caller. When the future is
    /// dropped before it is ready, the connection counts as broken, as the frame may be cut.
    ///
    /// # Errors
    ///
    /// [`DirectError::Invalid`] before anything is written, otherwise the record is to be sent
    /// again behind a [`reset`](Self::reset). A heartbeat that fails is no error of the record: it
    /// shows in [`is_broken`](Self::is_broken).
    pub async fn send(&mut self, plane: Plane, record: &Record) -> Result<(), DirectError> {
        record.validate(&self.rules)?;
        let seconds = self.clock.unix_seconds();
        self.frame.clear();
        wire::encode_record(&mut self.frame, plane, record, &self.heartbeat.service, seconds);
        self.write().await?;
        let now = self.clock.monotonic();
        if self.next_heartbeat.is_none_or(|at| at <= now)
            && let Err(error) = self.send_heartbeat().await
        {
            tracing::warn!(target: "ev_audit", %error, "heartbeat failed");
        }
        Ok(())
    }

    /// Writes a heartbeat now; the next one is due an interval later. Agents expect none before
    /// the first record of a connection. Waits as [`send`](Self::send) does.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub async fn send_heartbeat(&mut self) -> Result<(), DirectError> {
        self.heartbeat.destination = self.connected.destination;
        self.frame.clear();
        wire::encode_heartbeat(&mut self.frame, &self.heartbeat, self.clock.unix_seconds());
        self.write().await?;
        self.next_heartbeat = Some(self.clock.monotonic().saturating_add(self.heartbeat_interval));
        Ok(())
    }

    async fn write(&mut self) -> Result<(), DirectError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(DirectError::Broken);
        }
        let stream = &mut self.connected.stream;
        stream.write_all(&self.frame).await.map_err(DirectError::Write)?;
        stream.flush().await.map_err(DirectError::Write)?;
        self.broken = false;
        Ok(())
    }

    /// Closes the connection and goes on with another one, which begins anew: its first record is
    /// followed by a heartbeat.
    pub fn reset(&mut self, connected: Connected) {
        self.connected = connected;
        self.broken = false;
        self.next_heartbeat = None;
    }

    /// Ends the connection in peace. Waits until the system, or the agent behind TLS, took the end.
    ///
    /// # Errors
    ///
    /// What the connection answered.
    pub async fn close(mut self) -> io::Result<()> {
        self.connected.stream.shutdown().await
    }
}
