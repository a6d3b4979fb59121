//! An HTTP/1.1 connection that its user drives.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::body::Body;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper::rt::{Read, Write};

/// The part of a connection that moves bytes when it is polled. Nobody drives it in between, and
/// dropping it closes the connection.
pub struct Link<T, B>(Option<Connection<T, B>>)
where
    T: Read + Write,
    B: Body + 'static;

impl<T, B> Link<T, B>
where
    T: Read + Write + Unpin,
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// What a handshake has brought.
    pub fn new(connection: Connection<T, B>) -> Self {
        Self(Some(connection))
    }

    /// Moves what can be moved now.
    pub fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && Pin::new(connection).poll(cx).is_ready()
        {
            // Whatever ended it reaches the request by its own future.
            self.0 = None;
        }
    }

    /// Whether it has not ended, as far as the last poll showed.
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Moves bytes until `future` is done.
    pub async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }
}

impl<T: Read + Write, B: Body + 'static> std::fmt::Debug for Link<T, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("open", &self.0.is_some()).finish()
    }
}

/// Whether a connection can carry another request, as far as can be told without sending one: that
/// the other side has closed an idle connection is noticed here.
pub async fn is_alive<T, B>(link: &mut Link<T, B>, sender: &mut SendRequest<B>) -> bool
where
    T: Read + Write + Unpin,
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    poll_fn(|cx| {
        link.poll(cx);
        let ready = matches!(sender.poll_ready(cx), Poll::Ready(Ok(())));
        Poll::Ready(ready && link.is_open())
    })
    .await
}
