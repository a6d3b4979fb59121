//! What every [`Sink`] must do.
//!
//! What an answer of the receiver means differs from sink to sink and is each implementation's own
//! to test; these checks need a receiver that takes everything or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;

use crate::{Batch, BatchId, BoxFuture, Entry, Framing, Route, SessionId, Sink, Span, Verdict};

/// The far end of a sink, as a test sees it.
pub trait Receiver {
    /// Every JSON object stored for a route so far, in order of arrival, repeats included.
    fn stored(&self, route: &Route) -> Vec<Bytes>;

    /// From now on take everything (`true`), or refuse everything and store nothing (`false`).
    fn accept(&self, everything: bool);
}

/// Runs every check, one after the other, on one sink. The receiver must start empty; the sink may
/// need any asynchronous runtime.
///
/// # Panics
///
/// When a promise of [`Sink`] is broken, naming it.
pub async fn contract(sink: &dyn Sink, receiver: &dyn Receiver) {
    the_shape_makes_sense(sink);
    what_is_delivered_is_stored(sink, receiver).await;
    a_batch_may_have_holes(sink, receiver).await;
    a_session_has_its_own_place(sink, receiver).await;
    a_large_event_goes_alone(sink, receiver).await;
    what_is_refused_is_not_delivered(sink, receiver).await;
    a_full_house_is_served(sink, receiver).await;
    a_dropped_attempt_leaves_the_sink_usable(sink, receiver).await;
    probing_stores_nothing(sink, receiver).await;
}

/// A batch of these JSON objects, with tickets counted from 0.
pub fn batch(id: u64, route: Route, events: &[&str]) -> Batch {
    let mut body = Vec::new();
    let mut entries = Vec::new();
    for (event, ticket) in events.iter().zip(0..) {
        let start = body.len();
        body.extend_from_slice(event.as_bytes());
        entries.push(Entry { json: Span::new(start, body.len()), ticket });
        body.push(b',');
    }
    Batch { id: BatchId(id), route, body: body.into(), entries }
}

/// Batches of `count` events in all, as many in each as the sink takes, all events different.
pub fn batches(sink: &dyn Sink, route: &Route, prefix: &str, count: usize) -> Vec<Batch> {
    let events: Vec<String> = (0..count)
        .map(|n| format!(r#"{{"uid":"{prefix}-{n}","text":"] }},{{ \u0000 ü"}}"#))
        .collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let full = events.chunks(sink.shape().max_events.min(3));
    full.zip(0..).map(|(events, id)| batch(id, route.clone(), events)).collect()
}

fn session(name: &str) -> Route {
    Route::Session(SessionId::try_new(name.as_bytes()).expect("a valid id"))
}

/// The JSON objects of a batch.
fn objects(batch: &Batch) -> Vec<Bytes> {
    let object = |entry: &Entry| batch.body.slice_ref(entry.json.of(&batch.body));
    batch.entries.iter().map(object).collect()
}

/// Sends, and checks that what comes back is what went in.
async fn send(sink: &dyn Sink, batch: Batch) -> Verdict {
    let (returned, verdict) = sink.send(batch.clone()).await;
    assert_untouched(&batch, &returned);
    verdict
}

fn assert_untouched(sent: &Batch, returned: &Batch) {
    assert_eq!(sent.id, returned.id, "the batch comes back as it was: its id");
    assert_eq!(sent.route, returned.route, "the batch comes back as it was: its route");
    assert_eq!(sent.entries, returned.entries, "the batch comes back as it was: its entries");
    assert_eq!(
        sent.body.as_ptr(),
        returned.body.as_ptr(),
        "the batch comes back as it was: its body, without a copy"
    );
    assert_eq!(sent.body.len(), returned.body.len(), "the batch comes back as it was: its body");
}

fn counts(objects: impl IntoIterator<Item = Bytes>) -> BTreeMap<Bytes, usize> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(object).or_default() += 1;
    }
    counts
}

fn the_shape_makes_sense(sink: &dyn Sink) {
    let shape = sink.shape();
    assert!(shape.max_events >= 1, "a batch holds at least one event");
    assert!(shape.max_bytes >= 1, "a batch holds at least one byte");
    assert!(shape.max_in_flight >= 1, "at least one batch is under way");
    if shape.framing == Framing::Single {
        assert_eq!(shape.max_events, 1, "single framing means one event a batch");
    }
    assert_eq!(shape, sink.shape(), "the shape does not change by itself");
}

