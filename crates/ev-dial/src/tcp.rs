//! TCP to a name.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ev_core::{Env, within};
use tokio::net::{TcpStream, lookup_host};

use crate::Error;

/// Resolves a name and connects to one of its addresses, all of it within `limit`. Small writes are
/// not held back: a request in two pieces would wait for a delayed acknowledgement.
///
/// # Errors
///
/// [`Error::Connect`] and [`Error::Overdue`].
pub async fn tcp(
    host: &str,
    port: u16,
    limit: Duration,
    env: &dyn Env,
) -> Result<TcpStream, Error> {
    let failed = |source| Error::Connect { host: host.to_owned(), port, source };
    let overdue = || Error::Overdue { host: host.to_owned(), port, limit };
    let begun = env.monotonic();
    let found = within(env, limit, lookup_host((host, port))).await.ok_or_else(overdue)?;
    let addresses: Vec<SocketAddr> = found.map_err(failed)?.collect();
    let left = limit.saturating_sub(env.monotonic().saturating_sub(begun));
    let stream = try_each(&addresses, left, env).await.ok_or_else(overdue)?.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// Tries one address after the other. Each gets an equal part of the time that is left, so that
/// one that swallows packets (IPv6 without a route, for instance) does not hide the next. `None`
/// when the last of them did not answer in time.
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
