//! Handshakes in memory, with what an operator reads when one fails.

use std::sync::Arc;

use ev_tls::{
    ClientOptions, ClientTls, Clock, Credentials, Identity, Roots, describe_tls_error,
    is_refusal_of_us,
};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use crate::pki::{Ca, Leaf, NOW, VALID};

/// A server that demands a certificate of `ca`, if one is given.
fn server(
    leaf: &Leaf,
    ca: Option<&Ca>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clock = Arc::new(Clock::new(|| NOW));
    let builder = ServerConfig::builder_with_details(provider.clone(), clock)
        .with_protocol_versions(versions)
        .expect("versions");
    let builder = match ca {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for der in ca.part().certificates().expect("a CA") {
                roots.add(der).expect("a CA");
            }
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .expect("a verifier"),
            )
        }
        None => builder.with_no_client_auth(),
    };
    let chain = leaf.certificate_part().certificates().expect("a chain");
    let key = leaf.key_part().private_key().expect("a key");
    let mut config = builder.with_single_cert(chain, key).expect("a certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn client(ca: &Ca, leaf: Option<&Leaf>, options: ClientOptions) -> ClientTls {
    let (roots, leaf) = (ca.part(), leaf.map(|l| (l.certificate_part(), l.key_part())));
    let source = move || {
        let identity = leaf.as_ref().map(|(c, k)| Identity::from_pem(c, k)).transpose()?;
        Ok(Credentials { roots: Roots::from_pem([&roots])?, identity })
    };
    ClientTls::new(source, options, Clock::new(|| NOW)).expect("good credentials")
}

/// Runs both ends until nothing moves; the client's error, or its end.
fn shake(
    tls: &ClientTls,
    host: &str,
    server: Arc<ServerConfig>,
) -> Result<ClientConnection, rustls::Error> {
    let name = tls.server_name(host).expect("a host");
    let mut client = ClientConnection::new(tls.config(), name).expect("a client");
    let mut server = ServerConnection::new(server).expect("a server");
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory");
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            server.read_tls(&mut wire).expect("memory");
        }
        // What the server thinks of it reaches the client as an alert.
        let _refused = server.process_new_packets().is_err();
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            client.read_tls(&mut wire).expect("memory");
        }
        client.process_new_packets()?;
    }
    assert!(!client.is_handshaking());
    Ok(client)
}

#[test]
fn mutual_tls_with_either_version() {
    let ca = Ca::new("Test CA");
    let (server_leaf, leaf) = (ca.issue("fluentd", VALID), ca.issue("client", VALID));
    let tls = client(&ca, Some(&leaf), ClientOptions::default());
    for version in [&TLS12, &TLS13] {
        let done = shake(&tls, "fluentd", server(&server_leaf, Some(&ca), &[version]));
        let done = done.expect("a handshake");
        assert_eq!(done.protocol_version(), Some(version.version));
        assert_eq!(done.alpn_protocol(), None);
    }
}

#[test]
fn a_fixed_name_holds_for_every_host() {
    let ca = Ca::new("Test CA");
    let server_leaf = ca.issue("teleport.cluster.local", VALID);
    let options = ClientOptions {
        alpn: vec![b"h2".to_vec()],
        server_name: Some("teleport.cluster.local".into()),
    };
    let tls = client(&ca, None, options);
    let done = shake(&tls, "10.0.0.7", server(&server_leaf, None, &[&TLS13])).expect("a handshake");
    assert_eq!(done.alpn_protocol(), Some(&b"h2"[..]));
}

#[test]
fn the_certificate_is_presented_to_a_server_that_names_other_cas() {
    // The server names only its own CA as acceptable; a client that minds the list would send
    // nothing and be told `CertificateRequired` instead of `UnknownCA`.
    let (ca, other) = (Ca::new("Test CA"), Ca::new("Other CA"));
    let (server_leaf, leaf) = (ca.issue("fluentd", VALID), other.issue("client", VALID));
    let tls = client(&ca, Some(&leaf), ClientOptions::default());
    for version in [&TLS12, &TLS13] {
        let result = shake(&tls, "fluentd", server(&server_leaf, Some(&ca), &[version]));
        let error = result.expect_err("another CA");
        assert!(is_refusal_of_us(&error), "{error}");
        let text = describe_tls_error(&error);
        assert!(text.contains("does not trust the CA of our client certificate"), "{text}");
    }
}

#[test]
fn failures_are_described() {
    let (ca, other) = (Ca::new("Test CA"), Ca::new("Other CA"));
    let leaf = ca.issue("client", VALID);
    let check = |trusted: &Ca, server_leaf: &Leaf, host: &str, expected: &str| {
        let tls = client(trusted, Some(&leaf), ClientOptions::default());
        let result = shake(&tls, host, server(server_leaf, None, &[&TLS12, &TLS13]));
        let text = describe_tls_error(&result.expect_err("must fail"));
        assert_eq!(text, expected);
    };
    check(
        &other,
        &ca.issue("fluentd", VALID),
        "fluentd",
        "certificate of the server is not signed by a trusted CA: check that the CA file is the \
         one that issued it",
    );
    check(
        &ca,
        &ca.issue("fluentd", (2024, 2025)),
        "fluentd",
        "certificate of the server expired at 2025-01-01T00:00:00Z, it is now \
         2026-06-01T00:00:00Z",
    );
    check(
        &ca,
        &ca.issue("fluentd", (2027, 2028)),
        "fluentd",
        "certificate of the server is not valid before 2027-01-01T00:00:00Z, it is now \
         2026-06-01T00:00:00Z: is the clock right?",
    );
    check(
        &ca,
        &ca.issue("fluentd", VALID),
        "other.example",
        "certificate of the server is not valid for `other.example`, only for fluentd",
    );
}

#[test]
fn a_missing_client_certificate_is_described() {
    let ca = Ca::new("Test CA");
    let server_leaf = ca.issue("fluentd", VALID);
    let tls = client(&ca, None, ClientOptions::default());
    for (version, expected) in [(&TLS12, "client certificate"), (&TLS13, "client certificate")] {
        let result = shake(&tls, "fluentd", server(&server_leaf, Some(&ca), &[version]));
        let error = result.expect_err("no certificate");
        assert!(is_refusal_of_us(&error), "{error}");
        let text = describe_tls_error(&error);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_plain_http_port_is_recognised() {
    let ca = Ca::new("Test CA");
    let tls = client(&ca, None, ClientOptions::default());
    let name = tls.server_name("fluentd").expect("a host");
    let mut connection = ClientConnection::new(tls.config(), name).expect("a client");
    connection.read_tls(&mut &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]).expect("memory");
    let error = connection.process_new_packets().expect_err("no TLS");
    let text = describe_tls_error(&error);
    assert_eq!(text, "the server does not answer in TLS: is this a plain HTTP port?");
}
