//! The receiver's certificates.

use std::path::PathBuf;
use std::sync::Arc;

use ev_tls::{Clock, Identity, Passphrase, Pem};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::Error;

/// Files in PEM, as `configure` writes them for Fluentd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The receiver's certificate and its chain, leaf first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The passphrase of the key, if it is encrypted, as the one that `configure` writes.
    pub passphrase: Option<PathBuf>,
    /// The CAs that the other handler's certificate may come from. There is no way without:
    /// whoever may post here may post to Fluentd.
    pub client_ca: PathBuf,
}

/// TLS 1.2 and 1.3 for a receiver, with client certificates. Blocks on files.
///
/// # Errors
///
/// What is wrong with which file; an expired certificate, too.
pub fn server_tls(files: &ServerFiles, clock: &Clock) -> Result<Arc<ServerConfig>, Error> {
    let (certificate, key) = (Pem::read(&files.certificate)?, Pem::read(&files.key)?);
    let passphrase = files.passphrase.as_deref().map(Passphrase::read).transpose()?;
    let passphrase = passphrase.as_ref();
    Identity::from_encrypted_pem(&certificate, &key, passphrase)?.check(clock.now())?;
    let mut clients = RootCertStore::empty();
    let client_ca = Pem::read(&files.client_ca)?;
    for (at, ca) in client_ca.certificates()?.into_iter().enumerate() {
        clients.add(ca).map_err(|error| ev_tls::Error::BadCertificate {
            origin: client_ca.origin().to_owned(),
            number: at + 1,
            what: error.to_string(),
        })?;
    }
    let failed = |what: String| Error::ServerTls { what };
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider))
            .build()
            .map_err(|error| failed(error.to_string()))?;
    let config = ServerConfig::builder_with_details(provider, Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| failed(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificate.certificates()?, key.private_key_with(passphrase)?)
        .map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(config))
}
