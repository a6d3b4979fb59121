//! HTTP/2 over a stream, and the first Ping over it.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{Survey, within};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tonic::Status;

use super::Dialler;
use super::error::DialError;
use crate::connection::Connection;
use crate::rpc::{self, Trouble};
use ev_dial::BoxStream;

/// HTTP/2 pings go out this often, also without calls; as the official client.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Without any answer to them for this long the connection is dead; as the official client.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(180);
/// How long a connection that fails a call may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What one stream may hold unread: a page of Auth's usual limit of 1 MiB.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// What else may come at the same time: a page, a Ping, an artifact, a lock.
const OTHER_STREAMS: u32 = 4;

impl Dialler {
    pub(super) async fn http2(
        &self,
        id: u64,
        stream: BoxStream,
    ) -> Result<(Arc<Connection>, Survey), DialError> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            // A stream that nobody reads for lack of credit fills its window. All of them together
            // must leave room for other answers, or these would wait for ever.
            .initial_connection_window_size(self.connection_window());
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(DialError::Http2)?;
        let max = self.config.max_message_bytes;
        let mut connection = Connection::new(id, sender, connection, max);
        let survey = match rpc::ping(&connection).await {
            Ok(survey) => survey,
            Err(status) => return Err(self.ping_failed(&connection, status).await),
        };
        connection.speak(survey.version.as_str());
        Ok((Arc::new(connection), survey))
    }

    /// In TLS 1.3 a client believes the handshake done before the server has looked at its
    /// certificate, so that a refusal comes here, and the connection knows more than the call.
    async fn ping_failed(&self, connection: &Connection, status: Status) -> DialError {
        if Trouble::of(&status) == Trouble::Connection {
            within(&*self.env, LAST_WORDS, connection.closed()).await;
            if let Some(cause) = connection.take_cause() {
                return DialError::Broken(cause);
            }
        }
        DialError::Ping(status)
    }

    fn connection_window(&self) -> u32 {
        let streams = u32::try_from(self.config.streams_at_once()).unwrap_or(u32::MAX);
        let streams = streams.saturating_add(OTHER_STREAMS);
        // The protocol's limit is 2^31 - 1.
        STREAM_WINDOW.saturating_mul(streams).min(i32::MAX.unsigned_abs())
    }
}
