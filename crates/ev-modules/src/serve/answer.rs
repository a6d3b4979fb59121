//! An answer: a stream of messages, and the task that reads the artifact for it.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ev_core::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tonic::codegen::tokio_stream::Stream;
use tracing::warn;

use super::message;
use super::places::Place;
use crate::generated::ev::decoder::v1::GetArtifactResponse;
use crate::generated::ev::decoder::v1::get_artifact_response::Part;

/// Largest chunk: the most that the interface allows.
const CHUNK_BYTES: usize = 64 * 1024;

/// The messages of an answer, in order.
pub(super) struct Answer {
    first: Option<Part>,
    feed: Option<Feed>,
}

struct Feed {
    chunks: mpsc::Receiver<Bytes>,
    /// Ends the answer: with a status when not all of it could be sent.
    task: AbortOnDropHandle<Result<(), Status>>,
}

impl Answer {
    /// An answer of one message.
    pub(super) fn only(part: Part) -> Self {
        Self { first: Some(part), feed: None }
    }

    /// A header and the chunks of `size` bytes of what is read. `place` is given back with the
    /// last of them, or when the time is up; in either case not before the last read has ended.
    pub(super) fn with_chunks(
        header: Part,
        artifact: impl Read + Send + 'static,
        size: u64,
        place: Place,
        time_up: BoxFuture<'static, ()>,
    ) -> Self {
        // Room for one, so that what a client does not take stays on the disk.
        let (out, chunks) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                ended = feed(artifact, size, &out, place) => ended,
                () = time_up => {
                    Err(Status::deadline_exceeded("the answer was not taken in time"))
                }
            }
        });
        let feed = Feed { chunks, task: AbortOnDropHandle::new(task) };
        Self { first: Some(header), feed: Some(feed) }
    }
}

impl Stream for Answer {
    type Item = Result<GetArtifactResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(part) = self.first.take() {
            return Poll::Ready(Some(Ok(message(part))));
        }
        let Some(feed) = &mut self.feed else { return Poll::Ready(None) };
        if let Some(chunk) = ready!(feed.chunks.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(message(Part::Chunk(chunk)))));
        }
        let ended = ready!(Pin::new(&mut feed.task).poll(cx));
        self.feed = None;
        Poll::Ready(match ended {
            Ok(Ok(())) => None,
            Ok(Err(status)) => Some(Err(status)),
            Err(error) => {
                warn!(%error, "decoder artifact not served");
                Some(Err(Status::internal("reading the artifact failed")))
            }
        })
    }
}

/// Hands over the artifact, chunk by chunk, and waits until all of it is taken.
async fn feed(
    mut artifact: impl Read + Send + 'static,
    size: u64,
    out: &mpsc::Sender<Bytes>,
    mut place: Place,
) -> Result<(), Status> {
    let mut left = size;
    while left > 0 {
        // Only then is there a use for the next chunk.
        let Ok(room) = out.reserve().await else { return Ok(()) };
        let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        // The place goes with the work: when the answer is given up, a read that hangs is not.
        let read = tokio::task::spawn_blocking(move || {
            let chunk = read_chunk(&mut artifact, wanted);
            (artifact, place, chunk)
        });
        let chunk;
        (artifact, place, chunk) = read.await.map_err(|error| {
            warn!(%error, "decoder artifact not served");
            Status::internal("reading the artifact failed")
        })?;
        let chunk = chunk.map_err(|error| {
            warn!(%error, "decoder artifact cannot be read to its end");
            Status::unavailable("the artifact cannot be read to its end")
        })?;
        left -= chunk.len() as u64;
        room.send(chunk);
    }
    // The place is given back when the client has taken the last chunk, not when it was read.
    let ended = out.reserve().await;
    drop(place);
    match ended {
        Ok(_) | Err(mpsc::error::SendError(())) => Ok(()),
    }
}

