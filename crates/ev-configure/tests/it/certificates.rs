//! Fields of the certificates, and whether a verifier takes them.

use std::time::Duration;

use ev_configure::{Config, KeyKind};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::rig::{NOW, Rig, ecdsa, rsa};

fn der(rig: &Rig, name: &str) -> CertificateDer<'static> {
    let all: Vec<_> =
        CertificateDer::pem_file_iter(rig.path(name)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(all.len(), 1, "{name}");
    all.into_iter().next().unwrap()
}

/// What a certificate says, in words.
fn profile(der: &[u8]) -> Vec<String> {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    let mut lines = vec![
        format!("{} by {}", certificate.subject(), certificate.issuer()),
        format!("version {}", certificate.version()),
        format!(
            "from {} to {}",
            certificate.validity().not_before.timestamp(),
            certificate.validity().not_after.timestamp()
        ),
    ];
    for extension in certificate.extensions() {
        let critical = if extension.critical { " (critical)" } else { "" };
        let text = match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(basic) => {
                format!("CA {} path length {:?}", basic.ca, basic.path_len_constraint)
            }
            ParsedExtension::KeyUsage(usage) => format!("usage {usage}"),
            ParsedExtension::ExtendedKeyUsage(usage) => format!(
                "extended usage server {} client {} any {} others {}",
                usage.server_auth,
                usage.client_auth,
                usage.any,
                usage.other.len()
            ),
            ParsedExtension::SubjectAlternativeName(names) => {
                let names: Vec<_> = names.general_names.iter().map(name).collect();
                format!("names {}", names.join(", "))
            }
            ParsedExtension::SubjectKeyIdentifier(_) => "subject key identifier".to_owned(),
            ParsedExtension::AuthorityKeyIdentifier(_) => "authority key identifier".to_owned(),
            other => format!("{other:?}"),
        };
        lines.push(format!("{text}{critical}"));
    }
    lines
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress([a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
        GeneralName::IPAddress(ip) => format!("{ip:02x?}"),
        other => format!("{other:?}"),
    }
}

const TEN_YEARS: u64 = 87_600 * 3600;

/// K1: the generated set.
#[test]
fn k1_the_profile_is_the_reference_handlers_and_complete() {
    let validity = format!("from {} to {}", NOW - 300, NOW + TEN_YEARS);
    let names = "names localhost, 127.0.0.1, \
                 [00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 00, 01]";
    for rig in [ecdsa(), rsa()] {
        assert_eq!(
            profile(&der(rig, "ca.crt")),
            [
                "CN=CA by CN=CA",
                "version V3",
                &validity,
                "authority key identifier",
                "usage Key Cert Sign, CRL Sign (critical)",
                "subject key identifier",
                "CA true path length Some(0) (critical)",
            ]
        );
        for (file, subject, usage) in [
            ("server.crt", "CN=Server by CN=CA", "server true client false any false others 0"),
            ("client.crt", "CN=Client by CN=CA", "server false client true any false others 0"),
        ] {
            assert_eq!(
                profile(&der(rig, file)),
                [
                    subject,
                    "version V3",
                    &validity,
                    "authority key identifier",
                    names,
                    "usage Digital Signature (critical)",
                    &format!("extended usage {usage}"),
                    "subject key identifier",
                    "CA false path length None (critical)",
                ],
                "{file}"
            );
        }
    }
}

/// The identifiers point at the keys that they are of: a verifier finds the authority by them.
#[test]
fn key_identifiers_belong_together() {
    let identifiers = |der: &[u8]| {
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        let (mut subject, mut authority) = (Vec::new(), Vec::new());
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => subject = id.0.to_vec(),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    assert!(id.authority_cert_issuer.is_none());
                    authority = id.key_identifier.as_ref().unwrap().0.to_vec();
                }
                _ => {}
            }
        }
        (subject, authority)
    };
    let (ca, of_ca) = identifiers(&der(ecdsa(), "ca.crt"));
    assert!(ca.len() >= 20);
    assert_eq!(ca, of_ca);
    for file in ["server.crt", "client.crt"] {
        let (own, authority) = identifiers(&der(ecdsa(), file));
        assert_eq!(authority, ca, "{file}");
        assert_ne!(own, ca, "{file}");
    }
}

#[test]
fn serial_numbers_are_random_and_below_two_to_the_128() {
    let mut seen = std::collections::BTreeSet::new();
    for rig in [ecdsa(), rsa()] {
        for file in ["ca.crt", "server.crt", "client.crt"] {
            let der = der(rig, file);
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            let serial = certificate.raw_serial().to_vec();
            assert_eq!(serial.len(), 16, "{file}");
            assert!(serial[0] < 0x80, "{file} has a negative serial number");
            assert!(seen.insert(serial), "{file} has the serial number of another");
        }
    }
}

