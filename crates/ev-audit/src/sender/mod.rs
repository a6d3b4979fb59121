//! The sender: one task that owns the connection and empties the queue.
//!
//! ```text
//!  callers ──▶ queue (lock) ──▶ sender ──▶ connection ──▶ agent
//!                  │               ▲
//!                  ▼               │ oldest first
//!               spiller ──▶ spill directory
//! ```
//!
//! It lives in a thread of its own with a small runtime, or wherever its owner drives it, until
//! the client is closed or its last handle is dropped. The spiller lives inside it. It sleeps
//! while there is nothing to do: what wakes it is a record, the end of the connection, the time
//! of a heartbeat, or its owner.
//!
//! Rules of a connection: the first record goes out alone, then a heartbeat, then whatever there
//! is in writes of up to 64 KiB; frames are never cut but by the end of the connection, and the
//! first one that was not written whole goes first on the next one.

mod backoff;
mod batch;
mod connection;
mod disk;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::chain::Chain;
use crate::client::{EventKind, Shared, State};
use crate::model::ConnectionType;
use crate::queue::{Chunk, Chunks, DropReason, Phase, Source};
use crate::transport::{ConnectError, Transport};

use backoff::Backoff;
pub use backoff::Retry;
use batch::{Batch, Kind};
use connection::{Connection, Lost};
pub(crate) use disk::Disk;
use disk::{DISK_PAUSE, put_away, spill};
use window::Window;

/// The pause behind each KiB that is written to an agent that breaks connections all the time, in
/// microseconds: 10 ms for the largest write.
const SLOW_PAUSE_US: u64 = 156;

/// How long an agent that got the last records is watched before it is told so, if they could be
/// sent again: one that breaks connections does so when it reads.
const QUIET: Duration = Duration::from_millis(100);

/// The longest good-bye on a connection that is closed in peace.
const SHUT_DOWN_LIMIT: Duration = Duration::from_secs(1);

/// What is read from disk for one write.
const WRITE_BYTES: usize = 64 * 1024;

/// After so many writes without a pause the metrics are brought up to date.
const PUBLISH_EVERY: u32 = 64;

/// Which moment the seconds in a frame stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stamp {
    /// When the record was sent.
    #[default]
    Sent,
    /// When the sender took it to write it, as the Go client does: after an outage all records
    /// seem to be of its end.
    Written,
}

/// Appends a heartbeat for a destination, stamped with the given seconds.
pub(crate) type HeartbeatEncoder = Box<dyn FnMut(&mut Vec<u8>, ConnectionType, i64) + Send>;

/// What the sender goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    pub(crate) connect_timeout: Duration,
    pub(crate) write_deadline: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) retry: Retry,
    pub(crate) retain_bytes: usize,
    pub(crate) stamp: Stamp,
    pub(crate) tolerate_half_close: bool,
    /// How long what is left is still written after the last handle was dropped.
    pub(crate) linger: Duration,
}

/// Why the sender left a connection, or did not get one.
enum Left {
    /// All is written, and the client is closing.
    Drained,
    /// The client wants everything back now.
    Stopped,
    /// The owner wants a new connection.
    Reset,
    Lost(Lost),
    Impossible(ConnectError),
}

pub(crate) struct Sender {
    shared: Arc<Shared>,
    transport: Box<dyn Transport>,
    tuning: Tuning,
    heartbeat: HeartbeatEncoder,
    heartbeat_bytes: Vec<u8>,
    disk: Option<Disk>,
    /// Frames from disk that were written since the disk was last told.
    done: u64,
    /// Frames found on disk at the start, the next to be written, that may have been written by
    /// the process that put them there.
    maybe_written: u64,
    /// The disk failed; until then it is left alone.
    disk_again_at: Option<Instant>,
    /// Buffers of frames from disk, used again.
    buffers: (Vec<u8>, Vec<u32>),
    backoff: Backoff,
    asked_for: Option<Duration>,
    connections: u64,
    /// Taken from the queue and not written yet; outlives connections.
    fresh: Option<Batch>,
    /// Written before, on connections that broke: goes out before everything else.
    again: Option<Batch>,
    more_again: Chunks,
    window: Window,
    slow_until: Option<Instant>,
    writes_since_publish: u32,
}

