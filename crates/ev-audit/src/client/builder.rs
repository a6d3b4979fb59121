//! Settings of a client, and how it is put together.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::BuildError;
use super::events::EventKind;
use super::hooks::{HookError, Hooks};
use super::identity::default_heartbeat;
use super::shared::Shared;
use super::{Client, Handle};
use crate::clock::{Clock, SystemClock};
use crate::model::{Record, Rules, ServiceId};
use crate::queue::{Bounds, DropReason, Queue};
use crate::sender::{Disk, Retry, Sender, Stamp, Tuning};
use crate::spill::{Recovered, Spill, SpillSettings};
use crate::transport::Transport;
use crate::wire::{self, Heartbeat, Plane};

/// The longest duration that is taken: timers reach about two years, and nothing sensible is
/// longer than one.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What happens to a record that finds no room in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// It goes back to the caller at once.
    #[default]
    Reject,
    /// The caller waits for room, and gets it back after this time. The only policy with which
    /// [`Client::send`] blocks.
    Block(Duration),
    /// The oldest records that are not being written make room for it; they are counted as
    /// dropped.
    DropOldest,
    /// When memory is half full, the oldest records are moved to a directory, and written from
    /// there before all newer ones, also by the next client that opens the directory after a
    /// crash. A record that finds no room all the same, because the disk is slow, full or at its
    /// limit, goes back to the caller at once.
    ///
    /// When the client is closed, what is left in memory goes to the directory too. The chunk of up
    /// to 64 KiB that was just being written then comes behind newer records, if there were such
    /// on disk: nothing can be put in front of what lies there.
    Spill(SpillSettings),
}

/// Puts a [`Client`] together. Every setting has a default.
#[must_use = "it does nothing until `build` is called"]
pub struct ClientBuilder {
    service: ServiceId,
    transport: Box<dyn Transport>,
    rules: Rules,
    report_all_problems: bool,
    bounds: Bounds,
    overflow: Overflow,
    tuning: Tuning,
    hooks: Hooks,
    heartbeat: Heartbeat,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("service", &self.service)
            .field("rules", &self.rules)
            .field("bounds", &self.bounds)
            .field("overflow", &self.overflow)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Starts with the defaults.
    pub(super) fn new(service: ServiceId, transport: Box<dyn Transport>) -> Self {
        Self {
            service,
            transport,
            rules: Rules::default(),
            report_all_problems: false,
            bounds: Bounds { bytes: 32 * 1024 * 1024, frames: 65_536 },
            overflow: Overflow::default(),
            tuning: Tuning {
                connect_timeout: Duration::from_secs(10),
                write_deadline: Duration::from_secs(15),
                heartbeat_interval: Duration::from_secs(30 * 60),
                retry: Retry::default(),
                retain_bytes: 0,
                stamp: Stamp::Sent,
                tolerate_half_close: false,
                linger: Duration::from_secs(1),
            },
            hooks: Hooks::default(),
            heartbeat: default_heartbeat(service),
            clock: Arc::new(SystemClock),
        }
    }

    /// What is demanded of records. Default: [`Rules::default`].
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Whether a refused record comes back with all of its problems or with the first. Default:
    /// the first.
    pub fn report_all_problems(mut self, all: bool) -> Self {
        self.report_all_problems = all;
        self
    }

    /// Encoded bytes that may wait in memory, at least 1. Default: 32 MiB.
    pub fn max_queue_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Records that may wait in memory, at least 1. Default: 65,536.
    pub fn max_queue_records(mut self, records: usize) -> Self {
        self.bounds.frames = records;
        self
    }

    /// What happens when the queue is full. Default: [`Overflow::Reject`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Written records, up to so many bytes, that are kept and sent again when a connection
    /// breaks before the agent can have read them for certain. The agent may then get some twice;
    /// [`Ledger::resent`](crate::Ledger::resent) counts them. 0 is off. Default: off.
    ///
    /// To lose nothing it has to cover what lies unread in buffers, those of the system and the
    /// agent's own: 512 KiB for a Unix socket with usual limits, 8 MiB for TCP. It shrinks for an
    /// agent that breaks connection after connection before it took that much, as nothing new
    /// would ever be sent otherwise.
    ///
    /// With a window, `close` gives the agent a moment to read: if it breaks the connection
    /// instead, what may be unread goes to the next one.
    pub fn retain_bytes(mut self, bytes: usize) -> Self {
        self.tuning.retain_bytes = bytes;
        self
    }

