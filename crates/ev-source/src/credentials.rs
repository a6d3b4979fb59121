//! From credentials on disk to TLS for the next connection.

use std::sync::Arc;

use ev_core::Env;
use ev_tls::{
    CertificateFacts, ClientOptions, ClientTls, Clock, CredentialFiles, CredentialSource, Identity,
    Pem, Roots, warn_if_open,
};
use tokio::sync::watch;

use crate::{Config, Credentials, Error, IdentityFile};

/// The name in every certificate of Auth, verified whatever host is dialled.
pub(crate) const SERVER_NAME: &str = "teleport.cluster.local";

/// The credentials shown to Auth, while a source is in use elsewhere.
#[derive(Clone, Debug)]
pub struct AuthCredentials {
    tls: Arc<ClientTls>,
    wake: Arc<watch::Sender<u64>>,
}

impl AuthCredentials {
    pub(crate) fn new(tls: Arc<ClientTls>, wake: Arc<watch::Sender<u64>>) -> Self {
        Self { tls, wake }
    }

    /// Has the files read again now, also where that is turned off otherwise. The source does it
    /// with its next step and logs what came of it: changed ones bring a new connection before the
    /// old one is given up, bad ones change nothing.
    pub fn reload(&self) {
        self.wake.send_modify(|asked| *asked += 1);
    }

    /// Facts of the client certificate in use and its chain, leaf first.
    pub fn facts(&self) -> Vec<CertificateFacts> {
        self.tls.identity_facts()
    }

    /// Of the CAs that Auth's certificate may come from the one that ends last; `None` where those
    /// of the operating system are used.
    pub fn authority_facts(&self) -> Option<CertificateFacts> {
        self.tls.authority_facts()
    }
}

/// The clock by which certificates are judged.
pub(crate) fn clock(env: &Arc<dyn Env>) -> Clock {
    let env = Arc::clone(env);
    Clock::new(move || env.now().seconds())
}

/// Reads the credentials and prepares TLS. Blocks on files.
pub(crate) fn client_tls(config: &Config, env: &Arc<dyn Env>) -> Result<ClientTls, Error> {
    let options = ClientOptions { server_name: Some(SERVER_NAME.to_owned()), ..Default::default() };
    let credentials = config.credentials.clone();
    warn_if_open(match &credentials {
        Credentials::Identity(path) => path,
        Credentials::Files { key, .. } => key,
    });
    let source = move || {
        read(&credentials).map_err(|error| match error {
            Error::Tls(error) => error,
            error => ev_tls::Error::Source(Box::new(error)),
        })
    };
    ClientTls::new(source, options, clock(env)).map_err(|error| match error {
        error @ ev_tls::Error::Expired { .. } => Error::Expired(error),
        ev_tls::Error::Source(error) => match error.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::Tls(ev_tls::Error::Source(other)),
        },
        error => Error::Tls(error),
    })
}

fn read(credentials: &Credentials) -> Result<ev_tls::Credentials, Error> {
    match credentials {
        Credentials::Files { certificate, key, ca } => Ok(CredentialFiles {
            ca: Some(ca.clone()),
            certificate: Some(certificate.clone()),
            key: Some(key.clone()),
            passphrase: None,
        }
        .read()?),
        Credentials::Identity(path) => {
            let bytes = ev_tls::read_file(path)
                .map_err(|source| Error::ReadIdentity { path: path.clone(), source })?;
            let file = IdentityFile::parse(&bytes)
                .map_err(|source| Error::Identity { path: path.clone(), source })?;
            let part =
                |what: &str, text: &[u8]| Pem::new(format!("{} ({what})", path.display()), text);
            let identity = Identity::from_pem(
                &part("TLS client certificate", file.tls_certificate()),
                &part("private key", file.private_key()),
            )?;
            let roots = Roots::from_pem([&part("TLS CA certificates", file.tls_authorities())])?;
            Ok(ev_tls::Credentials { roots, identity: Some(identity) })
        }
    }
}