impl Sender {
    pub(crate) fn new(
        shared: Arc<Shared>,
        transport: Box<dyn Transport>,
        tuning: Tuning,
        heartbeat: HeartbeatEncoder,
        disk: Option<(Disk, u64)>,
    ) -> Self {
        let (disk, maybe_written) = disk.unzip();
        Self {
            shared,
            transport,
            heartbeat,
            heartbeat_bytes: Vec::new(),
            disk,
            done: 0,
            maybe_written: maybe_written.unwrap_or(0),
            disk_again_at: None,
            buffers: (Vec::new(), Vec::new()),
            backoff: Backoff::new(tuning.retry),
            asked_for: None,
            connections: 0,
            fresh: None,
            again: None,
            more_again: Chunks::default(),
            window: Window::new(tuning.retain_bytes),
            slow_until: None,
            writes_since_publish: 0,
            tuning,
        }
    }

    /// Runs until the client is closed. What is left stays in the queue for its owner, who is
    /// told by the phase.
    pub(crate) async fn run(mut self) {
        let shared = self.shared.clone();
        let linger = self.tuning.linger;
        let abandoned = async {
            shared.abandoned.notified().await;
            tokio::time::sleep(linger).await;
            shared.advance(Phase::Stopping);
            std::future::pending::<()>().await;
        };
        shared.queue().sender_started = true;
        let Some(disk) = self.disk.clone() else {
            tokio::select! {
                () = self.work() => {}
                () = abandoned => {}
            }
            return;
        };
        {
            let spilling = spill(&shared, &disk);
            tokio::pin!(spilling);
            tokio::select! {
                () = self.work() => {
                    // A chunk on its way to disk gets there before anything is put away.
                    shared.queue().sender_leaves = true;
                    shared.wake_spiller.notify_one();
                    spilling.await;
                }
                () = abandoned => {}
                () = &mut spilling => self.work().await,
            }
        }
        self.tell_done().await;
        put_away(&shared, &disk).await;
    }

    async fn work(&mut self) {
        let impossible = loop {
            let left = match self.connect().await {
                Ok(connection) => self.serve(connection).await,
                Err(left) => left,
            };
            match left {
                Left::Drained | Left::Stopped => break None,
                Left::Reset => {}
                Left::Lost(lost) => {
                    self.lost(&lost);
                    self.let_go();
                }
                Left::Impossible(error) => break Some(error),
            }
        };
        self.leave_again();
        if let Some(error) = impossible {
            // What is pending stays where it is, for the owner to fetch.
            self.shared.impossible(&Chain(&error).to_string());
        }
    }

    /// What was to be sent again is not: nobody knows whether the agent has it.
    fn leave_again(&mut self) {
        let begun = self.again.take().map_or(0, |batch| batch.unwritten().count());
        let frames = begun + std::mem::take(&mut self.more_again).frames();
        self.shared.queue().counts().unconfirmed += frames as u64;
    }

    /// Looks whether there is something else to do than going on.
    fn interrupted(&self) -> Option<Left> {
        let mut queue = self.shared.queue();
        match queue.phase() {
            Phase::Stopping | Phase::Closed => Some(Left::Stopped),
            Phase::Draining if queue.is_drained() && self.again_is_empty() => Some(Left::Drained),
            Phase::Open | Phase::Draining => {
                std::mem::take(&mut queue.reset).then_some(Left::Reset)
            }
        }
    }

    fn again_is_empty(&self) -> bool {
        self.again.is_none() && self.more_again.is_empty()
    }

