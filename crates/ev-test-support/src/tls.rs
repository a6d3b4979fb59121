//! TLS as the fakes speak it, and as a client that tests them.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::Error;
use crate::certs::Leaf;

/// Which TLS versions a server offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// Only 1.2: what Fluentd does without a setting.
    Only12,
    /// Only 1.3.
    Only13,
    /// Both.
    #[default]
    Both,
}

impl TlsVersions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static ONLY_12: [&SupportedProtocolVersion; 1] = [&TLS12];
        static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Self::Only12 => &ONLY_12,
            Self::Only13 => &ONLY_13,
            Self::Both => &BOTH,
        }
    }
}

/// A server that demands a client certificate of one of `clients`.
///
/// # Errors
///
/// When certificate and key do not fit, or an authority is unusable.
pub fn server_config(
    leaf: &Leaf,
    clients: &[CertificateDer<'static>],
    versions: TlsVersions,
    alpn: &[&str],
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(clients)?), provider.clone())
            .build()
            .map_err(|error| tokio_rustls::rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions.list())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![leaf.cert_der()], leaf.key_der())?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// A server that asks nobody who they are, as on the web.
///
/// # Errors
///
/// When certificate and key do not fit.
pub fn web_server_config(leaf: &Leaf, alpn: &[&str]) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(TlsVersions::Both.list())?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.cert_der()], leaf.key_der())?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// A client that trusts `servers` and shows `leaf`, if given.
///
/// # Errors
///
/// As [`server_config`].
pub fn client_config(
    leaf: Option<&Leaf>,
    servers: &[CertificateDer<'static>],
    versions: TlsVersions,
    alpn: &[&str],
) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions.list())?
        .with_root_certificates(roots(servers)?);
    let mut config = match leaf {
        Some(leaf) => builder.with_client_auth_cert(vec![leaf.cert_der()], leaf.key_der())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

fn roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate.clone())?;
    }
    Ok(store)
}
