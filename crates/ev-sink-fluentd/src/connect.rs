//! From an address to a connection that can carry a request.

use std::sync::Arc;

use ev_core::{BoxError, Env};
use ev_dial::{Error, WebServer, describe, secure, tcp};
use ev_tls::ClientTls;

use crate::Timeouts;
use crate::connection::Connection;
use crate::io::Stream;

/// No connection was made, so certainly nothing was delivered.
#[derive(Debug)]
pub(crate) struct ConnectError {
    /// What was tried and what became of it.
    pub(crate) what: String,
    pub(crate) source: Option<BoxError>,
}

impl From<Error> for ConnectError {
    fn from(error: Error) -> Self {
        let what = match &error {
            Error::HandshakeOverdue(_) => format!("{error}: is the receiver restarting?"),
            error => error.to_string(),
        };
        Self { what, source: Some(error.into()) }
    }
}

impl From<hyper::Error> for ConnectError {
    fn from(error: hyper::Error) -> Self {
        Self { what: describe(&error), source: Some(error.into()) }
    }
}

/// Opens a new connection.
pub(crate) async fn connect(
    server: &WebServer,
    tls: Option<&Arc<ClientTls>>,
    timeouts: &Timeouts,
    env: &dyn Env,
) -> Result<Connection, ConnectError> {
    Connection::start(dial(server, tls, timeouts, env).await?).await
}

/// Opens what carries a connection.
pub(crate) async fn dial(
    server: &WebServer,
    tls: Option<&Arc<ClientTls>>,
    timeouts: &Timeouts,
    env: &dyn Env,
) -> Result<Stream, ConnectError> {
    let WebServer { host, port, .. } = server;
    let stream = tcp(host, *port, timeouts.connect, env).await?;
    if !server.tls {
        return Ok(Stream::Plain(stream));
    }
    // Never plain text to an `https` address, whatever happens.
    let what = "TLS is not set up".to_owned();
    let tls = tls.ok_or(ConnectError { what, source: None })?;
    Ok(Stream::Tls(Box::new(secure(stream, host, tls, timeouts.handshake, env).await?)))
}
