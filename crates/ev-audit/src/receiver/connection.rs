//! Reads one connection to its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::faults::{CutAt, Faults, Side};
use super::judge::{Judge, number};
use super::shared::{Shared, State};
use super::stream::Stream;
use crate::wire::{decode_frame, frame_len};

/// Bytes of one read.
const ROOM: usize = 64 << 10;

/// What the owner of a receiver wants of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// End it, with a reset or without.
    Cut { reset: bool },
    /// Close one side of it.
    HalfClose(Side),
}

/// How a connection ended.
enum End {
    /// The sender ended it.
    Peer,
    Failed,
    /// The receiver ended it.
    Cut {
        reset: bool,
    },
    /// The receiver stopped.
    Stopped,
}

pub(super) struct Connection {
    shared: Arc<Shared>,
    stream: Stream,
    faults: watch::Receiver<Faults>,
    stop: watch::Receiver<bool>,
    orders: mpsc::Receiver<Order>,
    judge: Judge,
    /// Bytes of frames that are not whole yet.
    held: Vec<u8>,
    /// Where the bytes that are held start.
    offset: u64,
    /// Whether frames can still be told from one another.
    is_framed: bool,
    is_half_closed: bool,
    /// Sides that were closed and are not in the tally yet.
    untold: u64,
}

impl Connection {
    pub(super) fn new(
        shared: Arc<Shared>,
        number: u64,
        stream: Stream,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        Self {
            faults: shared.faults.subscribe(),
            stop: shared.stop.subscribe(),
            judge: Judge::new(number, stream.kind()),
            shared,
            stream,
            orders,
            held: Vec::new(),
            offset: 0,
            is_framed: true,
            is_half_closed: false,
            untold: 0,
        }
    }

    pub(super) async fn serve(mut self) {
        let end = self.read_all().await;
        let Self { shared, stream, held, .. } = self;
        let held = u64::try_from(held.len()).unwrap_or_default();
        // Closed before that is told: who waits for it finds it so. An error changes nothing here,
        // the stream is gone either way.
        match end {
            End::Cut { reset } => drop(stream.end(reset)),
            _ => drop(stream),
        }
        shared.update(|state| {
            let tally = &mut state.tally;
            tally.open -= 1;
            match end {
                End::Peer => tally.peer_closed += 1,
                End::Failed => tally.peer_errors += 1,
                End::Cut { .. } => tally.cut += 1,
                End::Stopped => {}
            }
            match end {
                End::Cut { .. } | End::Stopped => tally.discarded_bytes += held,
                End::Peer | End::Failed => tally.truncated += u64::from(held > 0),
            }
        });
    }

