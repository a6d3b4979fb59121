//! The identity file, and what is done with its parts before anything is dialled.

use ev_oracle::Choices;
use ev_source::IdentityFile;
use ev_tls::{Identity, Pem, Roots};

use super::with_words;

pub(super) fn run(input: &[u8]) {
    let file = match IdentityFile::parse(input) {
        Ok(file) => file,
        Err(error) => {
            // It may come from anywhere, a log included: no content is repeated.
            assert!(error.to_string().len() < 1000, "{error}");
            return;
        }
    };
    for part in [file.private_key(), file.tls_certificate(), file.tls_authorities()] {
        assert!(part.starts_with(b"-----BEGIN"), "each part is a PEM block");
    }
    let key = Pem::new("key", file.private_key());
    let certificate = Pem::new("certificate", file.tls_certificate());
    let authorities = Pem::new("authorities", file.tls_authorities());
    match Identity::from_pem(&certificate, &key) {
        Ok(identity) => {
            let facts = identity.leaf();
            // Any clock may be asked.
            for now in [i64::MIN, 0, 1_763_380_930, i64::MAX] {
                drop(identity.check(now));
            }
            assert!(!format!("{identity:?} {facts:?}").contains("PRIVATE KEY"));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match Roots::from_pem([&authorities]) {
        Ok(roots) => assert!(!roots.facts().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

pub(super) fn make(inputs: &[Vec<u8>], choices: &mut Choices<'_>) -> Vec<u8> {
    const WORDS: [&str; 18] = [
        "\n",
        "\r\n",
        " ",
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----\n",
        "-----BEGIN EC PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN ",
        "-----END",
        "-----",
        "MIIB",
        "====",
        "@cert-authority *.example.com ssh-ed25519 AAAA\n",
        "ssh-ed25519-cert-v01@openssh.com AAAA\n",
        "\0",
    ];
    with_words(inputs, &WORDS, choices)
}
