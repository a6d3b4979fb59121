//! From an address to a connection that can carry a request.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ev_core::{BoxError, Env, within};
use ev_tls::{ClientTls, describe_tls_error, find_tls_error};
use tokio::net::{TcpStream, lookup_host};
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

    let tcp = match dial_tcp(host, *port, timeouts.connect, env).await {
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

/// Resolves the name and tries its addresses; `None` when the time ran out.
async fn dial_tcp(
    host: &str,
    port: u16,
    limit: Duration,
    env: &dyn Env,
) -> Option<io::Result<TcpStream>> {
    let begun = env.monotonic();
    let addresses = match within(env, limit, lookup_host((host, port))).await? {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(error) => return Some(Err(error)),
    };
    let left = limit.saturating_sub(env.monotonic().saturating_sub(begun));
    try_each(&addresses, left, env).await
}

/// Tries one address after the other. Each gets an equal part of the time that is left, so that
/// one that swallows packets (IPv6 without a route, for instance) does not hide the next.
async fn try_each(
    addresses: &[SocketAddr],
    limit: Duration,
    env: &dyn Env,
) -> Option<io::Result<TcpStream>> {
    let begun = env.monotonic();
    let mut outcome = Some(Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    for (address, to_try) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let left = limit.saturating_sub(env.monotonic().saturating_sub(begun));
        let share = left / u32::try_from(to_try).unwrap_or(u32::MAX);
        outcome = within(env, share, TcpStream::connect(address)).await;
        if let Some(Ok(_)) = outcome {
            break;
        }
    }
    outcome
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

#[cfg(test)]
mod tests {
    use ev_core::{BoxFuture, Timestamp};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Time stands still, and only pauses up to this one end.
    struct Impatient(Duration);

    impl Env for Impatient {
        fn now(&self) -> Timestamp {
            Timestamp::new(0, 0)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            if duration <= self.0 { Box::pin(async {}) } else { Box::pin(std::future::pending()) }
        }

        fn random(&self) -> u64 {
            0
        }
    }

    /// A listener that takes no further connection and refuses none.
    async fn silent() -> (TcpListener, TcpStream) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let listener = socket.listen(0).expect("a listener");
        let address = listener.local_addr().expect("bound");
        let queued = TcpStream::connect(address).await.expect("room for one");
        (listener, queued)
    }

    #[tokio::test]
    async fn a_silent_address_leaves_time_for_the_next() {
        let (silent, _queued) = silent().await;
        let good = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let [silent_at, good_at, gone_at] =
            [&silent, &good, &gone].map(|listener| listener.local_addr().expect("bound"));
        drop(gone);
        let second = Duration::from_secs(1);
        // A third and a half of six seconds run out at once, all six never do.
        let env = Impatient(3 * second);
        let check = async |addresses: &[SocketAddr]| try_each(addresses, 6 * second, &env).await;
        let tcp = check(&[silent_at, silent_at, good_at]).await.expect("in time").expect("taken");
        assert_eq!(tcp.peer_addr().expect("connected"), good_at);
        let tcp = check(&[gone_at, good_at]).await.expect("in time").expect("taken");
        assert_eq!(tcp.peer_addr().expect("connected"), good_at);
        let refused = check(&[gone_at]).await.expect("in time").expect_err("nobody there");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(
            check(&[]).await.expect("in time").expect_err("none").kind(),
            io::ErrorKind::NotFound
        );
        assert!(try_each(&[silent_at], 2 * second, &env).await.is_none());
    }
}
