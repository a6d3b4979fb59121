//! TLS on top of a stream: the cluster's own, and the web's.

use std::sync::Arc;

use ev_tls::{ClientOptions, ClientTls, CredentialFiles};
use tokio_rustls::TlsConnector;

use super::Dialler;
use super::error::DialError;
use super::way::routed_protocol;
use crate::address::Address;
use crate::credentials;
use ev_dial::BoxStream;

/// What Auth speaks.
const HTTP2: &[u8] = b"h2";

impl Dialler {
    /// Auth's own TLS: both ends show certificates of the cluster. With `cluster`, a Proxy on the
    /// way is told by ALPN whom the connection is for.
    pub(super) async fn secure(
        &self,
        stream: BoxStream,
        cluster: Option<&str>,
    ) -> Result<BoxStream, DialError> {
        let routed = cluster.map(routed_protocol);
        let alpn: Vec<Vec<u8>> = routed.iter().cloned().chain([HTTP2.to_vec()]).collect();
        let name = self.tls.server_name(credentials::SERVER_NAME).map_err(DialError::Prepare)?;
        let connector = TlsConnector::from(self.tls.config_with_alpn(alpn));
        let stream = connector.connect(name, stream).await.map_err(DialError::Tls)?;
        let agreed = stream.get_ref().1.alpn_protocol();
        // Auth itself knows nothing of the protocol for the Proxy in some versions, and takes it
        // in others.
        let is_auth = agreed == Some(HTTP2) || routed.is_some() && agreed == routed.as_deref();
        if !is_auth {
            return Err(DialError::NoHttp2);
        }
        Ok(Box::new(stream))
    }

    /// The same for another protocol than gRPC's.
    pub(crate) async fn own_tls(
        &self,
        stream: BoxStream,
        protocol: &[u8],
    ) -> Result<BoxStream, DialError> {
        let name = self.tls.server_name(credentials::SERVER_NAME).map_err(DialError::Prepare)?;
        let connector = TlsConnector::from(self.tls.config_with_alpn(vec![protocol.to_vec()]));
        Ok(Box::new(connector.connect(name, stream).await.map_err(DialError::Tls)?))
    }

    /// TLS as browsers speak it. Reads the CAs anew each time: it is needed seldom, and they may
    /// have changed.
    pub(crate) async fn web_tls(&self) -> Result<WebTls, DialError> {
        let files = CredentialFiles { ca: self.config.proxy_ca.clone(), ..Default::default() };
        let clock = credentials::clock(&self.env);
        let read = move || ClientTls::new(files, ClientOptions::default(), clock);
        let tls = match tokio::task::spawn_blocking(read).await {
            Ok(tls) => tls.map_err(DialError::Prepare)?,
            // The runtime is ending.
            Err(_) => return Err(DialError::Overdue(self.config.dial_timeout)),
        };
        Ok(WebTls(Arc::new(tls)))
    }
}

/// TLS to a Proxy's web service or an HTTP proxy, whose certificates anybody may check.
#[derive(Clone)]
pub(crate) struct WebTls(Arc<ClientTls>);

impl WebTls {
    pub(crate) async fn connect(
        &self,
        address: &Address,
        alpn: &[&str],
        stream: BoxStream,
    ) -> Result<BoxStream, DialError> {
        Ok(self.handshake(address, alpn, stream).await?.0)
    }

    /// Also tells the protocol that was agreed on.
    pub(super) async fn handshake(
        &self,
        address: &Address,
        alpn: &[&str],
        stream: BoxStream,
    ) -> Result<(BoxStream, Option<Vec<u8>>), DialError> {
        let name = self.0.server_name(&address.host).map_err(DialError::Prepare)?;
        let alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let connector = TlsConnector::from(self.0.config_with_alpn(alpn));
        let stream = connector.connect(name, stream).await.map_err(DialError::Tls)?;
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        Ok((Box::new(stream), agreed))
    }
}
