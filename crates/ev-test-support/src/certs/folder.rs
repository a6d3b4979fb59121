//! The files of a client, as it reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::rustls::ServerConfig;

use super::{Authority, Leaf, Validity};
use crate::{TlsVersions, server_config};

/// A folder with what a client of an authority needs: `ca.pem`, `client.pem` and `client.key`.
/// It is removed when dropped.
///
/// What cannot be made or written is a panic, since no test can go on then.
#[derive(Debug)]
pub struct ClientFolder {
    dir: TempDir,
    /// Who has signed both sides.
    pub authority: Authority,
}

impl ClientFolder {
    /// A new authority, and a client of it.
    ///
    /// # Panics
    ///
    /// If there is no room for it.
    #[expect(clippy::new_without_default, reason = "it makes keys and files")]
    pub fn new() -> Self {
        let authority = Authority::new("Test CA").expect("keys can be made");
        let folder = Self { dir: tempfile::tempdir().expect("a place for files"), authority };
        folder.write("ca.pem", folder.authority.cert_pem());
        folder.renew();
        folder
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file in it, by its name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The CA of the server.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The certificate of the client.
    pub fn certificate(&self) -> PathBuf {
        self.file("client.pem")
    }

    /// Its private key.
    pub fn key(&self) -> PathBuf {
        self.file("client.key")
    }

    /// Writes a file, or writes it anew.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    #[track_caller]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).expect("a writable folder");
    }

    /// Gives the client another certificate and key.
    ///
    /// # Panics
    ///
    /// If they cannot be written.
    #[track_caller]
    pub fn set_client(&self, leaf: &Leaf) {
        self.write("client.pem", &leaf.cert_pem);
        self.write("client.key", &leaf.key_pem);
    }

    /// Gives the client a new certificate of the same authority.
    ///
    /// # Panics
    ///
    /// If it cannot be made or written.
    #[track_caller]
    pub fn renew(&self) {
        self.set_client(&self.client());
    }

    /// A certificate for a client that is not in use yet.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub fn client(&self) -> Leaf {
        self.authority.issue_fluentd_client(Validity::Long).expect("keys can be made")
    }

    /// A certificate for a server, for `localhost` and the loopback addresses.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub fn server(&self) -> Leaf {
        self.authority.issue_fluentd_server(Validity::Long).expect("keys can be made")
    }

    /// A server with the certificate `leaf` that demands one of the same authority.
    ///
    /// # Panics
    ///
    /// If certificate and key do not fit.
    #[track_caller]
    pub fn server_config(
        &self,
        leaf: &Leaf,
        versions: TlsVersions,
        alpn: &[&str],
    ) -> Arc<ServerConfig> {
        let clients = [self.authority.cert_der()];
        server_config(leaf, &clients, versions, alpn).expect("a usable certificate")
    }
}
