//! OpenSSL takes all of it, as Fluentd does, which rests on it. Where there is no `openssl`, the
//! tests say so and pass.

use std::process::{Command, Output};

use crate::rig::{NOW, PASSPHRASE, Rig, ecdsa, rsa};

/// Runs `openssl` in the directory; `None` where there is none.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see that one did nothing")]
fn openssl(rig: &Rig, arguments: &[&str]) -> Option<Output> {
    let run = Command::new("openssl").args(arguments).current_dir(rig.directory.path()).output();
    match run {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: no `openssl` can be run ({error})");
            None
        }
    }
}

fn good(rig: &Rig, arguments: &[&str]) -> Option<String> {
    let output = openssl(rig, arguments)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    Some(text(&output.stdout))
}

fn bad(rig: &Rig, arguments: &[&str]) -> bool {
    openssl(rig, arguments).is_none_or(|output| !output.status.success())
}

#[test]
fn strict_verification_takes_the_chain() {
    let now = NOW.to_string();
    for rig in [ecdsa(), rsa()] {
        let verify = |purpose: &'static str, file: &'static str| {
            [
                "verify",
                "-x509_strict",
                "-attime",
                &now,
                "-CAfile",
                "ca.crt",
                "-purpose",
                purpose,
                file,
            ]
            .map(str::to_owned)
        };
        for (purpose, file) in [("sslserver", "server.crt"), ("sslclient", "client.crt")] {
            let arguments = verify(purpose, file);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let Some(text) = good(rig, &arguments) else { return };
            assert_eq!(text, format!("{file}: OK\n"));
        }
        for (purpose, file) in [("sslclient", "server.crt"), ("sslserver", "client.crt")] {
            let arguments = verify(purpose, file);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            assert!(bad(rig, &arguments), "{file} is not for {purpose}");
        }
        for name in ["localhost", "fluentd"] {
            let text = good(rig, &["x509", "-in", "server.crt", "-noout", "-checkhost", name]);
            let Some(text) = text else { return };
            assert_eq!(text.contains("does match"), name == "localhost", "{text}");
        }
    }
}

#[test]
fn keys_are_sound_and_belong_to_their_certificates() {
    let pass = format!("pass:{PASSPHRASE}");
    for rig in [ecdsa(), rsa()] {
        for name in ["ca", "server", "client"] {
            let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
            let check = ["pkey", "-in", &key, "-passin", &pass, "-check", "-noout"];
            let Some(text) = good(rig, &check) else { return };
            assert!(text.contains("is valid"), "{name}: {text}");
            let of_key = good(rig, &["pkey", "-in", &key, "-passin", &pass, "-pubout"]);
            let of_certificate = good(rig, &["x509", "-in", &certificate, "-pubkey", "-noout"]);
            assert_eq!(of_key, of_certificate, "{name}");
        }
    }
}

#[test]
fn the_servers_key_opens_with_its_passphrase_alone() {
    for rig in [ecdsa(), rsa()] {
        for wrong in ["", "other", "a pass"] {
            let pass = format!("pass:{wrong}");
            assert!(bad(rig, &["pkey", "-in", "server.key", "-passin", &pass, "-noout"]));
        }
    }
}

/// PBES2 with PBKDF2, SHA-256 and AES-256-CBC: no scrypt, whose memory OpenSSL limits.
#[test]
fn the_servers_key_is_encrypted_as_openssl_does_it() {
    let Some(text) = good(ecdsa(), &["asn1parse", "-in", "server.key"]) else { return };
    for part in ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", ":0927C0"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("scrypt"), "{text}");
}