    async fn read_all(&mut self) -> End {
        let mut room = vec![0; ROOM];
        loop {
            let faults = self.faults.borrow_and_update().clone();
            // A fault may be due already, without a byte.
            let end = self.due_at_byte(&faults).or_else(|| self.due(&faults, self.held.len()));
            let untold = std::mem::take(&mut self.untold);
            if untold > 0 {
                self.shared.update(|state| state.tally.half_closed += untold);
            }
            if let Some(end) = end {
                return end;
            }
            let most = self.most(&faults);
            let room = &mut room[..most];
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return End::Stopped,
                order = self.orders.recv() => match order {
                    Some(Order::Cut { reset }) => return End::Cut { reset },
                    Some(Order::HalfClose(side)) => self.half_close(side),
                    None => return End::Stopped,
                },
                Ok(()) = self.faults.changed() => {}
                read = read(&mut self.stream, &faults, room) => match read {
                    Ok(0) => return End::Peer,
                    Err(_) => return End::Failed,
                    Ok(count) => {
                        if let Some(end) = self.take(&room[..count], &faults) {
                            return end;
                        }
                    }
                },
            }
        }
    }

    /// Bytes of the connection that were read.
    fn bytes_read(&self) -> u64 {
        self.offset + u64::try_from(self.held.len()).unwrap_or_default()
    }

    /// How many bytes may be read at once: none behind a cut that is due at a byte.
    fn most(&self, faults: &Faults) -> usize {
        let most = if faults.chunk == 0 { ROOM } else { faults.chunk.min(ROOM) };
        let Some(CutAt::Bytes(end)) = faults.cut.map(|cut| cut.at) else { return most };
        // Where it is due and does not happen, it has happened often enough.
        match usize::try_from(end.saturating_sub(self.bytes_read())) {
            Ok(0) | Err(_) => most,
            Ok(left) => most.min(left),
        }
    }

    /// What happens in front of the next frame, of which so many bytes are held.
    fn due(&mut self, faults: &Faults, held: usize) -> Option<End> {
        let records = self.judge.records();
        if let Some(half) = faults.half_close
            && !self.is_half_closed
            && records >= half.records
            && self.shared.take_fault(|faults| Some(&mut faults.half_close.as_mut()?.times))
        {
            self.half_close(half.side);
        }
        let is_due = match faults.cut?.at {
            CutAt::Records(behind) => records >= behind,
            CutAt::MidFrame { records: behind, bytes } => records >= behind && held >= bytes,
            CutAt::Bytes(_) => false,
        };
        if is_due { self.cut(faults) } else { None }
    }

    /// The cut at a byte, once the frames in front of it were judged.
    fn due_at_byte(&self, faults: &Faults) -> Option<End> {
        match faults.cut?.at {
            CutAt::Bytes(end) if self.bytes_read() >= end => self.cut(faults),
            _ => None,
        }
    }

    /// The cut that is due, when it has not happened often enough.
    fn cut(&self, faults: &Faults) -> Option<End> {
        let cut = faults.cut?;
        let takes = self.shared.take_fault(|faults| Some(&mut faults.cut.as_mut()?.times));
        takes.then_some(End::Cut { reset: cut.reset })
    }

    fn half_close(&mut self, side: Side) {
        self.is_half_closed = true;
        // What is closed already cannot be closed once more, and need not.
        self.untold += u64::from(self.stream.half_close(side).is_ok());
    }

    /// Takes bytes and judges the frames that are whole.
    fn take(&mut self, bytes: &[u8], faults: &Faults) -> Option<End> {
        let shared = Arc::clone(&self.shared);
        let count = u64::try_from(bytes.len()).unwrap_or_default();
        if shared.drains || !self.is_framed {
            self.offset += count;
            shared.update(|state| {
                state.tally.bytes += count;
                state.tally.discarded_bytes += if self.is_framed { 0 } else { count };
            });
            return None;
        }
        self.held.extend_from_slice(bytes);
        let (taken, end) = shared.update(|state| {
            state.tally.bytes += count;
            let mut taken = 0;
            while let Some(len) = self.frame(taken, state) {
                taken += len;
                // Faults fall between frames.
                let end = self.due(faults, self.held.len() - taken);
                if end.is_some() {
                    return (taken, end);
                }
            }
            (taken, None)
        });
        self.held.drain(..taken);
        self.offset += u64::try_from(taken).unwrap_or_default();
        end
    }

    /// Judges the frame at this place of the bytes that are held: its length when it is whole.
    fn frame(&mut self, at: usize, state: &mut State) -> Option<usize> {
        let checks = &self.shared.checks;
        let most = checks.max_frame_bytes;
        let bytes = &self.held[at..];
        if bytes.is_empty() {
            return None;
        }
        let offset = self.offset + u64::try_from(at).unwrap_or_default();
        let error = match decode_frame(bytes, most) {
            Ok(None) => return None,
            Ok(Some(decoded)) => {
                let len = decoded.len;
                let received = self.judge.frame(offset, decoded, checks, &mut state.tally);
                for it in &received {
                    if let Some(number) = number(&it.message, &checks.sequence_key) {
                        state.numbers.add(number, &mut state.tally);
                    }
                }
                self.shared.keep(state, received);
                return Some(len);
            }
            Err(error) => error,
        };
        let len = if error.is_skippable() { frame_len(bytes, most) } else { Err(error.clone()) };
        match len {
            Ok(None) => None,
            Ok(Some(len)) => {
                self.judge.unreadable(offset, &error, &mut state.tally);
                Some(len)
            }
            Err(lost) => {
                self.judge.unreadable(offset, &lost, &mut state.tally);
                state.tally.discarded_bytes += u64::try_from(bytes.len()).unwrap_or_default();
                self.is_framed = false;
                Some(bytes.len())
            }
        }
    }
}

/// Ends when everything does.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever could say so being gone, it is over as well.
    drop(stop.wait_for(|stops| *stops).await);
}

/// Reads when the faults allow it; nothing is lost when it is dropped.
async fn read(stream: &mut Stream, faults: &Faults, room: &mut [u8]) -> io::Result<usize> {
    if faults.stalled {
        std::future::pending::<()>().await;
    }
    if faults.delay > Duration::ZERO {
        tokio::time::sleep(faults.delay).await;
    }
    stream.read(room).await
}
