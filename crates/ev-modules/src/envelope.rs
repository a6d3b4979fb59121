//! The DSSE envelope around a manifest.
//!
//! JSON: `{"payloadType": "application/vnd.ev.decoder+json", "payload": <base64 of the manifest's
//! bytes>, "signatures": [{"keyid": <key id>, "sig": <base64 of 64 bytes>}]}`. The Ed25519
//! signature is over the pre-authentication encoding
//! `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`, lengths in ASCII decimals.
//!
//! Source: <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md> and `envelope.md`
//! beside it. As it asks, either base64 alphabet is read and unknown members are ignored (nothing
//! in the envelope is authenticated but type and body; the manifest inside is strict).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::key_id::KeyId;
use crate::manifest::Manifest;

/// Type of the signed body.
pub const PAYLOAD_TYPE: &str = "application/vnd.ev.decoder+json";

/// Largest envelope that is read, in bytes: as in `ev.decoder.v1`. Ours have about 700; the rest is
/// room for a few more signatures.
pub const MAX_ENVELOPE_BYTES: usize = 64 * 1024;

/// Most signatures that are looked at, so that an envelope cannot ask for much work.
const MAX_SIGNATURES: usize = 8;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
struct WireSignature {
    keyid: String,
    sig: String,
}

/// A parsed envelope; nothing in it is verified.
pub(crate) struct Envelope {
    pub(crate) payload_type: String,
    pub(crate) body: Vec<u8>,
    pub(crate) signatures: Vec<Signature>,
}

pub(crate) struct Signature {
    /// As written: a hint that need not be one of our key ids.
    pub(crate) key_id: String,
    pub(crate) bytes: Vec<u8>,
}

impl Envelope {
    /// Reads an envelope; the error says what is wrong, lower case.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if wire.signatures.is_empty() {
            return Err("`signatures` is empty".to_owned());
        }
        if wire.signatures.len() > MAX_SIGNATURES {
            return Err(format!("more than {MAX_SIGNATURES} signatures"));
        }
        Ok(Self {
            payload_type: wire.payload_type,
            body: base64(&wire.payload).ok_or("`payload` is no base64")?,
            signatures: wire
                .signatures
                .into_iter()
                .map(|signature| {
                    let bytes = base64(&signature.sig).ok_or("`sig` is no base64")?;
                    Ok(Signature { key_id: signature.keyid, bytes })
                })
                .collect::<Result<_, &str>>()?,
        })
    }

    /// What the signatures are over.
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.body)
    }
}

/// The envelope of one signature, with a line feed at its end.
pub(crate) fn write(body: &[u8], key_id: KeyId, signature: &[u8]) -> Vec<u8> {
    let wire = Wire {
        payload_type: PAYLOAD_TYPE.to_owned(),
        payload: BASE64_STANDARD.encode(body),
        signatures: vec![WireSignature {
            keyid: key_id.to_string(),
            sig: BASE64_STANDARD.encode(signature),
        }],
    };
    let mut json = serde_json::to_vec(&wire).expect("strings always serialise");
    json.push(b'\n');
    json
}

/// `PAE(type, body)` of DSSE.
pub(crate) fn pre_authentication_encoding(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len());
    [head.as_bytes(), body].concat()
}

/// What an envelope says, without any proof: for conditional answers and for logs.
#[derive(Clone, Debug)]
pub struct Claims {
    /// The manifest, unverified.
    pub manifest: Manifest,
}

impl Claims {
    /// Reads an envelope without verifying it; `None` if it cannot be read.
    pub fn read(envelope: &[u8]) -> Option<Self> {
        if envelope.len() > MAX_ENVELOPE_BYTES {
            return None;
        }
        let envelope = Envelope::parse(envelope).ok()?;
        Manifest::parse(&envelope.body).ok().map(|manifest| Self { manifest })
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    engine.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_dsse_protocol() {
        // The example of protocol.md.
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn both_base64_alphabets_are_read_and_members_of_others_are_ignored() {
        let json = br#"{"payloadType":"t","payload":"-_8","extra":1,
            "signatures":[{"keyid":"k","sig":"+/8=","cert":"x"}]}"#;
        let envelope = Envelope::parse(json).unwrap();
        assert_eq!(envelope.body, [0xfb, 0xff]);
        assert_eq!(envelope.signatures[0].bytes, [0xfb, 0xff]);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let check = |json: &str, what: &str| match Envelope::parse(json.as_bytes()) {
            Err(text) => assert!(text.contains(what), "{text}"),
            Ok(_) => panic!("accepted {json}"),
        };
        check("", "EOF");
        check("{}", "missing field `payloadType`");
        check(r#"{"payloadType":"t","payload":"","signatures":[]}"#, "empty");
        check(r#"{"payloadType":"t","payload":"?","signatures":[{"keyid":"","sig":""}]}"#, "pay");
        check(r#"{"payloadType":"t","payload":"","signatures":[{"keyid":"","sig":"?"}]}"#, "sig");
        let many = [r#"{"keyid":"","sig":""}"#; 9].join(",");
        check(&format!(r#"{{"payloadType":"t","payload":"","signatures":[{many}]}}"#), "more");
    }
}
