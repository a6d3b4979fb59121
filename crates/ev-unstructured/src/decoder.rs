//! Behind the shared trait.

use ev_core::{
    AuthVersion, Cost, Decoder, DecoderError, DecoderIdentity, DecoderKind, Flavour, Form, Mode,
    Outcome, Output, RawEvent, peek,
};

use crate::envelope::{self, Answer};
use crate::walk::Buffers;

/// Part of the identity of the decoder: raised when it answers otherwise than before, so that
/// what was parked by an older release is tried again.
const REVISION: u8 = 1;

/// Decodes unstructured events of whatever version of Auth.
///
/// Takes events of [`Form::Unstructured`] only; a typed one is an error of the call.
#[derive(Debug)]
pub struct UnstructuredDecoder {
    identity: DecoderIdentity,
    login: bool,
}

impl Default for UnstructuredDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl UnstructuredDecoder {
    /// A decoder that leaves [`ev_core::Facts::login`] empty.
    pub fn new() -> Self {
        let identity = DecoderIdentity {
            kind: DecoderKind::Native,
            // There is a schema of no version in it.
            auth_version: AuthVersion::new("unstructured"),
            schema_sha256: [REVISION; 32],
            artifact_sha256: None,
            flavour: Flavour::Struct,
        };
        Self { identity, login: false }
    }

    /// The same, with [`ev_core::Facts::login`] filled.
    #[must_use]
    pub fn with_login(mut self) -> Self {
        self.login = true;
        self
    }
}

impl Decoder for UnstructuredDecoder {
    fn identity(&self) -> &DecoderIdentity {
        &self.identity
    }

    fn cost(&self) -> Cost {
        Cost::Inline
    }

    fn decode(&self, events: &[RawEvent], _: Mode, out: &mut Output) -> Result<(), DecoderError> {
        if events.iter().any(|event| event.form != Form::Unstructured) {
            return Err(DecoderError::new("a typed event was given to an unstructured decoder"));
        }
        let mut buffers = Buffers::default();
        for event in events {
            let (event, start) = (&event.bytes[..], out.json().len());
            match envelope::decode(event, self.login, &mut buffers, out.buffer()) {
                Answer::Decoded(facts) => out.decoded(start, facts),
                Answer::Malformed { at, what } => {
                    out.abandon(start, Outcome::Malformed { at, what: what.to_owned() });
                }
                Answer::Unprintable { at, what, facts } => {
                    let (path, what) = (peek::number_path(event, at), what.to_owned());
                    let facts = Some(facts);
                    out.abandon(start, Outcome::Unprintable { at, path, what, facts });
                }
            }
        }
        Ok(())
    }
}
