//! One connection: bytes go out, and its end is noticed whether or not any do.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::Instant;

use crate::model::ConnectionType;
use crate::transport::{Connected, Stream};

/// What an agent may say before the watch gives the rest of the runtime a turn. Agents say
/// nothing; whatever one says is thrown away.
const READS_IN_A_ROW: usize = 16;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("audit agent closed the connection")]
    Ended,
    #[error("connection to audit agent failed: {0}")]
    Failed(#[from] io::Error),
    #[error("audit agent took nothing within the write deadline")]
    Stalled,
}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    pub(super) destination: ConnectionType,
    pub(super) peer: String,
    /// An end of what the agent sends is no end of the connection.
    tolerate_half_close: bool,
    read_ended: bool,
    /// Bytes taken.
    pub(super) bytes: u64,
    /// When the first record was written whole.
    pub(super) first_record: Option<Instant>,
}

impl Connection {
    pub(super) fn new(connected: Connected, tolerate_half_close: bool) -> Self {
        Self {
            stream: connected.stream,
            destination: connected.destination,
            peer: connected.peer,
            tolerate_half_close,
            read_ended: false,
            bytes: 0,
            first_record: None,
        }
    }

    /// Waits for the end of the connection.
    pub(super) async fn ended(&mut self) -> Lost {
        poll_fn(|cx| self.poll_ended(cx)).await
    }

    /// Writes some of `bytes`, and does not begin when the agent has already gone.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        let taken = poll_fn(|cx| {
            if let Poll::Ready(lost) = self.poll_ended(cx) {
                return Poll::Ready(Err(lost));
            }
            let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
            Poll::Ready(match taken {
                Ok(0) => Err(Lost::Failed(io::ErrorKind::WriteZero.into())),
                Ok(taken) => Ok(taken),
                Err(error) => Err(Lost::Failed(error)),
            })
        })
        .await?;
        self.bytes += taken as u64;
        Ok(taken)
    }

    /// Waits until what was written has left the stream's own buffers, if it has any.
    pub(super) async fn flush(&mut self) -> Result<(), Lost> {
        poll_fn(|cx| {
            // What is out is out, even if the agent closes its side in the same moment.
            if let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx) {
                return Poll::Ready(flushed.map_err(Lost::Failed));
            }
            self.poll_ended(cx).map(Err)
        })
        .await
    }

    /// Waits whether the agent reads what it got or breaks the connection: watches it for `quiet`,
    /// then tells that no more comes, and waits for the agent's own end for `limit` at most. An
    /// agent that stays is taken for one that reads.
    pub(super) async fn part(&mut self, quiet: Duration, limit: Duration) -> Result<(), Lost> {
        if let Ok(lost) = tokio::time::timeout(quiet, self.ended()).await {
            return Err(lost);
        }
        let end = async {
            self.stream.shutdown().await?;
            match self.ended().await {
                // Few say good-bye in TLS.
                Lost::Failed(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    Err(Lost::Failed(error))
                }
                _ => Ok(()),
            }
        };
        tokio::time::timeout(limit, end).await.unwrap_or(Ok(()))
    }

    /// Says good-bye, for `limit` at most.
    pub(super) async fn shut_down(mut self, limit: Duration) {
        // A peer that is gone already, or does not answer, has missed nothing.
        drop(tokio::time::timeout(limit, self.stream.shutdown()).await);
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Lost> {
        if self.read_ended {
            return Poll::Pending;
        }
        let mut thrown_away = [0; 512];
        for _ in 0..READS_IN_A_ROW {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Err(error) => return Poll::Ready(Lost::Failed(error)),
                Ok(()) if buffer.filled().is_empty() && self.tolerate_half_close => {
                    self.read_ended = true;
                    return Poll::Pending;
                }
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Lost::Ended),
                Ok(()) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