    async fn connect(&mut self) -> Result<Connection, Left> {
        loop {
            let at = self.backoff.next_attempt(Instant::now(), self.asked_for.take());
            self.pause_until(at).await?;
            self.backoff.attempt(Instant::now());
            match self.attempt().await? {
                Ok(connection) => {
                    self.connected(&connection);
                    return Ok(connection);
                }
                Err(error) if error.is_retryable() => {
                    self.asked_for = error.retry_after();
                    self.shared.queue().counts().connect_failures += 1;
                    self.shared.set_state(State::Degraded);
                    self.shared.events.tell(EventKind::ConnectFailed, 1, Chain(&error).to_string());
                    // Nothing from disk is in flight now, and this comes round every so often.
                    self.look_at_disk(0).await;
                    self.shared.publish();
                }
                Err(error) => return Err(Left::Impossible(error)),
            }
        }
    }

    async fn pause_until(&mut self, at: Instant) -> Result<(), Left> {
        loop {
            match self.interrupted() {
                // There is no connection: a wish for a new one is being fulfilled.
                None | Some(Left::Reset) => {}
                Some(left) => return Err(left),
            }
            if Instant::now() >= at {
                return Ok(());
            }
            tokio::select! {
                () = sleep_until(at) => {}
                () = self.shared.wake_sender.notified() => {}
            }
        }
    }

    /// One attempt; the outer error is an interruption.
    async fn attempt(&mut self) -> Result<Result<Connection, ConnectError>, Left> {
        let limit = sleep_until(Instant::now() + self.tuning.connect_timeout);
        tokio::pin!(limit);
        let shared = self.shared.clone();
        let nothing_again = self.again_is_empty();
        let mut attempt = self.transport.connect();
        loop {
            tokio::select! {
                biased;
                result = &mut attempt => {
                    let half = self.tuning.tolerate_half_close;
                    return Ok(result.map(|connected| Connection::new(connected, half)));
                }
                () = &mut limit => {
                    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                    return Ok(Err(ConnectError::retry("the configured endpoint", late)));
                }
                () = shared.wake_sender.notified() => {
                    let queue = shared.queue();
                    let drained = queue.is_drained() && nothing_again;
                    match queue.phase() {
                        Phase::Open => {}
                        Phase::Draining if !drained => {}
                        _ => return Err(Left::Stopped),
                    }
                }
            }
        }
    }

    fn connected(&mut self, connection: &Connection) {
        self.backoff.connected();
        {
            let mut queue = self.shared.queue();
            queue.counts().connections += 1;
            // Whoever asked for a new connection while this one was opened has it.
            queue.reset = false;
        }
        let kind = match self.connections {
            0 => EventKind::Connected,
            _ => EventKind::Reconnected,
        };
        self.connections += 1;
        self.shared.set_state(State::Up);
        self.shared.events.tell(kind, 1, &connection.peer);
    }

    /// Writes to one connection until it is over. The connection is closed when this returns.
    async fn serve(&mut self, mut connection: Connection) -> Left {
        let mut left = match self.pump(&mut connection).await {
            Ok(left) => left,
            Err(lost) => Left::Lost(lost),
        };
        if let Left::Drained = left
            && !self.window.is_empty()
            && let Err(lost) = part(&mut connection, &self.shared).await
        {
            left = Left::Lost(lost);
        }
        let since = connection.first_record.map(|first| first.elapsed());
        if self.backoff.ended(connection.bytes, since) {
            self.window.restore();
        }
        if let Left::Drained | Left::Reset = left {
            self.window.forget();
            connection.shut_down(SHUT_DOWN_LIMIT).await;
        }
        if let Left::Reset = left {
            // An unfinished frame is written anew from its start.
            self.rewind();
            self.let_go();
            self.shared.set_state(State::Connecting);
        }
        left
    }

