//! Whether a Proxy is behind something that forgets ALPN.

use std::time::Duration;

use ev_core::within;
use ev_tls::find_tls_error;
use tokio_rustls::rustls::{AlertDescription, Error as TlsError, PeerMisbehaved};
use tracing::debug;

use super::Dialler;
use super::error::DialError;
use crate::address::Address;

/// A protocol that every Proxy with TLS routing agrees to.
const TEST_PROTOCOL: &str = "teleport-reversetunnel";
/// How long the test may take; as the official client.
const PATIENCE: Duration = Duration::from_secs(5);

impl Dialler {
    /// Whether connections to `address` need an upgrade: what is set, else what a TLS handshake
    /// shows. `None` when the handshake shows nothing.
    pub(super) async fn needs_upgrade(&self, address: &Address) -> Option<bool> {
        if let Some(set) = self.config.surroundings.needs_upgrade(address) {
            return Some(set);
        }
        let test = within(&*self.env, PATIENCE, self.test(address)).await;
        let needed = match &test {
            Some(Ok(agreed)) => Some(agreed.as_deref() != Some(TEST_PROTOCOL.as_bytes())),
            Some(Err(error)) if is_about_alpn(error) => Some(true),
            Some(Err(error)) => {
                debug!(%address, reason = error.describe(), "the ALPN test shows nothing");
                None
            }
            None => None,
        };
        debug!(%address, ?needed, "whether a connection upgrade is needed");
        needed
    }

    async fn test(&self, address: &Address) -> Result<Option<Vec<u8>>, DialError> {
        let stream = self.tcp(address).await?;
        let tls = self.web_tls().await?;
        Ok(tls.handshake(address, &[TEST_PROTOCOL], stream).await?.1)
    }
}

fn is_about_alpn(error: &DialError) -> bool {
    matches!(
        find_tls_error(error),
        Some(
            TlsError::AlertReceived(AlertDescription::NoApplicationProtocol)
                | TlsError::NoApplicationProtocol
                | TlsError::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol)
        )
    )
}
