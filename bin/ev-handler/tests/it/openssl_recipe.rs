//! Keys made by hand, as `docs/configure.md` shows it, in use: on the other side the fake
//! receiver, on this one what the handler reads its own with. Where there is no `openssl`, the
//! test says so and passes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ev_test_support::certs::{self, Leaf};
use ev_test_support::{FakeFluentd, FluentdConfig, TlsVersions, loopback, server_config};
use ev_tls::{ClientOptions, ClientTls, Clock, CredentialFiles};

use crate::configure_command::open;
use crate::stage::now;

const PASS: &str = "12345678";

#[expect(clippy::print_stderr, reason = "whoever runs the tests must see that one did nothing")]
fn make_keys(dir: &Path) -> bool {
    if let Err(error) = Command::new("openssl").arg("version").output() {
        eprintln!("skipped: no `openssl` can be run ({error})");
        return false;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openssl/make-keys.sh");
    let mut command = Command::new("sh");
    command.arg(script).arg(dir).env("PASS", PASS).env("KEYLEN", "2048");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_made_by_hand_work_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    if !make_keys(dir.path()) {
        return;
    }
    let path = |name: &str| dir.path().join(name);
    for key in ["ca.key", "server.key", "client.key"] {
        let mode = std::fs::metadata(path(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }

    // OpenSSL before 3.0 and LibreSSL write the old form, which Fluentd reads and nobody here.
    let server_key = std::fs::read_to_string(path("server.key")).unwrap();
    assert!(server_key.contains("ENCRYPTED"), "{server_key}");
    if server_key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        open(&path("server.key"), "another").unwrap_err();
        std::fs::write(path("opened.key"), open(&path("server.key"), PASS).unwrap()).unwrap();
    } else {
        let (from, to) = (path("server.key"), path("opened.key"));
        let mut command = Command::new("openssl");
        command.args(["pkcs8", "-topk8", "-nocrypt", "-passin"]).arg(format!("pass:{PASS}"));
        assert!(command.arg("-in").arg(from).arg("-out").arg(to).status().unwrap().success());
    }
    let leaf = Leaf::load(&path("server.crt"), &path("opened.key")).unwrap();
    let clients = certs::load(&path("ca.crt")).unwrap();
    let tls = server_config(&leaf, &clients, TlsVersions::Only12, &[]).unwrap();
    let config = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
    let fluentd = FakeFluentd::start(loopback().unwrap(), config).unwrap();

    let files = CredentialFiles {
        ca: Some(path("ca.crt")),
        certificate: Some(path("client.crt")),
        key: Some(path("client.key")),
        ..Default::default()
    };
    let seconds = i64::try_from(now().as_nanos() / 1_000_000_000).unwrap();
    let client = ClientTls::new(files, ClientOptions::default(), Clock::new(move || seconds));
    let client = client.unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let stream = tokio::net::TcpStream::connect(fluentd.addr()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(client.config());
        let shaken = connector.connect(client.server_name(host).unwrap(), stream);
        tokio::time::timeout(Duration::from_secs(60), shaken).await.unwrap().expect(host);
    }
}

/// The sections that are in the guide, used or not.
#[test]
fn the_configuration_of_openssl_has_its_sections() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openssl/ssl.conf");
    let text = std::fs::read_to_string(file).unwrap();
    for section in ["req", "subject", "v3_ca", "client_cert", "server_cert", "crl_ext", "ocsp"] {
        assert!(text.contains(&format!("\n[{section}]\n")), "{section}");
    }
    let squeezed = text.replace(' ', "");
    for line in [
        "default_bits=4096",
        "default_md=sha256",
        "string_mask=utf8only",
        "x509_extensions=v3_ca",
        "countryName_default=US",
        "stateOrProvinceName_default=USA",
        "localityName_default=",
        "0.organizationName_default=Teleport",
        "commonName_default=localhost",
        "basicConstraints=critical,CA:true,pathlen:0",
        "keyUsage=critical,cRLSign,keyCertSign",
        "nsCertType=client,email",
        "keyUsage=critical,nonRepudiation,digitalSignature,keyEncipherment",
        "extendedKeyUsage=clientAuth,emailProtection",
        "nsCertType=server",
        "keyUsage=critical,digitalSignature,keyEncipherment",
        "extendedKeyUsage=serverAuth",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "extendedKeyUsage=critical,OCSPSigning",
    ] {
        assert!(squeezed.lines().any(|text| text == line), "{line}");
    }
}