    async fn pump(&mut self, connection: &mut Connection) -> Result<Left, Lost> {
        let unfinished = self.again.iter().flat_map(Batch::unwritten).map(<[u8]>::len);
        let again = unfinished.sum::<usize>() + self.more_again.bytes();
        self.window.begin(connection.destination, again);
        // Restamped ones, if any, are those that the last connection did not take.
        self.restamp();
        let mut next_heartbeat: Option<Instant> = None;
        loop {
            if let Some(left) = self.interrupted() {
                return Ok(left);
            }
            let between_frames = self.current().is_none_or(Batch::is_between_frames);
            if between_frames && next_heartbeat.is_some_and(|at| at <= Instant::now()) {
                self.write_heartbeat(connection).await?;
                next_heartbeat = Some(Instant::now() + self.tuning.heartbeat_interval);
                continue;
            }
            if !self.fetch().await {
                self.idle(connection, next_heartbeat).await?;
                continue;
            }
            if let Some(at) = self.slow_until.take_if(|at| *at > Instant::now()) {
                pause(connection, &self.shared, at).await?;
                continue;
            }
            // The first record shows whether the agent is there at all, and the heartbeat is due
            // behind it; a heartbeat that fell due inside a frame waits for its end.
            let one_frame = next_heartbeat.is_none_or(|at| at <= Instant::now());
            let before = connection.bytes;
            self.write_some(connection, one_frame).await?;
            let pause = Duration::from_micros((connection.bytes - before) / 1024 * SLOW_PAUSE_US);
            self.slow_until = self.window.is_shrunk().then(|| Instant::now() + pause);
            if next_heartbeat.is_none() && connection.first_record.is_some() {
                next_heartbeat = Some(Instant::now());
            }
        }
    }

    /// The batch that is being written.
    fn current(&self) -> Option<&Batch> {
        self.again.as_ref().or(self.fresh.as_ref())
    }

    /// Makes sure that there is a batch to write, if there is anything to write.
    async fn fetch(&mut self) -> bool {
        if self.again.is_none() {
            self.again = self.more_again.pop().map(|chunk| Batch::new(chunk, Kind::Again));
        }
        if self.again.is_some() || self.fresh.is_some() {
            return true;
        }
        let on_disk = {
            let mut queue = self.shared.queue();
            if queue.disk_goes_first() {
                queue.first_spilled().is_some()
            } else {
                let stamped = self.tuning.stamp == Stamp::Written;
                let stamp = stamped.then(|| self.shared.clock.unix_seconds());
                let chunk = queue.take(stamp);
                self.fresh = chunk.map(|chunk| Batch::new(chunk, Kind::Fresh(Source::Memory)));
                queue.sender_idle = self.fresh.is_none();
                false
            }
        };
        if self.fresh.is_none() {
            if on_disk {
                self.look_at_disk(WRITE_BYTES).await;
            } else if self.done > 0 {
                // The last of them is written: what is remembered of it should be on the disk.
                self.tell_done().await;
            }
        }
        self.fresh.is_some()
    }

