//! TLS on top of a connection.

use std::time::Duration;

use ev_core::{Env, within};
use ev_tls::ClientTls;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Error, Stream};

/// Begins TLS with the credentials that `tls` has now, within `limit`. The certificate of the other
/// side has to be valid for `host`, unless `tls` has a name of its own.
///
/// # Errors
///
/// [`Error::Name`], [`Error::Handshake`] and [`Error::HandshakeOverdue`].
pub async fn secure<S: Stream>(
    stream: S,
    host: &str,
    tls: &ClientTls,
    limit: Duration,
    env: &dyn Env,
) -> Result<TlsStream<S>, Error> {
    let name = tls.server_name(host).map_err(Error::Name)?;
    let connector = TlsConnector::from(tls.config());
    match within(env, limit, connector.connect(name, stream)).await {
        Some(outcome) => outcome.map_err(Error::Handshake),
        None => Err(Error::HandshakeOverdue(limit)),
    }
}