async fn what_is_delivered_is_stored(sink: &dyn Sink, receiver: &dyn Receiver) {
    let mut expected = receiver.stored(&Route::Audit);
    for batch in batches(sink, &Route::Audit, "delivered", 10) {
        expected.extend(objects(&batch));
        let verdict = send(sink, batch).await;
        assert_eq!(verdict, Verdict::Delivered, "a healthy receiver acknowledges");
        // Checked after every batch: acknowledged means stored, now.
        assert_eq!(receiver.stored(&Route::Audit), expected, "stored byte by byte, in order");
    }
}

async fn a_batch_may_have_holes(sink: &dyn Sink, receiver: &dyn Receiver) {
    if sink.shape().max_events < 2 {
        return;
    }
    let mut whole = batch(0, Route::Audit, &[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#]);
    whole.entries.remove(1);
    let mut expected = receiver.stored(&Route::Audit);
    expected.extend(objects(&whole));
    assert_eq!(send(sink, whole).await, Verdict::Delivered);
    assert_eq!(receiver.stored(&Route::Audit), expected, "only the entries of a batch are sent");
}

async fn a_session_has_its_own_place(sink: &dyn Sink, receiver: &dyn Receiver) {
    let (one, other) = (session("0d5b0a3c-one"), session("0d5b0a3c-other"));
    let audit = receiver.stored(&Route::Audit);
    for batch in batches(sink, &one, "session", 2) {
        assert_eq!(send(sink, batch).await, Verdict::Delivered);
    }
    assert_eq!(receiver.stored(&one).len(), 2, "a recording's events are stored in its place");
    assert_eq!(receiver.stored(&other), Vec::<Bytes>::new(), "and in no other recording's");
    assert_eq!(receiver.stored(&Route::Audit), audit, "and not among the audit events");
}

async fn a_large_event_goes_alone(sink: &dyn Sink, receiver: &dyn Receiver) {
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(sink.shape().max_bytes + 1));
    let verdict = send(sink, batch(0, Route::Audit, &[&large])).await;
    assert_eq!(verdict, Verdict::Delivered, "an event above the bound still goes, alone");
    let stored = receiver.stored(&Route::Audit);
    assert_eq!(stored.last().map(Bytes::len), Some(large.len()));
}

async fn what_is_refused_is_not_delivered(sink: &dyn Sink, receiver: &dyn Receiver) {
    let before = receiver.stored(&Route::Audit);
    receiver.accept(false);
    for batch in batches(sink, &Route::Audit, "refused", 4) {
        let verdict = send(sink, batch).await;
        assert_ne!(verdict, Verdict::Delivered, "delivered means that the receiver took it");
    }
    assert_eq!(receiver.stored(&Route::Audit), before);
    receiver.accept(true);
    let [batch, ..] = &batches(sink, &Route::Audit, "again", 1)[..] else { unreachable!() };
    assert_eq!(send(sink, batch.clone()).await, Verdict::Delivered, "a later attempt may succeed");
    assert_eq!(receiver.stored(&Route::Audit).len(), before.len() + 1);
}

async fn a_full_house_is_served(sink: &dyn Sink, receiver: &dyn Receiver) {
    // Twice what may be under way: a sink makes the rest wait, or serves it, but loses nothing.
    let shape = sink.shape();
    let events = shape.max_in_flight.min(64) * 2 * shape.max_events.min(3);
    let route = session("0d5b0a3c-crowd");
    let all = batches(sink, &route, "crowd", events);
    let expected = counts(all.iter().flat_map(objects));
    let results = join_all(all.iter().map(|batch| sink.send(batch.clone())).collect()).await;
    for (sent, (returned, verdict)) in all.iter().zip(&results) {
        assert_untouched(sent, returned);
        assert_eq!(*verdict, Verdict::Delivered, "batches under way do not disturb each other");
    }
    assert_eq!(counts(receiver.stored(&route)), expected, "each is stored exactly once");
}

async fn a_dropped_attempt_leaves_the_sink_usable(sink: &dyn Sink, receiver: &dyn Receiver) {
    let route = session("0d5b0a3c-dropped");
    // After each number of polls once, so that different stages of an attempt are cut off. More
    // rounds than may be under way show that nothing is used up.
    let rounds = sink.shape().max_in_flight.min(64) * 2 + 4;
    let mut allowed = BTreeSet::new();
    for round in 0..rounds {
        let [batch, ..] = &batches(sink, &route, &format!("dropped-{round}"), 1)[..] else {
            unreachable!()
        };
        allowed.extend(objects(batch));
        let mut attempt = sink.send(batch.clone());
        let mut polls = round % 8;
        poll_fn(|cx| {
            if polls == 0 || attempt.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            polls -= 1;
            Poll::Pending
        })
        .await;
        drop(attempt);
    }
    let kept = batches(sink, &route, "kept", 4);
    for batch in &kept {
        let verdict = send(sink, batch.clone()).await;
        assert_eq!(verdict, Verdict::Delivered, "a dropped attempt leaves the sink usable");
    }
    let stored = receiver.stored(&route);
    let kept: BTreeSet<Bytes> = kept.iter().flat_map(objects).collect();
    for event in &kept {
        let times = stored.iter().filter(|stored| *stored == event).count();
        assert_eq!(times, 1, "what was sent after a dropped attempt is stored once");
    }
    for event in stored {
        let known = allowed.contains(&event) || kept.contains(&event);
        assert!(known, "a dropped attempt is stored whole or not at all");
    }
}

async fn probing_stores_nothing(sink: &dyn Sink, receiver: &dyn Receiver) {
    let before = receiver.stored(&Route::Audit);
    if let Err(error) = sink.probe().await {
        panic!("a healthy receiver can be reached: {error}");
    }
    assert_eq!(receiver.stored(&Route::Audit), before, "a probe sends no event");
}

/// All outputs, in order; all futures make progress together.
async fn join_all<T>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut outputs: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut all = pin!(poll_fn(|cx| {
        let mut waiting = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(done) => *output = Some(done),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    }));
    all.as_mut().await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};
    use std::task::{Context, Waker};

    use super::*;
    use crate::{Ordering, Shape, SinkError};

    /// A sink that is its own receiver, and can be made to lie.
    #[derive(Default)]
    struct Memory {
        stored: Mutex<Vec<(Route, Bytes)>>,
        refusing: Mutex<bool>,
        lies: bool,
    }

    impl Sink for Memory {
        fn shape(&self) -> Shape {
            Shape {
                framing: Framing::Array,
                max_events: 3,
                max_bytes: 1000,
                max_in_flight: 2,
                ordering: Ordering::PerRoute,
            }
        }

        fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
            Box::pin(async move {
                if *self.refusing.lock().unwrap_or_else(PoisonError::into_inner) {
                    let detail = "refused".to_owned();
                    let honest = Verdict::Refused { detail };
                    return (batch, if self.lies { Verdict::Delivered } else { honest });
                }
                let objects = objects(&batch).into_iter().map(|o| (batch.route.clone(), o));
                self.stored.lock().unwrap_or_else(PoisonError::into_inner).extend(objects);
                (batch, Verdict::Delivered)
            })
        }

        fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
            Box::pin(async { Ok(()) })
        }
    }

    impl Receiver for Memory {
        fn stored(&self, route: &Route) -> Vec<Bytes> {
            let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
            stored.iter().filter(|(r, _)| r == route).map(|(_, object)| object.clone()).collect()
        }

        fn accept(&self, everything: bool) {
            *self.refusing.lock().unwrap_or_else(PoisonError::into_inner) = !everything;
        }
    }

    fn run(sink: &Memory) {
        let mut contract = pin!(contract(sink, sink));
        // Nothing in it waits for anything but its own wake-ups.
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            if contract.as_mut().poll(&mut cx).is_ready() {
                return;
            }
        }
        panic!("the contract does not end");
    }

    #[test]
    fn an_honest_sink_passes() {
        run(&Memory::default());
    }

    #[test]
    #[should_panic(expected = "delivered means that the receiver took it")]
    fn a_lying_sink_fails() {
        run(&Memory { lies: true, ..Memory::default() });
    }
}