    /// How attempts to connect are spread. Default: [`Retry::default`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.tuning.retry = retry;
        self
    }

    /// How long one attempt to connect may take; more than zero. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.tuning.connect_timeout = timeout;
        self
    }

    /// How long the agent may take nothing at all before the connection is replaced; more than
    /// zero. An agent that is slow but takes something never meets it. Default: 15 s.
    pub fn write_deadline(mut self, deadline: Duration) -> Self {
        self.tuning.write_deadline = deadline;
        self
    }

    /// The time between two heartbeats on a connection; at least one second. The first goes out
    /// behind the first record. Default: 30 min.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.tuning.heartbeat_interval = interval;
        self
    }

    /// The version of the client in heartbeats. Default: `v.2.0.0`.
    pub fn audit_version(mut self, version: impl Into<String>) -> Self {
        self.heartbeat.audit_version = version.into();
        self
    }

    /// The language in heartbeats. Default: `rust` and the version this crate needs.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.heartbeat.language = language.into();
        self
    }

    /// The release of the operating system in heartbeats. Default: as `uname -r` says.
    pub fn os_version(mut self, version: impl Into<String>) -> Self {
        self.heartbeat.os_version = version.into();
        self
    }

    /// Which moment the seconds of a record stand for. Default: [`Stamp::Sent`].
    pub fn stamp(mut self, stamp: Stamp) -> Self {
        self.tuning.stamp = stamp;
        self
    }

    /// Whether an agent may close its sending side and go on reading. Default: no, as this looks
    /// like the end of the agent, and over TCP only a write would tell.
    pub fn tolerate_half_close(mut self, tolerate: bool) -> Self {
        self.tuning.tolerate_half_close = tolerate;
        self
    }

    /// How long the sender still writes after the last handle of a client was dropped without
    /// `close`. Dropping itself never waits. Default: 1 s.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.tuning.linger = linger;
        self
    }

    /// Fills in or changes records before they are validated; hooks run in the order in which
    /// they were given, in the caller's thread. A record that a hook refuses, or panics over, is
    /// not sent and goes back to the caller.
    pub fn enrich(
        mut self,
        hook: impl Fn(Plane, &mut Record) -> Result<(), HookError> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.change.push(Box::new(hook));
        self
    }

    /// Takes away what should not leave the process, such as what identifies users. Runs in the
    /// same row as [`enrich`](Self::enrich); a record that it panics over is never sent.
    pub fn redact(self, hook: impl Fn(Plane, &mut Record) + Send + Sync + 'static) -> Self {
        self.enrich(move |plane, record| {
            hook(plane, record);
            Ok(())
        })
    }

    /// Sees each record once, when it was accepted, as it will be sent; in the caller's thread.
    /// A panic in it is contained.
    pub fn observe(mut self, hook: impl Fn(Plane, &Record) + Send + Sync + 'static) -> Self {
        self.hooks.observe.push(Box::new(hook));
        self
    }

    /// Gets each record that found no room: those that go back to the caller, and those that made
    /// room for newer ones. In the caller's thread; a panic in it is contained.
    pub fn on_overflow(mut self, handler: impl Fn(Plane, &Record) + Send + Sync + 'static) -> Self {
        self.hooks.overflow = Some(Box::new(handler));
        self
    }

    /// Where the time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the client and a thread that sends. Does not wait for the agent, which may come
    /// later.
    ///
    /// # Errors
    ///
    /// A setting out of its range, or no thread to be had.
    pub fn build(self) -> Result<Client, BuildError> {
        let (client, driver) = self.assemble(true)?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().enable_time().build().map_err(BuildError::Start)?;
        let runtime = SenderRuntime(Some(runtime));
        let run = move || {
            if let Some(runtime) = &runtime.0 {
                runtime.block_on(driver);
            }
        };
        let thread = std::thread::Builder::new().name("ev-audit".to_owned()).spawn(run);
        client.0.set_thread(thread.map_err(BuildError::Start)?);
        Ok(client)
    }

    /// Makes the client and hands out the sender as a future, to be run wherever its owner wants;
    /// it needs a `tokio` runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// A setting out of its range.
    pub fn build_detached(self) -> Result<(Client, Driver), BuildError> {
        self.assemble(false)
    }

    fn assemble(self, threaded: bool) -> Result<(Client, Driver), BuildError> {
        self.check()?;
        let mut disk = None;
        let mut found = Recovered::default();
        if let Overflow::Spill(settings) = &self.overflow {
            let clock = self.clock.clone();
            let opened = Spill::open(settings, Box::new(move || clock.unix_seconds()))?;
            found = opened.1;
            disk = Some((Disk::new(opened.0), found.maybe_written));
        }
        let mut queue = Queue::new(self.bounds, found.pending.frames);
        for (reason, amount) in
            [(DropReason::Expired, found.expired), (DropReason::Unreadable, found.lost)]
        {
            queue.counts().accepted += amount.frames;
            queue.counts().recovered += amount.frames;
            queue.counts().dropped.add(reason, amount.frames);
        }
        let shared = Shared::new(queue, self.clock);
        let events = &shared.events;
        if let Overflow::Spill(settings) = &self.overflow {
            let told = format!("`{}`: {}", settings.dir.display(), found.damage_text());
            events.tell(EventKind::SpillDamaged, found.damage(), told);
        }
        events.tell(EventKind::Recovered, found.pending.frames, "found in the spill directory");
        let expired = EventKind::Dropped(DropReason::Expired);
        events.tell(expired, found.expired.frames, "too old");
        let unreadable = EventKind::Dropped(DropReason::Unreadable);
        events.tell(unreadable, found.lost.frames, "damaged on disk");
        let mut heartbeat = self.heartbeat;
        let encoder = move |out: &mut Vec<u8>, destination, seconds| {
            heartbeat.destination = destination;
            wire::encode_heartbeat(out, &heartbeat, seconds);
        };
        let sender =
            Sender::new(shared.clone(), self.transport, self.tuning, Box::new(encoder), disk);
        let ended = Ended(shared.clone());
        let driver = Driver(Box::pin(async move {
            // Told last, and also when the future is dropped or panics.
            let _ended = ended;
            sender.run().await;
        }));
        let client = Client(Arc::new(Handle::new(
            shared,
            self.service,
            self.rules,
            self.report_all_problems,
            self.bounds.bytes,
            self.overflow,
            self.hooks,
            threaded,
        )));
        Ok((client, driver))
    }

    fn check(&self) -> Result<(), BuildError> {
        let positive = "more than zero";
        let spill = match &self.overflow {
            Overflow::Spill(settings) => Some(settings),
            _ => None,
        };
        let rules = [
            ("max_queue_bytes", self.bounds.bytes > 0, positive),
            ("max_queue_records", self.bounds.frames > 0, positive),
            ("connect_timeout", !self.tuning.connect_timeout.is_zero(), positive),
            ("write_deadline", !self.tuning.write_deadline.is_zero(), positive),
            (
                "heartbeat_interval",
                self.tuning.heartbeat_interval >= Duration::from_secs(1),
                "at least one second",
            ),
            ("retry.first", !self.tuning.retry.first.is_zero(), positive),
            (
                "retry.longest",
                self.tuning.retry.longest >= self.tuning.retry.first,
                "at least `retry.first`",
            ),
            ("spill.max_bytes", spill.is_none_or(|spill| spill.max_bytes > 0), positive),
            ("spill.segment_bytes", spill.is_none_or(|spill| spill.segment_bytes > 0), positive),
            (
                "spill.max_age",
                spill.is_none_or(|spill| spill.max_age != Some(Duration::ZERO)),
                positive,
            ),
        ];
        if !self.service.is_set() {
            return Err(BuildError::NoServiceId);
        }
        if let Some((setting, _, wanted)) = rules.iter().find(|(_, holds, _)| !holds) {
            return Err(BuildError::Setting { setting, wanted });
        }
        let durations = [
            ("connect_timeout", self.tuning.connect_timeout),
            ("write_deadline", self.tuning.write_deadline),
            ("heartbeat_interval", self.tuning.heartbeat_interval),
            ("retry.longest", self.tuning.retry.longest),
            ("linger", self.tuning.linger),
        ];
        match durations.iter().find(|(_, duration)| *duration > LONGEST) {
            Some((setting, _)) => Err(BuildError::TooLong { setting, longest: LONGEST }),
            None => Ok(()),
        }
    }
}

/// The sender of a client, as a future that ends with the client. Dropping it closes the
/// connection and leaves what is pending for [`Client::close`].
#[must_use = "nothing is sent unless it is polled"]
pub struct Driver(Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

/// A runtime that ends without waiting: a name that is being looked up, or a disk that is stuck,
/// keeps nobody.
struct SenderRuntime(Option<tokio::runtime::Runtime>);

impl Drop for SenderRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Tells that the sender is gone.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.sender_ended();
    }
}
