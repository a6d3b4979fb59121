//! Reads the certificates and keys back from where they were written, and lets both ends shake
//! hands in memory, before anything counts as done.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use crate::files::Files;
use crate::names::Names;
use crate::{Error, Passphrase, encrypt};

/// Flights of messages that a handshake and an answer need at most, with room to spare.
const MAX_FLIGHTS: usize = 16;

/// What each end says to the other once it trusts it.
const HELLO: &[u8] = b"hello";

/// Certificates and keys as they were written.
struct Written {
    ca: Vec<CertificateDer<'static>>,
    server: Vec<CertificateDer<'static>>,
    server_key: PrivateKeyDer<'static>,
    client: Vec<CertificateDer<'static>>,
    client_key: PrivateKeyDer<'static>,
}

/// Checks the files in `folder`: with both versions of TLS, by every name and address that the
/// certificates are for, each end demands and verifies the other's certificate.
pub(crate) fn check(
    folder: &Path,
    files: &Files,
    passphrase: &Passphrase,
    names: &Names,
    now: SystemTime,
) -> Result<(), Error> {
    let written = Written::read(folder, files, passphrase)?;
    let provider = Arc::new(ring::default_provider());
    let time = Arc::new(Fixed(unix_time(now)));
    for version in [&TLS12, &TLS13] {
        let failed = |what: String| {
            let what = format!("{what}, {:?}", version.version);
            move |source| Error::SelfCheck { what, source }
        };
        let server = written.server(&provider, &time, version).map_err(failed("server".into()))?;
        let client = written.client(&provider, &time, version).map_err(failed("client".into()))?;
        for name in names.to_dial() {
            let what = format!("client dials `{}`", name.to_str());
            shake_hands(&server, &client, name).map_err(failed(what))?;
        }
    }
    Ok(())
}

impl Written {
    fn read(folder: &Path, files: &Files, passphrase: &Passphrase) -> Result<Self, Error> {
        let path = |name: &str| folder.join(name);
        let certificates = |name: &str| {
            let read = || CertificateDer::pem_file_iter(path(name))?.collect::<Result<_, _>>();
            read().map_err(|error| unreadable(&path(name), &error))
        };
        let text = std::fs::read_to_string(path(&files.server_key));
        let text = text.map_err(|error| unreadable(&path(&files.server_key), &error))?;
        let server_key = encrypt::decrypt(&text, passphrase)?;
        let client_key = PrivateKeyDer::from_pem_file(path(&files.client_key))
            .map_err(|error| unreadable(&path(&files.client_key), &error))?;
        // Nobody needs the authority's key later, so it is enough that it can be read.
        let _ca_key = PrivateKeyDer::from_pem_file(path(&files.ca_key))
            .map_err(|error| unreadable(&path(&files.ca_key), &error))?;
        Ok(Self {
            ca: certificates(&files.ca_certificate)?,
            server: certificates(&files.server_certificate)?,
            server_key: PrivatePkcs8KeyDer::from(server_key.to_vec()).into(),
            client: certificates(&files.client_certificate)?,
            client_key,
        })
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.ca {
            roots.add(certificate.clone())?;
        }
        Ok(Arc::new(roots))
    }

    fn server(
        &self,
        provider: &Arc<CryptoProvider>,
        time: &Arc<Fixed>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots()?, Arc::clone(provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        let config =
            ServerConfig::builder_with_details(Arc::clone(provider), Arc::clone(time) as _)
                .with_protocol_versions(&[version])?
                .with_client_cert_verifier(verifier)
                .with_single_cert(self.server.clone(), self.server_key.clone_key())?;
        Ok(Arc::new(config))
    }

    fn client(
        &self,
        provider: &Arc<CryptoProvider>,
        time: &Arc<Fixed>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<Arc<ClientConfig>, rustls::Error> {
        let config =
            ClientConfig::builder_with_details(Arc::clone(provider), Arc::clone(time) as _)
                .with_protocol_versions(&[version])?
                .with_root_certificates(self.roots()?)
                .with_client_auth_cert(self.client.clone(), self.client_key.clone_key())?;
        Ok(Arc::new(config))
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::ReadBack { path: path.to_owned(), what: error.to_string() }
}

/// A whole handshake and a word in each direction: with TLS 1.3 a client hears only then whether
/// its certificate was taken.
fn shake_hands(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<(), rustls::Error> {
    let broken = |error: std::io::Error| rustls::Error::General(error.to_string());
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    client.writer().write_all(HELLO).map_err(broken)?;
    server.writer().write_all(HELLO).map_err(broken)?;

    let (mut heard, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..MAX_FLIGHTS {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).map_err(broken)?;
        }
        let mut rest = &flight[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).map_err(broken)?;
            let state = server.process_new_packets()?;
            take(&mut heard, server.reader(), state.plaintext_bytes_to_read()).map_err(broken)?;
        }
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).map_err(broken)?;
        }
        let mut rest = &flight[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).map_err(broken)?;
            let state = client.process_new_packets()?;
            take(&mut answered, client.reader(), state.plaintext_bytes_to_read())
                .map_err(broken)?;
        }
        if heard == HELLO && answered == HELLO {
            return Ok(());
        }
    }
    Err(rustls::Error::General("the handshake does not come to an end".to_owned()))
}