    /// Reads the oldest frames on disk, up to `limit` bytes, and counts those that are gone.
    async fn look_at_disk(&mut self, limit: usize) {
        let Some(disk) = &self.disk else { return };
        if self.disk_again_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.disk_again_at = None;
        // Only the sender takes from there: so many there are, and maybe more by then.
        let there = self.shared.queue().ledger().spilled;
        let buffers = std::mem::take(&mut self.buffers);
        let done = std::mem::take(&mut self.done);
        let Some(mut found) = disk.next(done, buffers, limit).await else {
            // What was written is not written again because of that.
            self.done += done;
            self.disk_failed("a thread for the disk ended by itself");
            return;
        };
        let empty = found.ends.is_empty() && found.lost == 0 && found.expired == 0;
        let mut gone = 0;
        {
            let mut queue = self.shared.queue();
            gone += queue.lost_from_spill(found.expired, DropReason::Expired);
            gone += queue.lost_from_spill(found.lost, DropReason::Unreadable);
            // They may have been the first of those that another process handed out.
            self.maybe_written = self.maybe_written.saturating_sub(found.expired + found.lost);
            // Never more than the ledger knows of: whatever lies behind is read the next time.
            let known = usize::try_from(queue.ledger().spilled).unwrap_or(usize::MAX);
            if found.ends.len() > known {
                found.ends.truncate(known);
                found.bytes.truncate(found.ends.last().map_or(0, |end| *end as usize));
            }
            let first = queue.first_spilled();
            if let Some(first) =
                first.filter(|_| !found.ends.is_empty() && queue.phase() < Phase::Closed)
            {
                let mut chunk = Chunk::of(first, found.bytes, found.ends);
                if self.tuning.stamp == Stamp::Written {
                    chunk.stamp(self.shared.clock.unix_seconds());
                }
                let chunk = Arc::new(chunk);
                queue.fly(chunk.clone(), Source::Spill);
                self.fresh = Some(Batch::new(chunk, Kind::Fresh(Source::Spill)));
            }
        }
        let events = &self.shared.events;
        let (expired, lost) = (DropReason::Expired, DropReason::Unreadable);
        events.tell(EventKind::Dropped(expired), found.expired, "too old");
        events.tell(EventKind::Dropped(lost), found.lost, "damaged on disk");
        if let Some(path) = found.set_aside {
            let told = format!("`{}` could not be read and was set aside", path.display());
            events.tell(EventKind::SpillDamaged, 1, told);
        }
        if let Some(error) = found.error {
            self.disk_failed(&Chain(&error).to_string());
        } else if limit > 0 && empty && there > 0 {
            // It says that it has nothing, although it should.
            let missing = self.shared.queue().lost_from_spill(there, DropReason::Unreadable);
            self.shared.events.tell(EventKind::Dropped(lost), missing, "missing on disk");
            gone += missing;
        }
        if gone > 0 {
            // They may have been all that anybody waited for, and what is in memory may go now.
            self.shared.changed.notify_all();
            self.shared.changed_async.notify_waiters();
            self.shared.wake_sender.notify_one();
        }
    }

    fn disk_failed(&mut self, cause: &str) {
        self.disk_again_at = Some(Instant::now() + DISK_PAUSE);
        self.shared.events.tell(EventKind::SpillFailed, 1, cause);
    }