/// Exactly so many bytes: a file that has become shorter is an error, and what was put behind its
/// end since is left out.
fn read_chunk(artifact: &mut impl Read, wanted: usize) -> io::Result<Bytes> {
    let mut chunk = vec![0; wanted];
    artifact.read_exact(&mut chunk)?;
    Ok(chunk.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::StreamExt as _;
    use tonic::Code;

    use super::super::ServeLimits;
    use super::super::places::Places;
    use super::*;
    use crate::generated::ev::decoder::v1::NotModified;

    /// Endless zeros, counted.
    struct Zeros(Arc<AtomicUsize>);

    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(0);
            self.0.fetch_add(buffer.len(), Ordering::SeqCst);
            Ok(buffer.len())
        }
    }

    fn header() -> Part {
        Part::NotModified(NotModified {})
    }

    fn minute() -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_secs(60)))
    }

    fn one_place() -> Places {
        Places::new(&ServeLimits { answers: 1, ..ServeLimits::default() })
    }

    struct Table {
        places: Places,
        read: Arc<AtomicUsize>,
    }

    impl Table {
        fn new() -> Self {
            Self { places: one_place(), read: Arc::default() }
        }

        fn answer(&self, size: usize) -> Answer {
            let place = self.places.take(None).unwrap();
            let artifact = Zeros(Arc::clone(&self.read));
            Answer::with_chunks(header(), artifact, size as u64, place, minute())
        }
    }

    /// Lengths of the chunks behind the header, and how the answer ended.
    async fn lengths(mut answer: Answer) -> (Vec<usize>, Option<Code>) {
        let first = answer.next().await.unwrap().unwrap();
        assert_eq!(first.part, Some(header()));
        let mut lengths = Vec::new();
        while let Some(message) = answer.next().await {
            match message {
                Ok(GetArtifactResponse { part: Some(Part::Chunk(chunk)) }) => {
                    lengths.push(chunk.len());
                }
                Ok(other) => panic!("{other:?}"),
                Err(status) => return (lengths, Some(status.code())),
            }
        }
        (lengths, None)
    }

    #[tokio::test(start_paused = true)]
    async fn chunks_are_as_large_as_allowed_and_never_empty() {
        let check = async |size: usize, expected: &[usize]| {
            assert_eq!(lengths(Table::new().answer(size)).await, (expected.to_vec(), None));
        };
        check(0, &[]).await;
        check(1, &[1]).await;
        check(CHUNK_BYTES, &[CHUNK_BYTES]).await;
        check(2 * CHUNK_BYTES + 5, &[CHUNK_BYTES, CHUNK_BYTES, 5]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_holds_one_chunk_and_its_place_for_a_time() {
        let table = Table::new();
        let answer = table.answer(100 * CHUNK_BYTES);
        let begun = tokio::time::Instant::now();
        // The place is free when the time is up, although nobody has polled the answer.
        let place = table.places.free().acquire().await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(60));
        assert_eq!(table.read.load(Ordering::SeqCst), CHUNK_BYTES);
        drop(place);
        // What was read is still given, then the reason why it is not all.
        let told = lengths(answer).await;
        assert_eq!(told, (vec![CHUNK_BYTES], Some(Code::DeadlineExceeded)));
        assert_eq!(table.read.load(Ordering::SeqCst), CHUNK_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_artifact_that_is_not_taken_holds_its_place_as_well() {
        let table = Table::new();
        let answer = table.answer(10);
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert_eq!(table.places.free().available_permits(), 0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(table.places.free().available_permits(), 1);
        drop(answer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_gone_gives_its_place_back_at_once() {
        let table = Table::new();
        let begun = tokio::time::Instant::now();
        let mut answer = table.answer(100 * CHUNK_BYTES);
        answer.next().await.unwrap().unwrap();
        answer.next().await.unwrap().unwrap();
        drop(answer);
        drop(table.places.free().acquire().await.unwrap());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(table.read.load(Ordering::SeqCst) <= 3 * CHUNK_BYTES);
    }

    /// Tells that it is read, then hangs until it is let go.
    struct Hanging(mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);

    impl Read for Hanging {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.blocking_send(()).unwrap();
            self.1.recv().unwrap();
            buffer.fill(0);
            Ok(buffer.len())
        }
    }

    #[tokio::test]
    async fn a_read_that_hangs_holds_its_place_when_its_client_is_gone_and_when_the_time_is_up() {
        for gone in [true, false] {
            let places = one_place();
            let (reading, mut is_reading) = mpsc::channel(1);
            let (let_go, until) = std::sync::mpsc::sync_channel(1);
            let (end, time_up) = tokio::sync::oneshot::channel::<()>();
            let place = places.take(None).unwrap();
            let artifact = Hanging(reading, until);
            let time_up = Box::pin(async move { time_up.await.unwrap_or_default() });
            let mut answer =
                Answer::with_chunks(header(), artifact, CHUNK_BYTES as u64, place, time_up);
            assert!(answer.next().await.is_some(), "the header");
            is_reading.recv().await.unwrap();
            if gone {
                drop((answer, end));
                // Time for whatever would give the place back.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            } else {
                end.send(()).unwrap();
                let status = answer.next().await.unwrap().unwrap_err();
                assert_eq!(status.code(), Code::DeadlineExceeded);
            }
            assert_eq!(places.free().available_permits(), 0, "the thread is still at work");
            let_go.send(()).unwrap();
            drop(places.free().acquire().await.unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_taken_answer_gives_its_place_back_at_once() {
        let table = Table::new();
        let begun = tokio::time::Instant::now();
        for _ in 0..3 {
            lengths(table.answer(3 * CHUNK_BYTES)).await;
            drop(table.places.free().acquire().await.unwrap());
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_became_shorter_is_told() {
        let place = one_place().take(None).unwrap();
        let short = io::Cursor::new(vec![0; CHUNK_BYTES + 10]);
        let size = 2 * CHUNK_BYTES as u64;
        let answer = Answer::with_chunks(header(), short, size, place, minute());
        assert_eq!(lengths(answer).await, (vec![CHUNK_BYTES], Some(Code::Unavailable)));
    }
}
