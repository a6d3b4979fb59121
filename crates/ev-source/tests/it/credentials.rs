use std::sync::Arc;

use ev_core::{Source, SourceError};
use ev_source::{Config, Credentials, Error, IdentityFile, SearchSource};
use ev_test_support::certs::{Authority, Identity, IdentityBlock, Validity};
use ev_test_support::{TlsVersions, server_config};
use proptest::prelude::*;

use crate::rig::{CLUSTER, Rig, certs, identity_text};

/// The error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn refused(rig: &Rig, config: Config) -> String {
    let error: Error =
        SearchSource::new(config, Arc::new(rig.env.clone())).expect_err("unusable credentials");
    let text = chain(&error);
    assert!(!text.contains("PRIVATE KEY-----\n"), "{text}");
    let as_source = SourceError::from(error);
    assert!(!as_source.is_retryable());
    text
}

#[test]
fn what_our_servers_write_is_read() {
    let file = IdentityFile::parse(identity_text().as_bytes()).expect("a whole file");
    assert!(file.ssh_certificate().is_some());
    assert_eq!(file.ssh_authorities().len(), 1);
    assert_eq!(file.private_key(), certs().client.key_pem.replace('\r', "").as_bytes());
}

#[tokio::test]
async fn a_missing_block_is_named() {
    let rig = Rig::new();
    let path = rig.dir.path().join("identity");
    let check = |without: IdentityBlock, text: &str| {
        let certs = certs();
        let identity = Identity::new(&certs.client, "ev", CLUSTER, certs.authority.cert_pem());
        std::fs::write(&path, identity.without(without).to_text()).expect("a file");
        let got = refused(&rig, rig.config());
        assert!(got.contains(text), "{got}");
        assert!(got.contains(&path.display().to_string()), "{got}");
    };
    check(IdentityBlock::Key, "its private key is expected in line 2");
    check(IdentityBlock::TlsAuthorities, "it has no TLS CA certificate");
    // A CA stands in the place of the client certificate then, and is none.
    check(IdentityBlock::TlsCertificate, "it has no TLS CA certificate");
    std::fs::remove_file(&path).expect("it was there");
    assert!(refused(&rig, rig.config()).contains("failed to read identity file"));
}

#[tokio::test]
async fn parts_that_are_not_needed_may_be_missing() {
    let rig = Rig::new();
    let certs = certs();
    let identity = Identity::new(&certs.client, "ev", CLUSTER, certs.authority.cert_pem())
        .without(IdentityBlock::SshCertificate)
        .without(IdentityBlock::SshAuthority);
    std::fs::write(rig.dir.path().join("identity"), identity.to_text()).expect("a file");
    rig.source(rig.config()).survey().await.expect("an answer");
}

#[tokio::test]
async fn an_expired_certificate_is_told_at_start() {
    let rig = Rig::new();
    let certs = certs();
    let expired = certs.authority.issue_teleport_client("ev", Validity::Expired).expect("one");
    let identity = Identity::new(&expired, "ev", CLUSTER, certs.authority.cert_pem());
    std::fs::write(rig.dir.path().join("identity"), identity.to_text()).expect("a file");
    let text = refused(&rig, rig.config());
    assert!(text.contains("expired at 2002"), "{text}");
}