    /// Tells the disk what was written, so that the next process does not write it again.
    async fn tell_done(&mut self) {
        let Some(disk) = &self.disk else { return };
        let done = std::mem::take(&mut self.done);
        match disk.settle(done).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                self.shared.events.tell(EventKind::SpillFailed, 1, Chain(&error).to_string());
            }
            None => self.done += done,
        }
    }

    /// Lets go of what was taken for a connection that broke, so that it can be moved to disk or
    /// read from there again. What cannot be put back stays here.
    fn let_go(&mut self) {
        if self.disk.is_none() {
            return;
        }
        let Some(fresh) = &self.fresh else { return };
        let gone = match fresh.kind {
            Kind::Fresh(Source::Spill) => {
                self.shared.queue().land();
                true
            }
            _ => self.shared.queue().take_back(),
        };
        if gone {
            self.fresh = None;
            self.shared.wake_spiller.notify_one();
        }
    }

    /// Sleeps until there is something to do.
    async fn idle(
        &mut self,
        connection: &mut Connection,
        heartbeat: Option<Instant>,
    ) -> Result<(), Lost> {
        self.publish();
        // A pause that is over was made use of by the look just before, if there was need.
        self.disk_again_at = self.disk_again_at.filter(|at| *at > Instant::now());
        let next = [heartbeat, self.disk_again_at].into_iter().flatten().min();
        let due = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            lost = connection.ended() => Err(lost),
            () = self.shared.wake_sender.notified() => Ok(()),
            () = due => Ok(()),
        }
    }

    /// Writes once from the current batch, and counts the frames that are out whole.
    async fn write_some(
        &mut self,
        connection: &mut Connection,
        one_frame: bool,
    ) -> Result<(), Lost> {
        let batch =
            self.again.as_mut().or(self.fresh.as_mut()).expect("it was fetched just before");
        let bytes = batch.rest(one_frame);
        let taken = write(connection, bytes, &self.shared, self.tuning.write_deadline).await?;
        if taken == 0 {
            return Ok(());
        }
        let whole = batch.advance(taken);
        let ours = {
            let mut queue = self.shared.queue();
            let ours = match batch.kind {
                Kind::Again => {
                    queue.counts().resent += whole.len() as u64;
                    true
                }
                Kind::Fresh(source) => match queue.written(whole.end) {
                    Some(frames) if source == Source::Spill => {
                        self.done += frames;
                        let again = frames.min(self.maybe_written);
                        self.maybe_written -= again;
                        queue.counts().resent += again;
                        true
                    }
                    written => written.is_some(),
                },
            };
            let counts = queue.counts();
            counts.bytes_written += taken as u64;
            counts.writes += 1;
            if batch.is_done()
                && ours
                && let Kind::Fresh(_) = batch.kind
            {
                queue.land();
            }
            if queue.watchers > 0 && !whole.is_empty() {
                self.shared.changed.notify_all();
            }
            ours
        };
        if !ours {
            // The owner took what was in flight; the phase says so in the next round.
            self.fresh = None;
            return Ok(());
        }
        if !whole.is_empty() {
            self.shared.changed_async.notify_waiters();
            let frames = whole.clone().map(|index| batch.chunk.frame(index));
            self.window.note(frames, batch.kind != Kind::Again);
            connection.first_record.get_or_insert_with(Instant::now);
        }
        if batch.is_done() {
            let done = if self.again.is_some() { self.again.take() } else { self.fresh.take() };
            match done {
                Some(Batch { chunk, kind: Kind::Fresh(Source::Spill), .. }) => {
                    self.buffers =
                        Arc::into_inner(chunk).map(Chunk::into_buffers).unwrap_or_default();
                }
                Some(done) => self.shared.queue().recycle(done.chunk),
                None => {}
            }
        }
        self.writes_since_publish += 1;
        if self.writes_since_publish >= PUBLISH_EVERY {
            self.publish();
        }
        Ok(())
    }

    async fn write_heartbeat(&mut self, connection: &mut Connection) -> Result<(), Lost> {
        let mut bytes = std::mem::take(&mut self.heartbeat_bytes);
        bytes.clear();
        (self.heartbeat)(&mut bytes, connection.destination, self.shared.clock.unix_seconds());
        let result = self.write_all(connection, &bytes).await;
        self.heartbeat_bytes = bytes;
        let counted = self.shared.queue().phase() < Phase::Stopping;
        match &result {
            Ok(true) => self.shared.queue().counts().heartbeats += 1,
            Err(lost) if counted => {
                self.shared.queue().counts().heartbeats_failed += 1;
                self.shared.events.tell(EventKind::HeartbeatFailed, 1, lost.to_string());
            }
            Ok(false) | Err(_) => {}
        }
        result.map(|_| ())
    }

    /// Writes all of `bytes`, unless the client is stopped meanwhile.
    async fn write_all(
        &mut self,
        connection: &mut Connection,
        mut bytes: &[u8],
    ) -> Result<bool, Lost> {
        while !bytes.is_empty() {
            if self.shared.queue().phase() >= Phase::Stopping {
                return Ok(false);
            }
            let taken = write(connection, bytes, &self.shared, self.tuning.write_deadline).await?;
            let mut queue = self.shared.queue();
            queue.counts().bytes_written += taken as u64;
            queue.counts().writes += u64::from(taken > 0);
            bytes = &bytes[taken..];
        }
        Ok(true)
    }

    /// Puts what has to go first on the next connection in its order.
    fn rewind(&mut self) {
        if let Some(again) = &mut self.again {
            again.rewind();
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.rewind();
        }
    }

    fn lost(&mut self, lost: &Lost) {
        self.rewind();
        let (mut first, unconfirmed) = self.window.broke();
        let resent = first.frames() as u64;
        let again = self.again.take();
        let more = std::mem::take(&mut self.more_again);
        // In the order in which they were written first: those of this connection, then those of
        // earlier ones that it did not get to.
        let rest = again.iter().flat_map(Batch::unwritten).chain(more.iter());
        for (number, frame) in (resent..).zip(rest) {
            first.push(number, frame);
        }
        self.more_again = first;
        {
            let mut queue = self.shared.queue();
            queue.counts().disconnects += 1;
            queue.counts().unconfirmed += unconfirmed;
        }
        self.shared.set_state(State::Degraded);
        if let Lost::Stalled = lost {
            self.shared.events.tell(EventKind::Stalled, 1, lost.to_string());
        }
        self.shared.events.tell(EventKind::Disconnected, 1, lost.to_string());
        self.shared.events.tell(EventKind::Resent, resent, "may not have been read");
        self.publish();
    }

    /// In the mode in which frames carry the time of writing: those taken for a connection that
    /// broke are stamped anew.
    fn restamp(&mut self) {
        if self.tuning.stamp != Stamp::Written {
            return;
        }
        let now = self.shared.clock.unix_seconds();
        if let Some(fresh) = &mut self.fresh
            && let Some(chunk) = self.shared.queue().restamp(now)
        {
            fresh.chunk = chunk;
        }
    }

    fn publish(&mut self) {
        self.writes_since_publish = 0;
        self.shared.publish();
    }
}

