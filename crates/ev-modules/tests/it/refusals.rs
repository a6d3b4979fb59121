//! Every check has an artifact made for it, and the checks come in their order.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::{ArtifactKind, SignedArtifact, Timestamp};
use ev_modules::{
    Expectation, MAX_ENVELOPE_BYTES, Manifest, Refusal, SigningKey, SizeLimits, Trust, sha256,
    verify, verify_envelope,
};

use crate::support::{NOW, manifest, signed, table, version};

const PAYLOAD: &[u8] = b"the bytes of a table";

struct Case {
    key: SigningKey,
    trust: Trust,
    now: Timestamp,
    limits: SizeLimits,
}

impl Case {
    fn new() -> Self {
        let key = SigningKey::generate().unwrap();
        let trust = Trust::key(key.public_key());
        let limits = SizeLimits { module: 100, table: 100 };
        Self { key, trust, now: NOW, limits }
    }

    fn trusting(key: SigningKey, json: String) -> Self {
        let trust = Trust::from_json(json.as_bytes(), Path::new("trust.json")).unwrap();
        Self { key, trust, ..Self::new() }
    }

    fn verify(&self, artifact: &SignedArtifact) -> Result<Manifest, Refusal> {
        let expectation = Expectation {
            auth_version: &version("18.1.0"),
            kinds: &[ArtifactKind::Table, ArtifactKind::Module],
            module_abis: &[1],
            table_formats: &[1],
            limits: self.limits,
            now: self.now,
        };
        verify(artifact, &self.trust, &expectation).map(|verified| verified.manifest().clone())
    }

    /// Changes the good manifest, signs it, and returns why it is refused.
    fn refused(&self, change: impl FnOnce(&mut Manifest)) -> Refusal {
        let mut manifest = manifest(&self.key, PAYLOAD);
        change(&mut manifest);
        self.verify(&signed(&self.key, &manifest, PAYLOAD)).expect_err("must be refused")
    }
}

