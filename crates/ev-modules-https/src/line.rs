//! The requests of one call, over one connection as long as the server keeps it open.

use std::sync::Arc;

use bytes::Bytes;
use ev_core::Env;
use ev_tls::ClientTls;

use crate::address::Base;
use crate::answer::content;
use crate::config::Timeouts;
use crate::connection::Connection;

pub(crate) struct Line<'a> {
    base: &'a Base,
    tls: Option<&'a Arc<ClientTls>>,
    timeouts: &'a Timeouts,
    env: &'a dyn Env,
    open: Option<Connection>,
}

impl<'a> Line<'a> {
    /// Nothing is dialled yet.
    pub(crate) fn new(
        base: &'a Base,
        tls: Option<&'a Arc<ClientTls>>,
        timeouts: &'a Timeouts,
        env: &'a dyn Env,
    ) -> Self {
        Self { base, tls, timeouts, env, open: None }
    }

    /// A file below the base, of at most `max` bytes; `None` when it is not there.
    pub(crate) async fn get(
        &mut self,
        names: &[&str],
        max: usize,
    ) -> Result<Option<Bytes>, String> {
        let file = self.base.file(names)?;
        let failed = |what: String| format!("`{}`: {what}", file.shown);
        let (mut connection, fresh) = match self.open.take() {
            Some(connection) => (connection, false),
            None => (self.dial().await.map_err(failed)?, true),
        };
        let limit = self.timeouts.answer;
        let mut answer = connection.get(self.base, &file, max, limit, self.env).await;
        if answer.as_ref().is_err_and(|failure| failure.stale) && !fresh {
            // A server may close a connection after any answer; then it has not seen the request,
            // or has, which does not matter for one that only reads.
            connection = self.dial().await.map_err(failed)?;
            answer = connection.get(self.base, &file, max, limit, self.env).await;
        }
        let answer = answer.map_err(|failure| failed(failure.what))?;
        if connection.is_alive().await {
            self.open = Some(connection);
        }
        content(answer, &file, max)
    }

    async fn dial(&mut self) -> Result<Connection, String> {
        Connection::open(self.base, self.tls, self.timeouts, self.env)
            .await
            .map_err(|failure| failure.what)
    }
}