/// Writes nothing until then, unless the connection ends or the client wants something else.
async fn pause(connection: &mut Connection, shared: &Shared, until: Instant) -> Result<(), Lost> {
    let attention = async {
        while !shared.queue().wants_attention() {
            shared.wake_sender.notified().await;
        }
    };
    tokio::select! {
        lost = connection.ended() => Err(lost),
        () = sleep_until(until) => Ok(()),
        () = attention => Ok(()),
    }
}

/// Gives the agent a moment to read the end, unless its owner has no more time.
async fn part(connection: &mut Connection, shared: &Shared) -> Result<(), Lost> {
    let no_more_time = async {
        while shared.queue().phase() < Phase::Stopping {
            shared.wake_sender.notified().await;
        }
    };
    tokio::select! {
        parted = connection.part(QUIET, SHUT_DOWN_LIMIT) => parted,
        () = no_more_time => Ok(()),
    }
}

/// Writes some of `bytes`. The deadline starts anew with each call: it runs out only when the
/// agent took nothing at all. 0 when the sender was woken instead and should look around.
///
/// What is still in the stream's own buffers when the connection ends counts as not written: a
/// stream that has such buffers lets go of what it took in one write as a whole.
async fn write(
    connection: &mut Connection,
    bytes: &[u8],
    shared: &Shared,
    deadline: Duration,
) -> Result<usize, Lost> {
    let limit = sleep_until(Instant::now() + deadline);
    tokio::pin!(limit);
    let taken = loop {
        tokio::select! {
            biased;
            taken = connection.write(bytes) => break taken?,
            () = &mut limit => return Err(Lost::Stalled),
            () = shared.wake_sender.notified() => {
                // Nothing was taken yet: a reset or the end may come first. The deadline must
                // not start anew when it is neither.
                if shared.queue().wants_attention() {
                    return Ok(0);
                }
            }
        }
    };
    loop {
        tokio::select! {
            biased;
            flushed = connection.flush() => {
                flushed?;
                return Ok(taken);
            }
            () = &mut limit => return Err(Lost::Stalled),
            () = shared.wake_sender.notified() => {
                if shared.queue().phase() >= Phase::Stopping {
                    return Ok(0);
                }
            }
        }
    }
}
