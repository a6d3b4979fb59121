//! Envelope and manifest. The first byte of an input says what the rest is: 0 an envelope as it
//! is, else the body of one that our key signs.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use ev_core::{ArtifactKind, AuthVersion, SignedArtifact, Timestamp};
use ev_modules::{
    Claims, Expectation, KeyId, Manifest, PAYLOAD_TYPE, SizeLimits, Trust, sha256, verify,
};
use ev_oracle::Choices;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::with_words;

const PAYLOAD: &[u8] = b"what was signed";

struct Signer {
    pair: Ed25519KeyPair,
    key_id: KeyId,
    public_key: [u8; 32],
    version: AuthVersion,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    // A key for nothing else.
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed");
    let public_key = pair.public_key().as_ref().try_into().expect("32 bytes are a key");
    let key_id = KeyId::of_public_key(&public_key);
    Signer { pair, key_id, public_key, version: AuthVersion::new("18.1.0") }
});

fn manifest() -> Manifest {
    Manifest {
        kind: ArtifactKind::Table,
        abi: 1,
        auth_version: SIGNER.version.clone(),
        schema_sha256: [7; 32],
        sha256: sha256(PAYLOAD),
        size: PAYLOAD.len() as u64,
        created: Timestamp::new(1_763_380_929, 0),
        key_id: SIGNER.key_id,
    }
}

/// An envelope by hand, so that any body can be signed.
fn signed(body: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), body.len());
    let signature = SIGNER.pair.sign(&[head.as_bytes(), body].concat());
    let (body, signature) =
        (BASE64_STANDARD.encode(body), BASE64_STANDARD.encode(signature.as_ref()));
    let key_id = SIGNER.key_id;
    format!(
        r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":"{body}","signatures":[{{"keyid":"{key_id}","sig":"{signature}"}}]}}"#
    )
    .into_bytes()
}

pub(super) fn run(input: &[u8]) {
    let Some((form, rest)) = input.split_first() else { return };
    let envelope = if *form == 0 { rest.to_vec() } else { signed(rest) };
    let claims = Claims::read(&envelope);
    let expectation = Expectation {
        auth_version: &SIGNER.version,
        kinds: &[ArtifactKind::Table, ArtifactKind::Module],
        module_abis: &[1],
        table_formats: &[1],
        limits: SizeLimits::default(),
        now: Timestamp::new(1_763_380_930, 0),
    };
    let artifact =
        SignedArtifact { envelope: Bytes::from(envelope), payload: Bytes::from_static(PAYLOAD) };
    match verify(&artifact, &Trust::key(SIGNER.public_key), &expectation) {
        Ok(verified) => {
            let found = verified.manifest();
            if *form == 0 {
                // Nobody else has the key: whatever was changed, what is believed was signed.
                assert_eq!(*found, manifest());
            }
            assert_eq!(found.sha256, sha256(PAYLOAD));
            assert_eq!(found.size, PAYLOAD.len() as u64);
            assert_eq!((&found.auth_version, found.key_id), (&SIGNER.version, SIGNER.key_id));
            assert_eq!(claims.expect("believed, so readable").manifest, *found);
        }
        Err(refusal) => assert!(refusal.to_string().len() < 100_000),
    }
    // Nobody is trusted: nothing is believed.
    assert!(verify(&artifact, &Trust::nobody(), &expectation).is_err());
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let body = manifest().to_json();
    vec![[&[0][..], &signed(&body)].concat(), [&[1][..], &body].concat()]
}

pub(super) fn make(inputs: &[Vec<u8>], choices: &mut Choices<'_>) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\u0000",
        "null",
        "1e999",
        "-0",
        "18446744073709551616",
        "\"payloadType\":\"\",",
        "\"payload\":\"\",",
        "\"signatures\":[],",
        "{\"keyid\":\"\",\"sig\":\"\"},",
        "\"kind\":\"module\",",
        "\"v\":2,",
        "\"size\":",
        "\"abi\":4294967296,",
        "18.1.0",
        "../",
        "9999-12-31T23:59:60Z",
        "=",
    ];
    with_words(inputs, &WORDS, choices)
}
