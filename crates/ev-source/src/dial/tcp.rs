//! TCP to an address, through an HTTP proxy where the environment names one.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ev_core::{Env, within};
use tokio::net::{TcpStream, lookup_host};

use super::error::DialError;
use super::stream::BoxStream;
use super::{Dialler, connect_proxy};
use crate::address::Address;

impl Dialler {
    /// A connection that carries bytes to `address` and back.
    pub(super) async fn tcp(&self, address: &Address) -> Result<BoxStream, DialError> {
        match self.config.surroundings.proxy_for(address)? {
            Some(proxy) => connect_proxy::through(self, &proxy, address).await,
            None => Ok(Box::new(self.tcp_itself(address).await?)),
        }
    }

    /// A connection without anybody between.
    pub(super) async fn tcp_itself(&self, address: &Address) -> Result<TcpStream, DialError> {
        let failed = |source| DialError::Tcp { address: address.clone(), source };
        let limit = self.config.dial_timeout;
        let found = lookup_host((address.host.as_str(), address.port)).await.map_err(failed)?;
        let found: Vec<_> = found.collect();
        let tcp = try_each(&found, limit, &self.env).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        Ok(tcp)
    }
}

/// Tries one address after the other. Each gets an equal part of the time that is left, so that
/// one that swallows packets (IPv6 without a route, for instance) does not hide the next.
async fn try_each(
    addresses: &[SocketAddr],
    limit: Duration,
    env: &std::sync::Arc<dyn Env>,
) -> io::Result<TcpStream> {
    let begun = env.monotonic();
    let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for (address, to_try) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let left = limit.saturating_sub(env.monotonic().saturating_sub(begun));
        let share = left / u32::try_from(to_try).unwrap_or(u32::MAX);
        outcome = within(&**env, share, TcpStream::connect(address)).await.unwrap_or_else(|| {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")))
        });
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