#[test]
fn keys_are_of_the_kind_and_length_asked_for() {
    for (rig, algorithm, bits, signature) in [
        (ecdsa(), "1.2.840.10045.2.1", 256, "1.2.840.10045.4.3.2"),
        (rsa(), "1.2.840.113549.1.1.1", 2048, "1.2.840.113549.1.1.11"),
    ] {
        for file in ["ca.crt", "server.crt", "client.crt"] {
            let der = der(rig, file);
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            let key = certificate.public_key();
            assert_eq!(key.algorithm.algorithm.to_id_string(), algorithm, "{file}");
            assert_eq!(certificate.signature_algorithm.algorithm.to_id_string(), signature);
            let parsed = key.parsed().unwrap();
            match parsed {
                x509_parser::public_key::PublicKey::RSA(rsa) => {
                    assert_eq!(rsa.key_size(), bits, "{file}");
                    assert_eq!(rsa.try_exponent().unwrap(), 65_537, "{file}");
                }
                x509_parser::public_key::PublicKey::EC(point) => {
                    assert_eq!(point.key_size(), bits, "{file}");
                }
                other => panic!("{file}: {other:?}"),
            }
        }
    }
}

/// The forms of the key files: PKCS#8 all of them, the server's encrypted.
#[test]
fn only_the_servers_key_is_encrypted() {
    for rig in [ecdsa(), rsa()] {
        for file in ["ca.key", "client.key"] {
            let text = rig.read(file);
            assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{file}");
            let key = PrivateKeyDer::from_pem_file(rig.path(file)).unwrap();
            assert!(matches!(key, PrivateKeyDer::Pkcs8(_)), "{file}");
        }
        let text = rig.read("server.key");
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        assert!(text.ends_with("-----END ENCRYPTED PRIVATE KEY-----\n"));
    }
}

fn verify(rig: &Rig, file: &str, usage: KeyUsage, at: u64) -> Result<(), webpki::Error> {
    let (ca, leaf) = (der(rig, "ca.crt"), der(rig, file));
    let anchor = [anchor_from_trusted_cert(&ca).unwrap()];
    let leaf = EndEntityCert::try_from(&leaf).unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let algorithms = [ring::ECDSA_P256_SHA256, ring::RSA_PKCS1_2048_8192_SHA256];
    leaf.verify_for_usage(&algorithms, &anchor, &[], time, usage, None, None).map(drop)
}

#[test]
fn webpki_takes_each_certificate_for_its_own_use_alone() {
    for rig in [ecdsa(), rsa()] {
        let own = |file, usage| verify(rig, file, usage, NOW);
        own("server.crt", KeyUsage::server_auth()).unwrap();
        own("client.crt", KeyUsage::client_auth()).unwrap();
        own("server.crt", KeyUsage::client_auth()).unwrap_err();
        own("client.crt", KeyUsage::server_auth()).unwrap_err();
        // From the first second to the last: clocks may differ by some minutes.
        verify(rig, "server.crt", KeyUsage::server_auth(), NOW - 300).unwrap();
        verify(rig, "server.crt", KeyUsage::server_auth(), NOW - 301).unwrap_err();
        verify(rig, "server.crt", KeyUsage::server_auth(), NOW + TEN_YEARS).unwrap();
        verify(rig, "server.crt", KeyUsage::server_auth(), NOW + TEN_YEARS + 1).unwrap_err();
    }
}

#[test]
fn certificates_of_one_set_are_strangers_to_another() {
    let other = der(rsa(), "server.crt");
    let ca = der(ecdsa(), "ca.crt");
    let anchor = [anchor_from_trusted_cert(&ca).unwrap()];
    let leaf = EndEntityCert::try_from(&other).unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let algorithms = [ring::ECDSA_P256_SHA256, ring::RSA_PKCS1_2048_8192_SHA256];
    let verified =
        leaf.verify_for_usage(&algorithms, &anchor, &[], time, KeyUsage::server_auth(), None, None);
    assert!(verified.is_err());
}

#[test]
fn names_addresses_and_validity_are_those_asked_for() {
    let mut rig = Rig::new();
    let config = Config {
        dns_names: vec!["fluentd.example.com".into(), "*.svc.local".into()],
        ips: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        ttl: Duration::from_secs(3600),
        key: KeyKind::EcdsaP256,
        ..rig.config()
    };
    rig.run(&config).unwrap();
    assert!(rig.resolved.is_empty(), "addresses are given");
    let server = der(&rig, "server.crt");
    let leaf = EndEntityCert::try_from(&server).unwrap();
    for good in ["fluentd.example.com", "any.svc.local", "192.0.2.7", "2001:db8::7"] {
        let name = ServerName::try_from(good).unwrap();
        leaf.verify_is_valid_for_subject_name(&name).expect(good);
    }
    for wrong in ["localhost", "example.com", "a.b.svc.local", "127.0.0.1"] {
        let name = ServerName::try_from(wrong).unwrap();
        leaf.verify_is_valid_for_subject_name(&name).expect_err(wrong);
    }
    verify(&rig, "server.crt", KeyUsage::server_auth(), NOW + 3600).unwrap();
    verify(&rig, "server.crt", KeyUsage::server_auth(), NOW + 3601).unwrap_err();
    // The settings dial a name that the certificate is for.
    let toml = rig.read("teleport-event-handler.toml");
    assert!(toml.contains("\nurl = \"https://fluentd.example.com:8888/events.log\"\n"), "{toml}");
}
