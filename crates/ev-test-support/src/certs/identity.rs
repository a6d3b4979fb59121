use super::ssh;
use crate::certs::Leaf;

/// A part of an identity file that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityBlock {
    /// The private key.
    Key,
    /// The SSH certificate.
    SshCertificate,
    /// The TLS client certificate.
    TlsCertificate,
    /// The SSH authority.
    SshAuthority,
    /// The TLS authorities.
    TlsAuthorities,
}

/// An identity file as `tctl auth sign` writes it: private key, SSH certificate, TLS certificate,
/// SSH authorities, TLS authorities.
#[derive(Clone, Debug)]
pub struct Identity<'a> {
    /// The client.
    pub client: &'a Leaf,
    /// Its name.
    pub user: &'a str,
    /// The cluster.
    pub cluster: &'a str,
    /// Certificates of the authorities that sign Auth servers, PEM.
    pub authorities: Vec<&'a str>,
    /// Parts to leave out.
    pub without: Vec<IdentityBlock>,
}

impl<'a> Identity<'a> {
    /// A complete identity with one authority.
    pub fn new(client: &'a Leaf, user: &'a str, cluster: &'a str, authority: &'a str) -> Self {
        Self { client, user, cluster, authorities: vec![authority], without: Vec::new() }
    }

    /// Leaves a part out.
    #[must_use]
    pub fn without(mut self, block: IdentityBlock) -> Self {
        self.without.push(block);
        self
    }

    /// The text of the file; to be kept with mode 0600.
    pub fn to_text(&self) -> String {
        let has = |block| !self.without.contains(&block);
        let mut text = String::new();
        if has(IdentityBlock::Key) {
            line(&mut text, &self.client.key_pem);
        }
        if has(IdentityBlock::SshCertificate) {
            line(&mut text, &ssh::certificate(self.user));
        }
        if has(IdentityBlock::TlsCertificate) {
            line(&mut text, &self.client.cert_pem);
        }
        if has(IdentityBlock::SshAuthority) {
            line(&mut text, &ssh::authority(self.cluster));
        }
        if has(IdentityBlock::TlsAuthorities) {
            for authority in &self.authorities {
                line(&mut text, authority);
            }
        }
        text
    }
}

/// Adds `part`, ended by exactly one line feed.
fn line(text: &mut String, part: &str) {
    text.extend(part.trim_end().lines().flat_map(|line| [line.trim_end(), "\n"]));
}
