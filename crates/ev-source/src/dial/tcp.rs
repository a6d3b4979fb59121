//! TCP to an address, through an HTTP proxy where the environment names one.

use ev_dial::BoxStream;
use tokio::net::TcpStream;

use super::error::DialError;
use super::{Dialler, connect_proxy};
use crate::address::Address;

impl Dialler {
    /// A connection that carries bytes to `address` and back.
    pub(crate) async fn tcp(&self, address: &Address) -> Result<BoxStream, DialError> {
        match self.config.surroundings.proxy_for(address)? {
            Some(proxy) => connect_proxy::through(self, &proxy, address).await,
            None => Ok(Box::new(self.tcp_itself(address).await?)),
        }
    }

    /// A connection without anybody between.
    pub(crate) async fn tcp_itself(&self, address: &Address) -> Result<TcpStream, DialError> {
        let (host, limit) = (address.host.as_str(), self.config.dial_timeout);
        Ok(ev_dial::tcp(host, address.port, limit, &*self.env).await?)
    }
}