#[tokio::test]
async fn files_of_their_own_do_as_well() {
    let rig = Rig::new();
    let certs = certs();
    let write = |name: &str, text: &str| {
        let path = rig.dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let credentials = Credentials::Files {
        certificate: write("client.crt", &certs.client.cert_pem),
        key: write("client.key", &certs.client.key_pem),
        ca: write("ca.crt", certs.authority.cert_pem()),
    };
    let config = Config { credentials, ..rig.config() };
    rig.source(config.clone()).survey().await.expect("an answer");
    std::fs::remove_file(rig.dir.path().join("ca.crt")).expect("it was there");
    assert!(refused(&rig, config).contains("ca.crt"));
}

#[tokio::test]
async fn auth_with_a_certificate_of_another_ca_is_refused_until_it_has_a_good_one() {
    let rig = Rig::new();
    let certs = certs();
    let stranger = Authority::new("stranger").expect("an authority");
    let leaf = stranger.issue_auth_server(CLUSTER, Validity::Long).expect("a certificate");
    let clients = [certs.authority.cert_der()];
    let tls = |leaf| server_config(leaf, &clients, TlsVersions::Both, &["h2"]).expect("usable");
    rig.auth.stop().await;
    rig.auth.set_tls(tls(&leaf));
    rig.auth.start_again().await.expect("the same port");
    let mut source = rig.source(rig.config());
    let survey = source.survey();
    tokio::pin!(survey);
    while rig.auth.tally().handshakes_failed < 2 {
        tokio::select! {
            biased;
            _ = &mut survey => panic!("a stranger is believed"),
            () = tokio::task::yield_now() => {}
        }
    }
    rig.auth.stop().await;
    rig.auth.set_tls(tls(&certs.server));
    rig.auth.start_again().await.expect("the same port");
    survey.await.expect("an answer");
}

#[tokio::test]
async fn credentials_are_read_again_for_the_next_connection() {
    let rig = Rig::new();
    let certs = certs();
    // Auth takes clients of another CA from now on, and ours has no such certificate yet.
    let other = Authority::new("other").expect("an authority");
    let clients = [other.cert_der()];
    let tls = server_config(&certs.server, &clients, TlsVersions::Both, &["h2"]).expect("usable");
    rig.auth.stop().await;
    rig.auth.set_tls(tls);
    rig.auth.start_again().await.expect("the same port");
    let refresh = Some(std::time::Duration::from_secs(10));
    let mut source = rig.source(Config { refresh, ..rig.config() });
    let survey = source.survey();
    tokio::pin!(survey);
    while rig.auth.tally().handshakes_failed < 2 {
        tokio::select! {
            biased;
            _ = &mut survey => panic!("a certificate of the wrong CA is taken"),
            () = tokio::task::yield_now() => {}
        }
    }
    let fresh = other.issue_teleport_client("ev", Validity::Long).expect("a certificate");
    let identity = Identity::new(&fresh, "ev", CLUSTER, certs.authority.cert_pem());
    std::fs::write(rig.dir.path().join("identity"), identity.to_text()).expect("a file");
    survey.await.expect("an answer");
}

/// Lines of which identity files are made, good and bad.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"-----BEGIN PRIVATE KEY-----".to_vec()),
        Just(b"-----END PRIVATE KEY-----".to_vec()),
        Just(b"-----BEGIN CERTIFICATE-----".to_vec()),
        Just(b"-----END CERTIFICATE-----".to_vec()),
        Just(b"ssh-rsa-cert-v01@openssh.com AAAA".to_vec()),
        Just(b"@cert-authority * ssh-rsa AAAA".to_vec()),
        Just(b"-----BEGIN".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn no_file_makes_the_parser_panic(lines in prop::collection::vec(line(), 0..30)) {
        let file = lines.join(&b'\n');
        if let Ok(identity) = IdentityFile::parse(&file) {
            prop_assert!(identity.private_key().starts_with(b"-----BEGIN PRIVATE KEY-----\n"));
            prop_assert!(identity.tls_certificate().starts_with(b"-----BEGIN CERTIFICATE-----\n"));
            prop_assert!(identity.tls_authorities().starts_with(b"-----BEGIN CERTIFICATE-----\n"));
        }
    }

    #[test]
    fn errors_show_nothing_of_the_file(secret in "[a-z0-9+/]{24,60}", lines in prop::collection::vec(line(), 0..10)) {
        let mut file = lines.join(&b'\n');
        file.extend_from_slice(format!("\n-----BEGIN {secret}\n{secret}\n").as_bytes());
        if let Err(error) = IdentityFile::parse(&file) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(&secret));
        }
    }
}
