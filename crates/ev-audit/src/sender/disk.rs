//! The spill directory as the sender and the spiller use it: every call that may wait for the
//! disk is made in a thread for such calls.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::chain::Chain;
use crate::client::{EventKind, Shared};
use crate::queue::{Chunk, Left};
use crate::spill::{Spill, SpillError};

/// What is moved and synced in one go: much enough that waiting for the disk costs little, and
/// little enough that a record is soon safe.
const MOVE_BYTES: usize = 2 * 1024 * 1024;

/// The pause after the disk failed or had no room.
pub(super) const DISK_PAUSE: Duration = Duration::from_secs(1);

/// A store of frames that is shared by the one who appends and the one who reads.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<Spill>>);

/// What a look at the oldest frames found.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<u32>,
    /// Frames in front of them that could not be read.
    pub(super) lost: u64,
    /// Frames in front of them that were too old.
    pub(super) expired: u64,
    /// Where a segment is that was given up because it cannot be read.
    pub(super) set_aside: Option<PathBuf>,
    pub(super) error: Option<SpillError>,
}

impl Disk {
    pub(crate) fn new(spill: Spill) -> Self {
        Self(Arc::new(Mutex::new(spill)))
    }

    /// Runs `work` where it may wait. None when its thread panicked, which is a defect.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spill) -> T + Send + 'static,
    ) -> Option<T> {
        let spill = self.0.clone();
        let ran = tokio::task::spawn_blocking(move || {
            work(&mut spill.lock().unwrap_or_else(PoisonError::into_inner))
        });
        ran.await.ok()
    }

    /// Notes that the oldest `done` frames handed out before were written, and that the others
    /// were not; then drops what is too old and reads the oldest frames, up to `limit` bytes.
    /// With a limit of 0 none are read.
    pub(super) async fn next(
        &self,
        done: u64,
        buffers: (Vec<u8>, Vec<u32>),
        limit: usize,
    ) -> Option<Found> {
        self.run(move |spill| {
            spill.done(done);
            spill.rewind();
            let (mut bytes, mut ends) = buffers;
            let expired = spill.expire().frames;
            let read = match limit {
                0 => Ok(0),
                _ => spill.read(&mut bytes, &mut ends, limit),
            };
            let (lost, set_aside) = (spill.take_lost().frames, spill.take_set_aside());
            Found { bytes, ends, lost, expired, set_aside, error: read.err() }
        })
        .await
    }

    /// As [`next`](Self::next) without reading, and waits until that is on the disk.
    pub(super) async fn settle(&self, done: u64) -> Option<Result<(), SpillError>> {
        self.run(move |spill| {
            spill.done(done);
            spill.rewind();
            spill.sync()
        })
        .await
    }

    /// Appends the frames and waits until they are on the disk. Returns how many were taken, with
    /// the error that stopped it. They are counted before anybody can read them: otherwise some
    /// could be written before the queue knows that they are there.
    async fn append(
        &self,
        parts: Vec<(Arc<Chunk>, usize)>,
        count: impl FnOnce(usize) + Send + 'static,
    ) -> (usize, Option<SpillError>) {
        let appended = self.run(move |spill| {
            let (taken, error) = append(spill, parts);
            count(taken);
            (taken, error)
        });
        appended.await.unwrap_or((0, None))
    }
}

fn append(spill: &mut Spill, parts: Vec<(Arc<Chunk>, usize)>) -> (usize, Option<SpillError>) {
    let mut taken = 0;
    for (chunk, from) in parts {
        let wanted = chunk.end() - from;
        match spill.append(chunk.bytes_from(from), &chunk.ends_from(from)) {
            Ok(amount) => {
                let frames = usize::try_from(amount.frames).unwrap_or(wanted).min(wanted);
                taken += frames;
                if frames < wanted {
                    break;
                }
            }
            Err(error) => return (taken, Some(error)),
        }
    }
    // What was appended survives the process; the machine's end only if this succeeds,
    // and the next sync tries it again.
    (taken, spill.sync().err())
}

/// Moves the oldest frames to disk whenever memory is half full, until the client stops.
pub(super) async fn spill(shared: &Arc<Shared>, disk: &Disk) {
    loop {
        let chunks = {
            let mut queue = shared.queue();
            if queue.sender_leaves {
                return;
            }
            queue.spiller_idle = !queue.is_half_full();
            if queue.spiller_idle { Vec::new() } else { queue.take_for_spill(MOVE_BYTES) }
        };
        if chunks.is_empty() {
            // Half full with one chunk in flight and none in memory: that one cannot be moved.
            shared.queue().spiller_idle = true;
            shared.wake_spiller.notified().await;
            continue;
        }
        let wanted: usize = chunks.iter().map(|chunk| chunk.frames()).sum();
        let parts = chunks.into_iter().map(|chunk| (chunk.clone(), chunk.start())).collect();
        let counting = shared.clone();
        let count = move |taken| {
            counting.queue().spilled(taken);
        };
        let (taken, error) = disk.append(parts, count).await;
        let blocked = {
            let mut queue = shared.queue();
            // A thread that ended by itself has not counted anything; nothing is lost with it.
            queue.spilled(0);
            if queue.watchers > 0 {
                shared.changed.notify_all();
            }
            taken < wanted
        };
        shared.changed_async.notify_waiters();
        // The sender may wait for these.
        shared.wake_sender.notify_one();
        shared.events.tell(EventKind::Spilled, taken as u64, "");
        match error {
            Some(error) => shared.events.tell(EventKind::SpillFailed, 1, Chain(&error).to_string()),
            None if blocked => shared.events.tell(EventKind::SpillFull, 1, ""),
            None => {}
        }
        if blocked {
            let pause = tokio::time::sleep(DISK_PAUSE);
            tokio::pin!(pause);
            // Woken early by the end only; records come all the time.
            while !shared.queue().sender_leaves && !pause.is_elapsed() {
                tokio::select! {
                    () = &mut pause => {}
                    () = shared.wake_spiller.notified() => {}
                }
            }
        }
    }
}

/// Puts what is left in memory on disk, for the next client that opens the directory.
pub(super) async fn put_away(shared: &Arc<Shared>, disk: &Disk) {
    let left: Vec<Left> = shared.queue().take_to_put_away();
    if left.is_empty() {
        return;
    }
    let parts = left.iter().map(|part| (part.chunk.clone(), part.from)).collect();
    let counting = shared.clone();
    let (taken, error) = disk.append(parts, move |taken| counting.queue().put_away(taken)).await;
    shared.events.tell(EventKind::Spilled, taken as u64, "at the end");
    if let Some(error) = error {
        shared.events.tell(EventKind::SpillFailed, 1, Chain(&error).to_string());
    }
}
