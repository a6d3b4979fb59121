//! From an address to a connection that can carry a request.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use ev_core::{BoxError, Env};
use ev_tls::{ClientTls, describe_tls_error, find_tls_error};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Timeouts;
use crate::connection::Connection;
use crate::io::Stream;
use crate::target::Server;

/// No connection was made, so certainly nothing was delivered.
#[derive(Debug)]
pub(crate) struct ConnectError {
    /// What was tried and what became of it.
    pub(crate) what: String,
    pub(crate) source: Option<BoxError>,
}

/// Opens a new connection.
pub(crate) async fn connect(
    server: &Server,
    tls: Option<&ClientTls>,
    timeouts: &Timeouts,
    env: &dyn Env,
) -> Result<Connection, ConnectError> {
    Connection::start(dial(server, tls, timeouts, env).await?).await
}

/// Opens what carries a connection.
pub(crate) async fn dial(
    server: &Server,
    tls: Option<&ClientTls>,
    timeouts: &Timeouts,
    env: &dyn Env,
) -> Result<Stream, ConnectError> {
    let Server { host, port, .. } = server;
    let failed = |what: String, source: Option<BoxError>| ConnectError { what, source };

    let dial = within(env, timeouts.connect, TcpStream::connect((&**host, *port))).await;
    let tcp = match dial {
        Some(Ok(tcp)) => tcp,
        Some(Err(error)) => {
            let what = format!("cannot connect to `{host}` port {port}: {error}");
            return Err(failed(what, Some(error.into())));
        }
        None => {
            let what = format!("no connection to `{host}` port {port} within");
            return Err(failed(format!("{what} {:?}", timeouts.connect), None));
        }
    };
    // Without this, a request written in two pieces waits for a delayed acknowledgement.
    tcp.set_nodelay(true).map_err(|error| {
        failed(format!("cannot prepare the connection: {error}"), Some(error.into()))
    })?;
    if !server.tls {
        return Ok(Stream::Plain(tcp));
    }
    // Never plain text to an `https` address, whatever happens.
    let tls = tls.ok_or_else(|| failed("TLS is not set up".to_owned(), None))?;

    let name = tls.server_name(host).map_err(|error| failed(error.to_string(), None))?;
    let connector = TlsConnector::from(tls.config());
    match within(env, timeouts.handshake, connector.connect(name, tcp)).await {
        Some(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Some(Err(error)) => {
            let what = format!("TLS handshake failed: {}", describe_io(&error));
            Err(failed(what, Some(error.into())))
        }
        None => Err(failed(
            format!(
                "no TLS handshake within {:?}: is the receiver restarting?",
                timeouts.handshake
            ),
            None,
        )),
    }
}

/// The future's output, or `None` after `limit`.
pub(crate) async fn within<T>(
    env: &dyn Env,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = env.sleep(limit) => None,
    }
}

fn describe_io(error: &io::Error) -> String {
    match find_tls_error(error) {
        Some(tls) => describe_tls_error(tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the receiver closed the connection".to_owned()
        }
        None => error.to_string(),
    }
}

/// An error with its causes in one line, TLS errors in an operator's words.
pub(crate) fn describe(error: &(dyn StdError + 'static)) -> String {
    if let Some(tls) = find_tls_error(error) {
        return describe_tls_error(tls);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
