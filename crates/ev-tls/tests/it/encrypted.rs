//! Private keys that are protected by a passphrase, in the forms that OpenSSL writes.

use std::fs;
use std::path::PathBuf;

use ev_tls::{
    ClientOptions, ClientTls, Clock, CredentialFiles, Error, Identity, Passphrase,
    PassphraseSource, Pem, open_mode,
};
use proptest::prelude::*;

use crate::pki::NOW;

const PASSPHRASE: &str = "correct-horse";
const READABLE: &[&str] = &[
    "pbkdf2.pem",
    "pbkdf2-sha1.pem",
    "pbkdf2-des3.pem",
    "scrypt.pem",
    "old-aes-128-cbc.pem",
    "old-aes-192-cbc.pem",
    "old-aes-256-cbc.pem",
    "old-des3.pem",
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/encrypted")).join(name)
}

fn pem(name: &str) -> Pem {
    Pem::new(name, fs::read(path(name)).expect("checked in"))
}

fn open(name: &str, passphrase: Option<&str>) -> Result<Identity, Error> {
    let passphrase = passphrase.map(Passphrase::new);
    Identity::from_encrypted_pem(&pem("client.crt"), &pem(name), passphrase.as_ref())
}

#[test]
fn every_form_opens_to_the_same_key() {
    open("plain.pem", None).expect("not encrypted");
    open("plain.pem", Some("needless")).expect("not encrypted");
    for name in READABLE {
        // That it belongs to the certificate shows that it is the right one.
        open(name, Some(PASSPHRASE)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn keys_by_the_recipes_of_the_guides_open() {
    for name in ["rsa-old.pem", "rsa-new.pem"] {
        let key = pem(name).private_key_with(Some(&Passphrase::new(PASSPHRASE)));
        key.unwrap_or_else(|error| panic!("{name}: {error}"));
        // It is a usable key, only not that of the certificate.
        let error = open(name, Some(PASSPHRASE)).expect_err("another key");
        assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
    }
}

#[test]
fn an_absent_or_wrong_passphrase_is_told() {
    for name in READABLE {
        let error = open(name, None).expect_err("no passphrase");
        assert!(matches!(error, Error::EncryptedKey { .. }), "{error}");
        let error = open(name, Some("wrong-horse")).expect_err("the wrong passphrase");
        assert!(matches!(error, Error::WrongPassphrase { .. }), "{name}: {error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("horse"), "{text}");
    }
}

/// In the older form nothing but the padding tells a wrong passphrase, and chance makes a good one
/// once in 256 times.
#[test]
fn no_wrong_passphrase_opens_the_older_form_by_chance() {
    let (certificate, key) = (pem("client.crt"), pem("old-aes-256-cbc.pem"));
    for n in 0..2_000 {
        let passphrase = Passphrase::new(format!("guess {n}"));
        let error = Identity::from_encrypted_pem(&certificate, &key, Some(&passphrase));
        let error = error.expect_err("a guess");
        assert!(matches!(error, Error::WrongPassphrase { .. }), "{error}");
    }
}

#[test]
fn forms_that_are_not_read_say_what_to_do() {
    for (name, how) in [("old-aria.pem", "ARIA-256-CBC"), ("pbes1.pem", "")] {
        let error = open(name, Some(PASSPHRASE)).expect_err("not supported").to_string();
        assert!(error.contains(how), "{error}");
        assert!(error.contains("`openssl pkcs8 -topk8 -v2 aes-256-cbc`"), "{error}");
    }
}

#[test]
fn damaged_keys_are_errors() {
    let text = |name| fs::read_to_string(path(name)).expect("checked in");
    let check = |text: String, message: &str| {
        let key = Pem::new("k.pem", text);
        let error = key.private_key_with(Some(&Passphrase::new(PASSPHRASE)));
        let error = error.expect_err("damaged").to_string();
        assert!(error.contains(message), "{error}");
    };
    let old = text("old-aes-256-cbc.pem");
    check(old.replace("DEK-Info: AES-256-CBC,", "DEK-Info: "), "`DEK-Info`");
    check(old.replace("DEK-Info: AES-256-CBC,", "DEK-Info: AES-256-CBC,zz"), "`DEK-Info`");
    check(old.replace("DEK-Info: AES-256-CBC,", "DEK-Info: AES-256-CBC,00"), "`DEK-Info`");
    check(old.replace("EC PRIVATE KEY", "DSA PRIVATE KEY"), "only RSA and EC keys");
    check(old.replace("DEK-Info", "X-Info"), "`DEK-Info`");
    let body = text("pbkdf2.pem");
    check(body.replacen("MI", "!!", 1), "not base64");
    check(body.replacen("MI", "AA", 1), "is encrypted with");
}

#[test]
fn a_passphrase_comes_from_a_file_or_from_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("passphrase");
    let tls = |passphrase: PassphraseSource| {
        let files = CredentialFiles {
            ca: Some(path("client.crt")),
            certificate: Some(path("client.crt")),
            key: Some(path("pbkdf2.pem")),
            passphrase: Some(passphrase),
        };
        ClientTls::new(files, ClientOptions::default(), Clock::new(|| NOW + 365 * 86_400))
    };
    tls(PassphraseSource::Known(Passphrase::new(PASSPHRASE))).expect("the right one");
    for end in ["", "\n", "\r\n"] {
        fs::write(&file, format!("{PASSPHRASE}{end}")).expect("a file");
        tls(PassphraseSource::File(file.clone())).expect("the right one");
    }
    // Only one line end is none of it, and blanks are.
    for text in ["correct-horse\n\n", "correct-horse ", " correct-horse"] {
        fs::write(&file, text).expect("a file");
        let error = tls(PassphraseSource::File(file.clone())).expect_err("another one");
        assert!(matches!(error, Error::WrongPassphrase { .. }), "{text:?}: {error}");
    }
    fs::write(&file, "\n").expect("a file");
    let error = tls(PassphraseSource::File(file.clone())).expect_err("nothing");
    assert!(matches!(error, Error::EmptyPassphrase { .. }), "{error}");
    fs::remove_file(&file).expect("it was there");
    let error = tls(PassphraseSource::File(file)).expect_err("no file");
    assert!(matches!(error, Error::ReadFile { .. }), "{error}");
}

#[test]
fn a_passphrase_is_never_printed() {
    let known = PassphraseSource::Known(Passphrase::new(PASSPHRASE));
    let files = CredentialFiles { passphrase: Some(known), ..Default::default() };
    let shown = format!("{files:?}");
    assert!(!shown.contains("horse") && shown.contains("not shown"), "{shown}");
}

#[cfg(unix)]
#[test]
fn modes_wider_than_the_owner_are_noticed() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("client.key");
    fs::write(&file, "key").expect("a file");
    let check = |mode: u32, open: Option<u32>| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("ours");
        assert_eq!(open_mode(&file), open, "{mode:o}");
    };
    check(0o600, None);
    check(0o400, None);
    check(0o700, None);
    check(0o640, Some(0o640));
    check(0o604, Some(0o604));
    check(0o444, Some(0o444));
    assert_eq!(open_mode(&dir.path().join("none")), None);
}

proptest! {
    #[test]
    fn nothing_encrypted_can_make_us_panic(
        label in "(ENCRYPTED |RSA |EC |)PRIVATE KEY",
        head in "(Proc-Type: 4,ENCRYPTED\nDEK-Info: [A-Z0-9-]{0,12},[0-9A-F]{0,40}\n\n|)",
        body in "[A-Za-z0-9+/=\n]{0,200}",
    ) {
        let text = format!("-----BEGIN {label}-----\n{head}{body}\n-----END {label}-----\n");
        let _any = Pem::new("k", text).private_key_with(Some(&Passphrase::new("p")));
    }
}
