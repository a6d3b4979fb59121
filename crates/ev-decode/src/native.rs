//! The decoder of this program, behind the shared trait.

use std::sync::{Arc, Mutex, PoisonError};

use ev_core::{
    Cost, Decoder, DecoderError, DecoderIdentity, DecoderKind, Flavour, Form, Mode, Outcome,
    Output, RawEvent,
};

use crate::{Answer, Options, Scratch, Table, Transcoder};

/// Scratch buffers kept for reuse; more decode calls at one time make their own.
const MAX_POOLED: usize = 16;

/// Decodes typed events natively with one schema.
///
/// Takes events of [`Form::OneOf`] only; an unstructured one is an error of the call, since it
/// needs no schema and another decoder.
#[derive(Debug)]
pub struct NativeDecoder {
    identity: DecoderIdentity,
    transcoder: Transcoder,
    pool: Mutex<Vec<Scratch>>,
}

impl NativeDecoder {
    /// A decoder whose table is compiled into the program.
    pub fn native(table: Arc<Table>, flavour: Flavour, options: Options) -> Self {
        Self::new(table, flavour, options, DecoderKind::Native, None)
    }

    /// A decoder whose table came as an artifact with the digest `artifact_sha256`.
    pub fn from_artifact(
        table: Arc<Table>,
        flavour: Flavour,
        options: Options,
        artifact_sha256: [u8; 32],
    ) -> Self {
        Self::new(table, flavour, options, DecoderKind::Table, Some(artifact_sha256))
    }

    fn new(
        table: Arc<Table>,
        flavour: Flavour,
        options: Options,
        kind: DecoderKind,
        artifact_sha256: Option<[u8; 32]>,
    ) -> Self {
        let identity = DecoderIdentity {
            kind,
            auth_version: table.auth_version().clone(),
            schema_sha256: table.schema_sha256(),
            artifact_sha256,
            flavour,
        };
        let transcoder = Transcoder::new(table, flavour, options);
        Self { identity, transcoder, pool: Mutex::new(Vec::new()) }
    }

    /// The transcoder inside.
    pub fn transcoder(&self) -> &Transcoder {
        &self.transcoder
    }

    fn take_scratch(&self) -> Scratch {
        // The pool holds nothing that a panic elsewhere could leave half-done.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn return_scratch(&self, mut scratch: Scratch) {
        scratch.trim();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < MAX_POOLED {
            pool.push(scratch);
        }
    }

    fn record(&self, answer: Answer, event: &[u8], start: usize, out: &mut Output) {
        match answer {
            Answer::Decoded(facts) => out.decoded(start, facts),
            Answer::Unknown { at, facts, known } => {
                let path = self.transcoder.path(event, at);
                match (facts, known) {
                    (Some(facts), true) => out.known_part(start, at, path, facts),
                    (facts, _) => {
                        out.abandon(start, Outcome::Unknown { at, path, facts, known: None });
                    }
                }
            }
            Answer::Malformed { at, what } => {
                out.abandon(start, Outcome::Malformed { at, what: what.to_owned() });
            }
            Answer::Unprintable { at, what, facts } => {
                let path = self.transcoder.path(event, at);
                let what = what.to_owned();
                out.abandon(start, Outcome::Unprintable { at, path, what, facts });
            }
        }
    }
}

impl Decoder for NativeDecoder {
    fn identity(&self) -> &DecoderIdentity {
        &self.identity
    }

    fn cost(&self) -> Cost {
        Cost::Inline
    }

    fn decode(
        &self,
        events: &[RawEvent],
        mode: Mode,
        out: &mut Output,
    ) -> Result<(), DecoderError> {
        if events.iter().any(|event| event.form != Form::OneOf) {
            return Err(DecoderError::new("an unstructured event was given to a typed decoder"));
        }
        let mut scratch = self.take_scratch();
        for event in events {
            let start = out.json().len();
            let answer = self.transcoder.decode_one(&mut scratch, &event.bytes, mode, out.buffer());
            self.record(answer, &event.bytes, start, out);
        }
        self.return_scratch(scratch);
        Ok(())
    }
}
