//! Reading, checking and re-reading files.

use std::fs;
use std::path::Path;

use ev_tls::{ClientOptions, ClientTls, Clock, CredentialFiles, Error, Identity, Pem, Roots};

use crate::pki::{Ca, NOW, VALID};

fn write(dir: &Path, ca: &[u8], certificate: &[u8], key: &[u8]) -> CredentialFiles {
    for (name, content) in [("ca.pem", ca), ("client.pem", certificate), ("client.key", key)] {
        fs::write(dir.join(name), content).expect("a writable directory");
    }
    CredentialFiles {
        ca: Some(dir.join("ca.pem")),
        certificate: Some(dir.join("client.pem")),
        key: Some(dir.join("client.key")),
        passphrase: None,
    }
}

fn client(files: &CredentialFiles) -> Result<ClientTls, Error> {
    ClientTls::new(files.clone(), ClientOptions::default(), Clock::new(|| NOW))
}

/// Message of the error and its causes, with the directory cut out.
fn message(dir: &Path, result: Result<ClientTls, Error>) -> String {
    let error = result.expect_err("must be refused");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.replace(&format!("{}/", dir.display()), "")
}

#[test]
fn errors_name_the_file_and_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let ca = Ca::new("Test CA");
    let (leaf, other) = (ca.issue("client", VALID), ca.issue("other", VALID));
    let check = |ca: &[u8], certificate: &[u8], key: &[u8], expected: &str| {
        let files = write(dir.path(), ca, certificate, key);
        assert_eq!(message(dir.path(), client(&files)), expected);
    };
    check(
        &ca.pem,
        &leaf.certificate,
        &other.key,
        "private key in `client.key` does not belong to the first certificate in `client.pem`",
    );
    check(&ca.pem, &leaf.key, &leaf.key, "no certificate in `client.pem` (it holds: PRIVATE KEY)");
    check(
        &ca.pem,
        &leaf.certificate,
        &leaf.certificate,
        "no private key in `client.key` (it holds: CERTIFICATE)",
    );
    check(b"", &leaf.certificate, &leaf.key, "no certificate in `ca.pem` (it holds no PEM block)");
    let expired = ca.issue("old", (2024, 2025));
    check(
        &ca.pem,
        &expired.certificate,
        &expired.key,
        "certificate `old` (issued by `Test CA`) in `client.pem` expired at \
         2025-01-01T00:00:00Z, it is now 2026-06-01T00:00:00Z",
    );
    let early = ca.issue("early", (2027, 2028));
    check(
        &ca.pem,
        &early.certificate,
        &early.key,
        "certificate `early` (issued by `Test CA`) in `client.pem` is not valid before \
         2027-01-01T00:00:00Z, it is now 2026-06-01T00:00:00Z: is the clock right?",
    );

    let good = write(dir.path(), &ca.pem, &leaf.certificate, &leaf.key);
    let lonely = CredentialFiles { key: None, ..good.clone() };
    assert_eq!(
        message(dir.path(), client(&lonely)),
        "`client.pem` is set without a private key: a client certificate needs both"
    );
    let missing = CredentialFiles { ca: Some(dir.path().join("none.pem")), ..good.clone() };
    assert!(
        message(dir.path(), client(&missing)).starts_with("failed to read `none.pem`: No such")
    );
    let directory = CredentialFiles { ca: Some(dir.path().to_owned()), ..good };
    assert!(matches!(client(&directory), Err(Error::ReadFile { .. })));
}

#[test]
fn damaged_certificates_are_counted_from_one() {
    let ca = Ca::new("Test CA");
    let mut text = ca.pem.clone();
    text.extend(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let error = Roots::from_pem([&Pem::new("ca.pem", text)]).expect_err("damaged");
    assert!(matches!(error, Error::BadCertificate { number: 2, .. }), "{error}");
}

#[test]
fn facts_and_keys_of_an_identity() {
    let ca = Ca::new("Test CA");
    let leaf = ca.issue("client", VALID);
    let identity = Identity::from_pem(&leaf.certificate_part(), &leaf.key_part()).expect("good");
    let facts = identity.leaf();
    assert_eq!((&*facts.subject, &*facts.issuer), ("client", "Test CA"));
    assert_eq!((facts.not_before, facts.not_after), (1_767_225_600, 1_798_761_600));
    assert!(identity.check(facts.not_after).is_ok());
    assert!(matches!(identity.check(facts.not_after + 1), Err(Error::Expired { .. })));
    let shown = format!("{identity:?} {:?}", leaf.key_part());
    let secret = String::from_utf8(leaf.key.clone()).expect("text");
    let secret = secret.lines().nth(1).expect("a key line");
    assert!(!shown.contains(secret), "{shown}");
}

#[test]
fn a_reload_takes_good_files_and_keeps_the_old_for_bad_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    let ca = Ca::new("Test CA");
    let (first, second) = (ca.issue("first", VALID), ca.issue("second", VALID));
    let files = write(dir.path(), &ca.pem, &first.certificate, &first.key);
    let tls = client(&files).expect("good files");
    let subject = || tls.identity_facts()[0].subject.clone();
    let before = tls.config();

    assert!(!tls.reload().expect("the same files"));
    assert!(std::sync::Arc::ptr_eq(&before, &tls.config()), "nothing changed");

    // Between the writing of one file and of the other the two do not match.
    write(dir.path(), &ca.pem, &second.certificate, &first.key);
    assert!(matches!(tls.reload(), Err(Error::KeyMismatch { .. })));
    assert_eq!(subject(), "first");

    write(dir.path(), &ca.pem, &second.certificate, &second.key);
    assert!(tls.reload().expect("good files"));
    assert_eq!(subject(), "second");
    assert!(!std::sync::Arc::ptr_eq(&before, &tls.config()));

    fs::remove_file(dir.path().join("ca.pem")).expect("it is there");
    assert!(matches!(tls.reload(), Err(Error::ReadFile { .. })));
    assert_eq!(subject(), "second");
}

#[test]
fn a_closure_is_a_source() {
    let ca = Ca::new("Test CA");
    let roots = ca.part();
    let source =
        move || Ok(ev_tls::Credentials { roots: Roots::from_pem([&roots])?, identity: None });
    let options = ClientOptions { server_name: Some("a b".into()), ..ClientOptions::default() };
    let error = ClientTls::new(source.clone(), options, Clock::new(|| NOW)).expect_err("a name");
    assert_eq!(error.to_string(), "`a b` is neither a host name nor an address");
    let tls = ClientTls::new(source, ClientOptions::default(), Clock::new(|| NOW)).expect("good");
    assert!(tls.identity_facts().is_empty());
    assert_eq!(tls.authority_facts().expect("given").subject, "Test CA");
    assert!(tls.check().is_ok());
    for (host, name) in [("[::1]", "::1"), ("127.0.0.1", "127.0.0.1"), ("a.example", "a.example")] {
        assert_eq!(tls.server_name(host).expect("a host").to_str(), name);
    }
}