fn key_json(key: &SigningKey, more: &str) -> String {
    format!(r#"{{"public_key":"{}"{more}}}"#, BASE64_STANDARD.encode(key.public_key()))
}

#[test]
fn a_good_artifact_passes() {
    let case = Case::new();
    let good = table(&case.key, PAYLOAD);
    assert_eq!(case.verify(&good), Ok(manifest(&case.key, PAYLOAD)));
}

#[test]
fn untrusted_key() {
    let case = Case::new();
    let other = SigningKey::generate().unwrap();
    assert_eq!(
        case.verify(&table(&other, PAYLOAD)),
        Err(Refusal::UntrustedKey { key_ids: other.key_id().to_string() })
    );
    let nobody = Case { trust: Trust::nobody(), ..case };
    let refusal = nobody.verify(&table(&nobody.key, PAYLOAD)).unwrap_err();
    assert_eq!(refusal.reason(), "untrusted-key");
}

#[test]
fn another_key_under_a_trusted_name() {
    let case = Case::new();
    let other = SigningKey::generate().unwrap();
    let forged = table(&other, PAYLOAD);
    let envelope = String::from_utf8(forged.envelope.to_vec()).unwrap();
    let envelope = envelope.replace(&other.key_id().to_string(), &case.key.key_id().to_string());
    let forged = SignedArtifact { envelope: envelope.into(), ..forged };
    assert_eq!(case.verify(&forged), Err(Refusal::BadSignature { key_id: case.key.key_id() }));
}

#[test]
fn keys_count_only_between_their_borders() {
    let validity = r#","not_before":"2025-01-01T00:00:00Z","not_after":"2026-01-01T00:00:00Z""#;
    let key = SigningKey::generate().unwrap();
    let json = format!(r#"{{"keys":[{}]}}"#, key_json(&key, validity));
    let mut case = Case::trusting(key, json);
    let good = table(&case.key, PAYLOAD);
    let (from, to) = (Timestamp::new(1_735_689_600, 0), Timestamp::new(1_767_225_600, 0));
    let key_id = case.key.key_id();
    for now in [from, NOW, to] {
        case.now = now;
        assert!(case.verify(&good).is_ok(), "{now}");
    }
    case.now = from.plus_seconds(-1);
    assert_eq!(case.verify(&good), Err(Refusal::KeyNotYetValid { key_id, not_before: from }));
    case.now = to.plus_seconds(1);
    assert_eq!(case.verify(&good), Err(Refusal::KeyExpired { key_id, not_after: to }));
}

#[test]
fn every_flipped_bit_of_an_envelope_is_refused_or_means_the_same() {
    let case = Case::new();
    let good = table(&case.key, PAYLOAD);
    let expected = manifest(&case.key, PAYLOAD);
    for at in 0..good.envelope.len() {
        for bit in 0..8 {
            let mut envelope = good.envelope.to_vec();
            envelope[at] ^= 1 << bit;
            let odd = SignedArtifact { envelope: envelope.into(), payload: good.payload.clone() };
            // Unauthenticated parts may change: white space, or unused bits of base64.
            if let Ok(manifest) = case.verify(&odd) {
                assert_eq!(manifest, expected, "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn every_flipped_byte_of_the_manifest_breaks_the_signature() {
    let case = Case::new();
    let body = manifest(&case.key, PAYLOAD).to_json();
    let signature = {
        let envelope = case.key.sign_body(&body);
        let json: serde_json::Value = serde_json::from_slice(&envelope).unwrap();
        json["signatures"].clone()
    };
    for at in 0..body.len() {
        let mut body = body.clone();
        body[at] ^= 1;
        let envelope = serde_json::json!({
            "payloadType": ev_modules::PAYLOAD_TYPE,
            "payload": BASE64_STANDARD.encode(&body),
            "signatures": signature,
        });
        let odd = SignedArtifact { envelope: envelope.to_string().into(), payload: PAYLOAD.into() };
        let key_id = case.key.key_id();
        assert_eq!(case.verify(&odd), Err(Refusal::BadSignature { key_id }), "byte {at}");
    }
}

#[test]
fn the_type_is_signed_too() {
    let case = Case::new();
    let good = table(&case.key, PAYLOAD);
    let envelope = String::from_utf8(good.envelope.to_vec()).unwrap();
    let envelope = envelope.replace("vnd.ev.decoder", "vnd.ev.other");
    let odd = SignedArtifact { envelope: envelope.into(), ..good };
    let found = "application/vnd.ev.other+json".to_owned();
    assert_eq!(case.verify(&odd), Err(Refusal::WrongPayloadType { found }));
}

#[test]
fn malformed_and_oversized_envelopes() {
    let case = Case::new();
    let good = table(&case.key, PAYLOAD);
    let with = |envelope: Vec<u8>| SignedArtifact {
        envelope: envelope.into(),
        payload: good.payload.clone(),
    };
    for odd in [&b""[..], b"{", b"null", b"\xff", &good.envelope[..good.envelope.len() - 2]] {
        let refusal = case.verify(&with(odd.to_vec())).unwrap_err();
        assert_eq!(refusal.reason(), "malformed-envelope");
    }
    let mut long = good.envelope.to_vec();
    long.resize(MAX_ENVELOPE_BYTES, b' ');
    assert!(case.verify(&with(long.clone())).is_ok());
    long.push(b' ');
    let (size, max) = (MAX_ENVELOPE_BYTES + 1, MAX_ENVELOPE_BYTES);
    assert_eq!(case.verify(&with(long)), Err(Refusal::EnvelopeTooLarge { size, max }));
}

#[test]
fn malformed_manifests_are_refused_although_they_are_signed() {
    let case = Case::new();
    let with = |body: &[u8]| {
        let artifact =
            SignedArtifact { envelope: case.key.sign_body(body).into(), payload: PAYLOAD.into() };
        case.verify(&artifact).unwrap_err()
    };
    let good = String::from_utf8(manifest(&case.key, PAYLOAD).to_json()).unwrap();
    let extra = good.replacen('{', "{\"trusted\":true,", 1);
    assert_eq!(with(extra.as_bytes()).reason(), "malformed-manifest");
    assert_eq!(with(b"{}").reason(), "malformed-manifest");
    let newer = good.replacen("\"v\":1", "\"v\":2", 1);
    assert_eq!(with(newer.as_bytes()), Refusal::UnknownManifestVersion { version: 2 });
}

#[test]
fn the_manifest_names_the_key_that_signed_it() {
    let case = Case::new();
    let other = SigningKey::generate().unwrap();
    let body = Manifest { key_id: other.key_id(), ..manifest(&case.key, PAYLOAD) }.to_json();
    let artifact =
        SignedArtifact { envelope: case.key.sign_body(&body).into(), payload: PAYLOAD.into() };
    assert_eq!(
        case.verify(&artifact),
        Err(Refusal::KeyMismatch { signed_by: case.key.key_id(), named: other.key_id() })
    );
}

#[test]
fn what_the_manifest_says_must_fit() {
    let case = Case::new();
    assert_eq!(
        case.refused(|manifest| manifest.abi = 2),
        Refusal::WrongAbi { kind: "table", found: 2, wanted: vec![1] }
    );
    assert_eq!(
        case.refused(|manifest| {
            manifest.kind = ArtifactKind::Module;
            manifest.abi = 7;
        }),
        Refusal::WrongAbi { kind: "module", found: 7, wanted: vec![1] }
    );
    for other in ["18.1.1", "18.1.0-dev", "18.1", "v18.1.0"] {
        assert_eq!(
            case.refused(|manifest| manifest.auth_version = version(other)),
            Refusal::OtherAuthVersion { found: version(other), wanted: version("18.1.0") }
        );
    }
}

#[test]
fn a_kind_that_was_not_asked_for() {
    let case = Case::new();
    let artifact = table(&case.key, PAYLOAD);
    let expectation = Expectation {
        auth_version: &version("18.1.0"),
        kinds: &[ArtifactKind::Module],
        module_abis: &[1],
        table_formats: &[1],
        limits: case.limits,
        now: NOW,
    };
    let refusal = verify(&artifact, &case.trust, &expectation).unwrap_err();
    assert_eq!(refusal, Refusal::WrongKind { kind: "table" });
}

#[test]
fn revoked_and_too_old() {
    let key = SigningKey::generate().unwrap();
    let digest: String = sha256(PAYLOAD).iter().map(|byte| format!("{byte:02x}")).collect();
    let json = format!(r#"{{"keys":[{}],"revoked":["{digest}"]}}"#, key_json(&key, ""));
    let case = Case::trusting(key, json);
    assert_eq!(case.verify(&table(&case.key, PAYLOAD)), Err(Refusal::Revoked { sha256: digest }));
    assert!(case.verify(&table(&case.key, b"another")).is_ok());

    let key = SigningKey::generate().unwrap();
    let json =
        format!(r#"{{"keys":[{}],"min_created":"2025-11-17T12:02:09Z"}}"#, key_json(&key, ""));
    let case = Case::trusting(key, json);
    assert!(case.verify(&table(&case.key, PAYLOAD)).is_ok(), "the very instant is allowed");
    let created = NOW.plus_seconds(-1);
    assert_eq!(
        case.refused(|manifest| manifest.created = created),
        Refusal::TooOld { created, min_created: NOW }
    );
}

#[test]
fn sizes_and_digests() {
    let case = Case::new();
    let good = table(&case.key, PAYLOAD);
    let with = |payload: &[u8]| SignedArtifact {
        envelope: good.envelope.clone(),
        payload: payload.to_vec().into(),
    };
    let declared = PAYLOAD.len() as u64;
    for received in [0, PAYLOAD.len() - 1] {
        let refusal = Refusal::WrongSize { declared, received: received as u64 };
        assert_eq!(case.verify(&with(&PAYLOAD[..received])), Err(refusal));
    }
    for at in 0..PAYLOAD.len() {
        let mut flipped = PAYLOAD.to_vec();
        flipped[at] ^= 0x20;
        assert_eq!(case.verify(&with(&flipped)).unwrap_err().reason(), "wrong-digest");
    }
    assert_eq!(
        case.verify(&with(&[0; 101])),
        Err(Refusal::TooLarge { size: 101, max: 100 }),
        "before anything else"
    );
    assert_eq!(
        case.refused(|manifest| manifest.size = 101),
        Refusal::TooLarge { size: 101, max: 100 },
        "what is announced counts too, before it is downloaded"
    );
    // Each kind has its own limit; while the kind is unknown the larger one holds.
    let case = Case { limits: SizeLimits { module: 100, table: 10 }, ..case };
    assert_eq!(
        case.verify(&table(&case.key, PAYLOAD)),
        Err(Refusal::TooLarge { size: 20, max: 10 })
    );
}

/// An artifact with everything wrong, mended step by step: each time the next check speaks.
#[test]
fn the_order_of_the_checks() {
    let case = Case::new();
    let other = SigningKey::generate().unwrap();
    let key_id = case.key.key_id();
    let reason = |envelope: Vec<u8>, payload: &[u8]| {
        let artifact =
            SignedArtifact { envelope: envelope.into(), payload: payload.to_vec().into() };
        case.verify(&artifact).unwrap_err().reason()
    };
    let bad = Manifest {
        kind: ArtifactKind::Module,
        abi: 9,
        auth_version: version("1.0.0"),
        size: 1000,
        sha256: [0; 32],
        ..manifest(&case.key, PAYLOAD)
    };
    let garbage = b"not JSON at all";

    assert_eq!(reason(garbage.to_vec(), &[0; 101]), "too-large");
    assert_eq!(reason(garbage.to_vec(), PAYLOAD), "malformed-envelope");
    // Untrusted: neither its signature nor its body is looked at.
    assert_eq!(reason(other.sign_body(garbage), PAYLOAD), "untrusted-key");
    // A signature over other bytes: the body is not parsed.
    let envelope = String::from_utf8(other.sign_body(garbage)).unwrap();
    let forged = envelope.replace(&other.key_id().to_string(), &key_id.to_string());
    assert_eq!(reason(forged.into_bytes(), PAYLOAD), "bad-signature");
    assert_eq!(reason(case.key.sign_body(garbage), PAYLOAD), "malformed-manifest");
    assert_eq!(reason(case.key.sign(&bad), PAYLOAD), "wrong-abi");
    let bad = Manifest { abi: 1, ..bad };
    assert_eq!(reason(case.key.sign(&bad), PAYLOAD), "other-auth-version");
    let bad = Manifest { auth_version: version("18.1.0"), ..bad };
    assert_eq!(reason(case.key.sign(&bad), PAYLOAD), "too-large");
    let bad = Manifest { size: 21, ..bad };
    assert_eq!(reason(case.key.sign(&bad), PAYLOAD), "wrong-size");
    let bad = Manifest { size: 20, ..bad };
    assert_eq!(reason(case.key.sign(&bad), PAYLOAD), "wrong-digest");
    let good = Manifest { sha256: sha256(PAYLOAD), ..bad };
    assert!(case.verify(&signed(&case.key, &good, PAYLOAD)).is_ok());
}

#[test]
fn rotation_with_two_keys() {
    let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let trust = |keys: &[&SigningKey]| {
        let keys: Vec<_> = keys.iter().map(|key| key_json(key, "")).collect();
        let json = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        Trust::from_json(json.as_bytes(), Path::new("trust.json")).unwrap()
    };
    let accepts = |trust: Trust, key: &SigningKey| {
        Case { trust, ..Case::new() }.verify(&table(key, PAYLOAD)).is_ok()
    };
    assert!(accepts(trust(&[&old]), &old));
    assert!(!accepts(trust(&[&old]), &new));
    assert!(accepts(trust(&[&old, &new]), &old), "during the rotation");
    assert!(accepts(trust(&[&old, &new]), &new), "during the rotation");
    assert!(!accepts(trust(&[&new]), &old), "removing the old key ends it");
    assert!(accepts(trust(&[&new]), &new));
}

#[test]
fn one_good_signature_of_several_is_enough() {
    let case = Case::new();
    let other = SigningKey::generate().unwrap();
    let body = manifest(&case.key, PAYLOAD).to_json();
    let signature = |key: &SigningKey| -> serde_json::Value {
        let json: serde_json::Value = serde_json::from_slice(&key.sign_body(&body)).unwrap();
        json["signatures"][0].clone()
    };
    let envelope = serde_json::json!({
        "payloadType": ev_modules::PAYLOAD_TYPE,
        "payload": BASE64_STANDARD.encode(&body),
        "signatures": [signature(&other), signature(&case.key)],
    });
    let artifact =
        SignedArtifact { envelope: envelope.to_string().into(), payload: PAYLOAD.into() };
    assert!(case.verify(&artifact).is_ok());
}

#[test]
fn an_envelope_alone_says_what_is_coming() {
    let case = Case::new();
    let good = table(&case.key, PAYLOAD);
    let expectation = Expectation {
        auth_version: &version("18.1.0"),
        kinds: &[ArtifactKind::Table],
        module_abis: &[],
        table_formats: &[1],
        limits: case.limits,
        now: NOW,
    };
    let announced = verify_envelope(&good.envelope, &case.trust, &expectation).unwrap();
    assert_eq!(announced.manifest().schema_sha256, sha256(PAYLOAD));
    assert!(announced.clone().with_payload(good.payload).is_ok());
    let refusal = announced.with_payload("x".into()).unwrap_err();
    assert_eq!(refusal.reason(), "wrong-size");
}
