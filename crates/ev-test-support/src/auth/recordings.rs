//! A recording that is being streamed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio_stream::Stream;
use tonic::{Code, Status};

use super::server::{Inner, Shared};
use super::store::Event;
use super::switches::DamagedRecording;
use crate::raw::RawMessage;

/// The events of a recording, and how they end. Counts as open while it lives, and as cancelled
/// when it is dropped in front of its end.
pub(super) struct RecordingStream {
    shared: Arc<Shared>,
    method: &'static str,
    events: std::vec::IntoIter<Result<Bytes, Status>>,
    /// What comes behind the last event.
    end: Option<Status>,
    sent: usize,
    over: bool,
    held: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl RecordingStream {
    /// Streams `events` of `session`, each as `bytes` of it.
    pub(super) fn new(
        shared: &Arc<Shared>,
        method: &'static str,
        session: &str,
        events: Vec<Event>,
        bytes: impl Fn(&Event) -> Result<Bytes, Status>,
    ) -> Self {
        let (take, end) = shared.change(|inner| {
            let tally = &mut inner.tally;
            tally.sessions_open += 1;
            tally.sessions_most_open = tally.sessions_most_open.max(tally.sessions_open);
            cut(inner, session, &events)
        });
        let events: Vec<_> = events.iter().take(take).map(bytes).collect();
        Self {
            shared: Arc::clone(shared),
            method,
            events: events.into_iter(),
            end,
            sent: 0,
            over: false,
            held: None,
        }
    }

    /// Waits while a switch holds recordings where this one stands.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sent = self.sent;
        let is_held = move |inner: &Inner| inner.switches.hold_sessions_after == Some(sent);
        if self.held.is_none() && is_held(&self.shared.lock()) {
            let shared = Arc::clone(&self.shared);
            self.held = Some(Box::pin(async move { shared.until(|inner| !is_held(inner)).await }));
        }
        if let Some(held) = &mut self.held {
            std::task::ready!(held.as_mut().poll(cx));
            self.held = None;
        }
        Poll::Ready(())
    }
}

impl Stream for RecordingStream {
    type Item = Result<RawMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        std::task::ready!(self.poll_held(cx));
        let item = match self.events.next() {
            Some(Ok(event)) => {
                self.sent += 1;
                self.shared.sent(self.method, 1);
                return Poll::Ready(Some(Ok(RawMessage(event))));
            }
            Some(Err(status)) => Some(status),
            None => self.end.take(),
        };
        // Behind an error nothing more is asked for.
        self.over = true;
        Poll::Ready(item.map(Err))
    }
}

impl Drop for RecordingStream {
    fn drop(&mut self) {
        let cancelled = !self.over;
        self.shared.change(|inner| {
            inner.tally.sessions_open -= 1;
            inner.tally.sessions_cancelled += u64::from(cancelled);
        });
    }
}

/// How many of these events are sent, and what comes behind them.
fn cut(inner: &mut Inner, session: &str, events: &[Event]) -> (usize, Option<Status>) {
    let switches = &mut inner.switches;
    let broken = switches.break_sessions_after.filter(|at| *at < events.len());
    let broken = broken.map(|at| (at, Status::unavailable("the recording broke off")));
    let damaged = switches.damaged_recordings.iter_mut().find_map(|damaged| {
        let DamagedRecording { session: of, at, count, code, message } = damaged;
        let is_this = (of.is_empty() || of == session) && *count != Some(0);
        let at = events.iter().position(|event| event.index >= *at).filter(|_| is_this)?;
        if let Some(count) = count {
            *count -= 1;
        }
        Some((at, Status::new(Code::from_i32(*code), message.clone())))
    });
    let first = broken.into_iter().chain(damaged).min_by_key(|(at, _)| *at);
    first.map_or((events.len(), None), |(at, status)| (at, Some(status)))
}
