//! From credentials on disk to TLS for the next connection.

use std::sync::Arc;

use ev_core::Env;
use ev_tls::{
    ClientOptions, ClientTls, Clock, CredentialFiles, CredentialSource, Identity, Pem, Roots,
};

use crate::{Config, Credentials, Error, IdentityFile};

/// The name in every certificate of Auth, verified whatever host is dialled.
const SERVER_NAME: &str = "teleport.cluster.local";

/// Reads the credentials and prepares TLS. Blocks on files.
pub(crate) fn client_tls(config: &Config, env: &Arc<dyn Env>) -> Result<ClientTls, Error> {
    let clock = {
        let env = Arc::clone(env);
        Clock::new(move || env.now().seconds())
    };
    let mut alpn = vec![b"h2".to_vec()];
    if let Some(cluster) = &config.routed_cluster {
        // A Proxy with TLS routing hands the connection on by the first protocol; Auth itself
        // then takes the second.
        alpn.insert(0, routed_protocol(cluster).into_bytes());
    }
    let options = ClientOptions { alpn, server_name: Some(SERVER_NAME.to_owned()) };
    let credentials = config.credentials.clone();
    // Read once before for the sake of the error: as a source it is wrapped in one of `ev-tls`.
    read(&credentials)?;
    let source = move || {
        read(&credentials).map_err(|error| match error {
            Error::Tls(error) => error,
            error => ev_tls::Error::Source(Box::new(error)),
        })
    };
    Ok(ClientTls::new(source, options, clock)?)
}

fn routed_protocol(cluster: &str) -> String {
    let hex: String = cluster.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("teleport-auth@{hex}.{SERVER_NAME}")
}

fn read(credentials: &Credentials) -> Result<ev_tls::Credentials, Error> {
    match credentials {
        Credentials::Files { certificate, key, ca } => Ok(CredentialFiles {
            ca: Some(ca.clone()),
            certificate: Some(certificate.clone()),
            key: Some(key.clone()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routed_protocol_names_the_cluster_in_hex() {
        assert_eq!(routed_protocol("ab.c"), "teleport-auth@61622e63.teleport.cluster.local");
    }
}
