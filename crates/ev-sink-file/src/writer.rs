//! The one write that is under way, which may take longer than its caller waits: a network file
//! system that is away, a pipe that nobody reads, a lock that another process holds.

use std::collections::VecDeque;

use ev_core::{Batch, Verdict};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};

/// Batches remembered that were written when nobody waited for them any more. There is at most one
/// for each route that the engine keeps for another try.
const MOST_WRITTEN: usize = 16;

/// Carries out one write after the other, each to its end.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    /// What was written and not yet asked for.
    written: VecDeque<Batch>,
}

#[derive(Debug)]
struct Running {
    batch: Batch,
    task: JoinHandle<Verdict>,
}

impl Writer {
    /// The verdict on a batch. It may be dropped at any time: what has begun goes on, and whoever
    /// brings the same batch again gets its verdict instead of a second write.
    pub(crate) async fn carry_out(
        &self,
        batch: &Batch,
        write: impl FnOnce() -> Verdict + Send + 'static,
    ) -> Verdict {
        let mut state = self.state.lock().await;
        if let Some((before, verdict)) = state.finish().await {
            if is_same(&before, batch) {
                return verdict;
            }
            if verdict == Verdict::Delivered {
                state.written.push_back(before);
            }
            if state.written.len() > MOST_WRITTEN {
                state.written.pop_front();
            }
        }
        if let Some(at) = state.written.iter().position(|written| is_same(written, batch)) {
            state.written.remove(at);
            return Verdict::Delivered;
        }
        // Its bytes are shared; what is copied is where the entries stand.
        state.running = Some(Running { batch: batch.clone(), task: spawn_blocking(write) });
        match state.finish().await {
            Some((_, verdict)) => verdict,
            None => Verdict::Unknown { detail: "writing was ended".to_owned() },
        }
    }
}

impl State {
    /// Waits for what is under way, and takes it out. May be dropped.
    async fn finish(&mut self) -> Option<(Batch, Verdict)> {
        let verdict = (&mut self.running.as_mut()?.task).await.unwrap_or_else(|error| {
            Verdict::Unknown { detail: format!("writing was ended: {error}") }
        });
        self.running.take().map(|running| (running.batch, verdict))
    }
}

/// Whether it is the same batch, tried again. Numbers begin anew with each engine, so the events
/// have to be the same too.
fn is_same(one: &Batch, other: &Batch) -> bool {
    let Batch { id, route, body, entries } = one;
    *id == other.id && *route == other.route && *entries == other.entries && *body == other.body
}