fn take(into: &mut Vec<u8>, from: rustls::Reader<'_>, count: usize) -> std::io::Result<()> {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    from.take(count).read_to_end(into).map(drop)
}

/// The clock of this run, so that validity is judged by the same instant that it was made with.
#[derive(Debug)]
struct Fixed(UnixTime);

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

fn unix_time(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::certificates::{self, Pair, Set, Validity};
    use crate::{Answer, Config, FileNames, Host, KeyKind};

    struct Local;

    impl Host for Local {
        fn resolve(&mut self, _name: &str) -> std::io::Result<Vec<IpAddr>> {
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        }

        fn may_overwrite(&mut self, _files: &[PathBuf]) -> Answer {
            Answer::CannotAsk
        }

        fn show_passphrase(&mut self, _passphrase: &Passphrase) {}
    }

    /// Everything that a check looks at, good as it is.
    struct Case {
        set: Set,
        names: Names,
        passphrase: Passphrase,
        now: SystemTime,
    }

    impl Case {
        fn new() -> Self {
            let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
            let names = Names::new(&Config::new("/"), &mut Local).expect("resolves");
            let passphrase = Passphrase::new("passphrase").expect("a good one");
            let validity = Validity::new(now, Duration::from_secs(3600)).expect("a good one");
            let set = certificates::make(KeyKind::EcdsaP256, validity, &names, &passphrase);
            Self { set: set.expect("can be made"), names, passphrase, now }
        }

        fn check(&self) -> Result<(), String> {
            let folder = tempfile::tempdir().expect("temporary directories can be made");
            let files = Files::new(&FileNames::default());
            let Set { ca, server, client } = &self.set;
            for (Pair { certificate, key }, names) in [
                (ca, (&files.ca_certificate, &files.ca_key)),
                (server, (&files.server_certificate, &files.server_key)),
                (client, (&files.client_certificate, &files.client_key)),
            ] {
                let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
                write(names.0, certificate).and(write(names.1, key)).expect("can be written");
            }
            check(folder.path(), &files, &self.passphrase, &self.names, self.now).map_err(|error| {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                format!("{error}: {}", source.unwrap_or_default())
            })
        }
    }

    #[test]
    fn a_good_set_passes() {
        Case::new().check().expect("works");
    }

    /// Whatever a defect, a full disk or a bad memory could make of it.
    #[test]
    fn what_would_fail_later_fails_here() {
        let other = Case::new();
        let check = |change: &dyn Fn(&mut Case), part: &str| {
            let mut case = Case::new();
            change(&mut case);
            let error = case.check().expect_err(part);
            assert!(error.contains(part), "{error}");
        };
        let copy =
            |pair: &Pair| Pair { certificate: pair.certificate.clone(), key: pair.key.clone() };
        check(&|case| case.set.server = copy(&other.set.server), "client dials `localhost`");
        check(&|case| case.set.client = copy(&other.set.client), "client dials `localhost`");
        check(&|case| case.set.ca = copy(&other.set.ca), "client dials `localhost`");
        check(&|case| case.set.server.key = other.set.server.key.clone(), "(server, ");
        check(&|case| case.set.client.key = other.set.client.key.clone(), "(client, ");
        check(
            &|case| {
                std::mem::swap(&mut case.set.server.certificate, &mut case.set.client.certificate)
            },
            "(server, ",
        );
        check(&|case| case.passphrase = Passphrase::new("another").expect("one"), "encrypt");
        check(&|case| case.set.ca.certificate.truncate(100), "ca.crt");
        check(&|case| case.set.ca.key.clear(), "ca.key");
        check(&|case| case.set.client.key.clear(), "client.key");
        check(&|case| case.now += Duration::from_secs(3601), "client dials");
        let mut elsewhere = Config::new("/");
        elsewhere.dns_names = vec!["elsewhere".to_owned()];
        let names = || Names::new(&elsewhere, &mut Local).expect("resolves");
        check(&|case| case.names = names(), "client dials `elsewhere`");
    }
}
