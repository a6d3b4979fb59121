//! The nearest decoder for what it knows, the artifact's for the rest.

use std::sync::Arc;

use ev_core::{Cost, Decoder, DecoderError, DecoderIdentity, Mode, Outcome, Output, RawEvent};

/// Decodes with `nearest`, and with `exact` only what `nearest` does not fully know.
pub(super) struct KnownFirst {
    nearest: Arc<dyn Decoder>,
    exact: Arc<dyn Decoder>,
    identity: DecoderIdentity,
}

impl KnownFirst {
    /// `artifact_sha256` is that of the artifact which `exact` was made of.
    pub(super) fn new(
        nearest: Arc<dyn Decoder>,
        exact: Arc<dyn Decoder>,
        artifact_sha256: [u8; 32],
    ) -> Self {
        let artifact_sha256 = Some(artifact_sha256);
        let identity = DecoderIdentity { artifact_sha256, ..nearest.identity().clone() };
        Self { nearest, exact, identity }
    }
}

impl Decoder for KnownFirst {
    /// Kind, version and schema are those of the nearest, which decodes all events but a few: in
    /// sums by kind the few are counted with it. The digest of the artifact stands beside them, as
    /// with no other native decoder. So the identity differs from that of either alone, and
    /// changes with each of them: who remembers which decoder did not know an event sees that
    /// there is another one now.
    fn identity(&self) -> &DecoderIdentity {
        &self.identity
    }

    fn cost(&self) -> Cost {
        match (self.nearest.cost(), self.exact.cost()) {
            (Cost::Inline, Cost::Inline) => Cost::Inline,
            _ => Cost::Blocking,
        }
    }

    fn decode(
        &self,
        events: &[RawEvent],
        mode: Mode,
        out: &mut Output,
    ) -> Result<(), DecoderError> {
        let (json_len, outcomes_len) = (out.json().len(), out.outcomes().len());
        self.nearest.decode(events, Mode::Strict, out)?;
        if !out.outcomes()[outcomes_len..].iter().any(is_unknown) {
            return Ok(());
        }
        // Rare: the JSON has to stand in the order of the events, so the page is done again, event
        // by event.
        out.rewind(json_len, outcomes_len);
        let done = events.iter().try_for_each(|event| self.decode_one(event, mode, out));
        if done.is_err() {
            out.rewind(json_len, outcomes_len);
        }
        done
    }
}

impl KnownFirst {
    fn decode_one(
        &self,
        event: &RawEvent,
        mode: Mode,
        out: &mut Output,
    ) -> Result<(), DecoderError> {
        let (json_len, outcomes_len) = (out.json().len(), out.outcomes().len());
        let event = std::slice::from_ref(event);
        self.nearest.decode(event, Mode::Strict, out)?;
        if !out.outcomes().last().is_some_and(is_unknown) {
            return Ok(());
        }
        out.rewind(json_len, outcomes_len);
        self.exact.decode(event, mode, out)
    }
}

fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown { .. })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ev_core::{AuthVersion, DecoderKind, Facts, Flavour, Form};

    use super::*;

    /// Knows events that begin with one of its letters; fails on `!`.
    struct Letters(&'static str, DecoderIdentity);

    fn letters(known: &'static str) -> Arc<dyn Decoder> {
        let identity = DecoderIdentity {
            kind: DecoderKind::Native,
            auth_version: AuthVersion::new(known),
            schema_sha256: [0; 32],
            artifact_sha256: None,
            flavour: Flavour::Go,
        };
        Arc::new(Letters(known, identity))
    }

    impl Decoder for Letters {
        fn identity(&self) -> &DecoderIdentity {
            &self.1
        }

        fn cost(&self) -> Cost {
            Cost::Inline
        }

        fn decode(
            &self,
            events: &[RawEvent],
            _: Mode,
            out: &mut Output,
        ) -> Result<(), DecoderError> {
            for event in events {
                let start = out.json().len();
                let text = String::from_utf8(event.bytes.to_vec()).unwrap();
                if text.starts_with(self.0) {
                    out.buffer().extend_from_slice(format!("{text}:{}", self.0).as_bytes());
                    out.decoded(start, Facts::default());
                } else if text == "!" && self.0 == "b" {
                    return Err(DecoderError::new("trapped"));
                } else {
                    let path = String::new();
                    out.abandon(start, Outcome::Unknown { at: 0, path, facts: None, known: None });
                }
            }
            Ok(())
        }
    }

    fn events(texts: &[&'static str]) -> Vec<RawEvent> {
        let event = |text: &&'static str| RawEvent {
            form: Form::OneOf,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        texts.iter().map(event).collect()
    }

    #[test]
    fn each_event_goes_to_the_first_that_knows_it_and_the_order_stays() {
        let both = KnownFirst::new(letters("a"), letters("b"), [1; 32]);
        let mut out = Output::with_buffer(b"before,".to_vec());
        both.decode(&events(&["a1", "b2", "a3", "c4"]), Mode::Strict, &mut out).unwrap();
        assert_eq!(out.json(), b"before,a1:a,b2:b,a3:a,");
        assert_eq!(out.outcomes().len(), 4);
        assert!(is_unknown(&out.outcomes()[3]));
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let both = KnownFirst::new(letters("a"), letters("b"), [1; 32]);
        let mut out = Output::with_buffer(b"before,".to_vec());
        assert!(both.decode(&events(&["a1", "b2", "!"]), Mode::Strict, &mut out).is_err());
        assert_eq!(out.json(), b"before,");
        assert!(out.outcomes().is_empty());
    }

    #[test]
    fn its_identity_is_neither_that_of_the_nearest_nor_that_of_the_artifact_alone() {
        let identity = |nearest, artifact| {
            KnownFirst::new(letters(nearest), letters("b"), [artifact; 32]).identity().clone()
        };
        let both = identity("a", 1);
        assert_eq!(both, identity("a", 1), "the same two are the same decoder");
        assert_ne!(both, identity("a", 2), "another artifact knows other events");
        assert_ne!(both, identity("c", 1), "so does another nearest");
        assert_ne!(both, *letters("a").identity());
        assert_ne!(both, *letters("b").identity());
        assert_eq!(both.kind, DecoderKind::Native, "most events are decoded by the nearest");
    }
}
