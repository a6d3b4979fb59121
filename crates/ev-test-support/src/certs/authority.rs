use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::Error;

/// How long a certificate is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    /// From 1975 to 4096.
    #[default]
    Long,
    /// Ended in 2002.
    Expired,
    /// Begins in 4000.
    NotYet,
    /// Ends with the first second of 4000: soon, for whoever sets a clock that far.
    Until4000,
    /// Ends so many seconds after 1970-01-01T00:00:00Z.
    Until(u32),
}

/// Kind of a leaf's key. RSA is left out: `ring` cannot make such keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256, PKCS#8.
    #[default]
    EcdsaP256,
    /// Ed25519, PKCS#8.
    Ed25519,
}

impl KeyKind {
    fn generate(self) -> Result<KeyPair, Error> {
        Ok(KeyPair::generate_for(match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        })?)
    }
}

/// What a leaf certificate is to say.
#[derive(Clone, Debug, Default)]
pub struct LeafRequest {
    /// Common name of the subject.
    pub common_name: String,
    /// Organisation of the subject; Teleport puts the role here. Left out when empty.
    pub organisation: String,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// May be used by a server.
    pub server: bool,
    /// May be used by a client.
    pub client: bool,
    /// How long it is valid.
    pub validity: Validity,
    /// Kind of key.
    pub key: KeyKind,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Leaf {
    /// The certificate, PEM.
    pub cert_pem: String,
    /// The key, PKCS#8 PEM.
    pub key_pem: String,
    cert: CertificateDer<'static>,
    key: Vec<u8>,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").finish_non_exhaustive()
    }
}

impl Leaf {
    /// Reads certificate and key from PEM files.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or holds something else.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, Error> {
        let first = load(cert)?.into_iter().next().ok_or_else(|| {
            Error::io(format!("read `{}`", cert.display()))(io::Error::other("no certificate"))
        })?;
        let what = format!("read `{}`", key.display());
        let der = match PrivatePkcs8KeyDer::from_pem_file(key) {
            Ok(der) => der.secret_pkcs8_der().to_vec(),
            Err(error) => return Err(Error::io(what)(io::Error::other(error.to_string()))),
        };
        let text = |path: &Path| {
            fs::read_to_string(path).map_err(Error::io(format!("read `{}`", path.display())))
        };
        Ok(Self { cert_pem: text(cert)?, key_pem: text(key)?, cert: first, key: der })
    }

    /// The certificate, DER.
    pub fn cert_der(&self) -> CertificateDer<'static> {
        self.cert.clone()
    }

    /// The key, DER.
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

/// A certificate authority that lives as long as the value.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
    cert: CertificateDer<'static>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority with an ECDSA P-256 key.
    ///
    /// # Errors
    ///
    /// When the system has no randomness, or the name is no valid one.
    pub fn new(common_name: &str) -> Result<Self, Error> {
        let key = KeyKind::EcdsaP256.generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.distinguished_name.push(DnType::OrganizationName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key)?;
        Ok(Self {
            cert_pem: cert.pem(),
            cert: cert.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's own certificate, PEM.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The authority's own certificate, DER.
    pub fn cert_der(&self) -> CertificateDer<'static> {
        self.cert.clone()
    }

    /// Issues a certificate with a fresh key.
    ///
    /// # Errors
    ///
    /// When a name is no valid DNS name, or the system has no randomness.
    pub fn issue(&self, request: &LeafRequest) -> Result<Leaf, Error> {
        let key = request.key.generate()?;
        let mut params = CertificateParams::new(request.names.clone())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, request.common_name.as_str());
        if !request.organisation.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, request.organisation.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if request.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if request.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        match request.validity {
            Validity::Long => {}
            Validity::Expired => {
                params.not_before = rcgen::date_time_ymd(2001, 1, 1);
                params.not_after = rcgen::date_time_ymd(2002, 1, 1);
            }
            Validity::NotYet => params.not_before = rcgen::date_time_ymd(4000, 1, 1),
            Validity::Until4000 => params.not_after = rcgen::date_time_ymd(4000, 1, 1),
            Validity::Until(second) => {
                let epoch = rcgen::date_time_ymd(1970, 1, 1);
                params.not_after = epoch + Duration::from_secs(second.into());
            }
        }
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
            cert: cert.der().clone(),
            key: key.serialize_der(),
        })
    }

    /// The certificate of an Auth server, with the names that a real one has: clients verify
    /// `teleport.cluster.local` whatever address they dialled.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue`].
    pub fn issue_auth_server(&self, cluster: &str, validity: Validity) -> Result<Leaf, Error> {
        let hex: String = cluster.bytes().map(|byte| format!("{byte:02x}")).collect();
        let host = "11111111-2222-4333-8444-555555555555";
        self.issue(&LeafRequest {
            common_name: format!("{host}.{cluster}"),
            organisation: "Admin".to_owned(),
            names: vec![
                format!("{host}.{cluster}"),
                cluster.to_owned(),
                "teleport.cluster.local".to_owned(),
                "*.teleport.cluster.local".to_owned(),
                format!("{hex}.teleport.cluster.local"),
                "localhost".to_owned(),
                "127.0.0.1".to_owned(),
                "::1".to_owned(),
            ],
            server: true,
            client: true,
            validity,
            key: KeyKind::EcdsaP256,
        })
    }

    /// The certificate of a Teleport user or bot.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue`].
    pub fn issue_teleport_client(&self, user: &str, validity: Validity) -> Result<Leaf, Error> {
        self.issue(&LeafRequest {
            common_name: user.to_owned(),
            organisation: user.to_owned(),
            client: true,
            validity,
            ..LeafRequest::default()
        })
    }

    /// The certificate of a receiver on this machine.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue`].
    pub fn issue_fluentd_server(&self, validity: Validity) -> Result<Leaf, Error> {
        self.issue(&LeafRequest {
            common_name: "Server".to_owned(),
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
            server: true,
            validity,
            ..LeafRequest::default()
        })
    }

    /// The certificate by which the handler is known to a receiver.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue`].
    pub fn issue_fluentd_client(&self, validity: Validity) -> Result<Leaf, Error> {
        self.issue(&LeafRequest {
            common_name: "Client".to_owned(),
            client: true,
            validity,
            ..LeafRequest::default()
        })
    }
}

/// Reads the certificates of a PEM file.
///
/// # Errors
///
/// When the file cannot be read or is damaged.
pub fn load(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    read().map_err(|error| {
        Error::io(format!("read `{}`", path.display()))(io::Error::other(error.to_string()))
    })
}
