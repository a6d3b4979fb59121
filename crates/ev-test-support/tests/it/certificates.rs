use ev_test_support::certs::{Authority, Identity, IdentityBlock, KeyKind, LeafRequest, Validity};
use ev_test_support::{TlsVersions, client_config, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A handshake and one byte each way; the error of whoever refused.
async fn shake(
    server: (&Authority, Validity, TlsVersions),
    client: (&Authority, Validity, KeyKind, TlsVersions),
    name: &'static str,
) -> Result<(), String> {
    let (authority, validity, versions) = server;
    let leaf = authority.issue_auth_server("c.example", validity).expect("a certificate");
    let accept =
        server_config(&leaf, &[authority.cert_der()], versions, &["h2"]).expect("a server");
    let (signer, validity, key, versions) = client;
    let leaf = signer
        .issue(&LeafRequest {
            common_name: "bot".to_owned(),
            client: true,
            validity,
            key,
            ..LeafRequest::default()
        })
        .expect("a certificate");
    let connect =
        client_config(Some(&leaf), &[authority.cert_der()], versions, &["h2"]).expect("a client");
    let (near, far) = tokio::io::duplex(1 << 16);
    let serve = async {
        let mut stream = TlsAcceptor::from(accept).accept(far).await.map_err(|e| e.to_string())?;
        let byte = stream.read_u8().await.map_err(|e| e.to_string())?;
        stream.write_u8(byte).await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())
    };
    let ask = async {
        let name = name.try_into().expect("a good name");
        let mut stream =
            TlsConnector::from(connect).connect(name, near).await.map_err(|e| e.to_string())?;
        stream.write_u8(7).await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())?;
        stream.read_u8().await.map(drop).map_err(|e| e.to_string())
    };
    let (served, asked) = tokio::join!(serve, ask);
    served.and(asked)
}

#[tokio::test]
async fn an_auth_server_has_the_names_that_clients_verify() {
    let ca = Authority::new("ca").expect("an authority");
    for name in [
        "teleport.cluster.local",
        "632e6578616d706c65.teleport.cluster.local",
        "localhost",
        "127.0.0.1",
    ] {
        for versions in [TlsVersions::Only12, TlsVersions::Only13] {
            let server = (&ca, Validity::Long, versions);
            for key in [KeyKind::EcdsaP256, KeyKind::Ed25519] {
                let client = (&ca, Validity::Long, key, TlsVersions::Both);
                assert_eq!(shake(server, client, name).await, Ok(()), "{name}");
            }
        }
    }
    let both = TlsVersions::Both;
    let client = (&ca, Validity::Long, KeyKind::EcdsaP256, both);
    let wrong = shake((&ca, Validity::Long, both), client, "other.example").await;
    assert!(wrong.is_err());
}

#[tokio::test]
async fn expired_and_foreign_certificates_are_refused() {
    let (ca, other) = (Authority::new("ca").expect("one"), Authority::new("other").expect("one"));
    let name = "teleport.cluster.local";
    let both = TlsVersions::Both;
    let key = KeyKind::EcdsaP256;
    let good = (&ca, Validity::Long, both);
    for (server, client) in [
        (good, (&ca, Validity::Expired, key, both)),
        (good, (&ca, Validity::NotYet, key, both)),
        (good, (&other, Validity::Long, key, both)),
        ((&ca, Validity::Expired, both), (&ca, Validity::Long, key, both)),
        (
            (&ca, Validity::Long, TlsVersions::Only12),
            (&ca, Validity::Long, key, TlsVersions::Only13),
        ),
    ] {
        assert!(shake(server, client, name).await.is_err());
    }
}

#[test]
fn identity_files_have_teleports_form() {
    let ca = Authority::new("ca").expect("an authority");
    let leaf = ca.issue_teleport_client("bot", Validity::Long).expect("a certificate");
    let text = Identity::new(&leaf, "bot", "c.example", ca.cert_pem()).to_text();
    let marks: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("-----BEGIN") || line.contains(' '))
        .filter(|line| !line.starts_with("-----END"))
        .map(|line| line.split_inclusive(' ').next().unwrap_or_default())
        .collect();
    let ssh = "ssh-ed25519-cert-v01@openssh.com ";
    assert_eq!(marks, ["-----BEGIN ", ssh, "-----BEGIN ", "@cert-authority ", "-----BEGIN "]);
    assert!(text.ends_with("-----END CERTIFICATE-----\n"));

    let count = |text: &str| text.matches("-----BEGIN").count();
    for (block, left) in [
        (IdentityBlock::Key, 2),
        (IdentityBlock::TlsCertificate, 2),
        (IdentityBlock::TlsAuthorities, 2),
        (IdentityBlock::SshCertificate, 3),
        (IdentityBlock::SshAuthority, 3),
    ] {
        let identity = Identity::new(&leaf, "bot", "c.example", ca.cert_pem()).without(block);
        assert_eq!(count(&identity.to_text()), left, "{block:?}");
        assert!(identity.to_text().len() < text.len());
    }
}
