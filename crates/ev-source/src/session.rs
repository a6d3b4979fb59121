//! A session recording: where it stands.
//!
//! A recording never changes once it is uploaded, so its place is all there is to remember, and it
//! is resumed exactly. Auth can be asked for the events from an index on (inclusive). As long as
//! the indexes do not fall, the token names the last settled index and how many settled events
//! carry it. If they do fall, or cannot be read, the token goes back to index 0 and the number of
//! all settled events: dearer, but exact whatever the indexes are.

use ev_core::Form;
use ev_core::unstructured::metadata;

use crate::token::SessionToken;

/// Where a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) SessionToken);

impl Position {
    /// Counts one more event as passed.
    pub(crate) fn pass(&mut self, form: Form, event: &[u8]) {
        let token = &mut self.0;
        token.total += 1;
        let index = metadata(form, event).and_then(|peeked| i32::try_from(peeked.index).ok());
        match index {
            Some(index) if token.ordered && index == token.from => token.skip += 1,
            Some(index) if token.ordered && index > token.from => {
                token.from = index;
                token.skip = 1;
            }
            _ => {
                *token =
                    SessionToken { from: 0, skip: token.total, total: token.total, ordered: false };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ev_core::{Road, SessionId};
    use proptest::prelude::*;

    use super::*;
    use crate::token::{Parsed, decode};

    /// A `OneOf` whose case 1 has `Metadata { Index: index, ID: id }`.
    fn event(index: i64, id: u8) -> Vec<u8> {
        let mut metadata = vec![8];
        prost::encoding::encode_varint(index.cast_unsigned(), &mut metadata);
        metadata.extend([26, 1, id]);
        let mut body = vec![10, u8::try_from(metadata.len()).expect("a short one")];
        body.extend(metadata);
        let mut event = vec![10, u8::try_from(body.len()).expect("a short one")];
        event.extend(body);
        event
    }

    /// What Auth sends for a start index: every event with at least that index.
    fn serve(recording: &[(i64, Vec<u8>)], from: i32) -> Vec<Vec<u8>> {
        recording.iter().filter(|(i, _)| *i >= i64::from(from)).map(|(_, e)| e.clone()).collect()
    }

    proptest! {
        /// Read on after any number of crashes: every event once, in order.
        #[test]
        fn resuming_is_exact(
            indexes in prop::collection::vec(0i64..6, 0..30),
            sort: bool,
            stops in prop::collection::vec(0usize..8, 0..6),
        ) {
            let mut indexes = indexes;
            // Unordered indexes are read exactly too, if they are seen before the first stop that
            // asks for more than index 0; sorted ones always.
            let stops = if sort { indexes.sort_unstable(); stops } else { vec![indexes.len()] };
            let recording: Vec<(i64, Vec<u8>)> = indexes
                .iter()
                .enumerate()
                .map(|(n, i)| (*i, event(*i, u8::try_from(n).expect("few"))))
                .collect();
            let lane = ev_core::LaneId::Session(SessionId::try_new(b"s").expect("a valid id"));
            let mut position = Position(SessionToken::default());
            let mut got = Vec::new();
            for stop in stops.into_iter().chain([usize::MAX]) {
                let Ok(Parsed::Session(token)) = decode(&lane, &position.0.encode(Road::Typed)) else {
                    return Err(TestCaseError::fail("our own token"));
                };
                position = Position(token);
                let rest = serve(&recording, token.from);
                let skip = usize::try_from(token.skip).expect("few");
                for event in rest.into_iter().skip(skip).take(stop) {
                    position.pass(Form::OneOf, &event);
                    got.push(event);
                }
            }
            let all: Vec<Vec<u8>> = recording.into_iter().map(|(_, event)| event).collect();
            prop_assert_eq!(got, all);
        }
    }

    #[test]
    fn falling_or_unreadable_indexes_go_back_to_the_start() {
        let mut position = Position(SessionToken::default());
        for index in [0, 1, 1, 2] {
            position.pass(Form::OneOf, &event(index, 0));
        }
        assert_eq!(position.0, SessionToken { from: 2, skip: 1, total: 4, ordered: true });
        position.pass(Form::OneOf, &event(1, 0));
        let back = SessionToken { from: 0, skip: 5, total: 5, ordered: false };
        assert_eq!(position.0, back);
        position.pass(Form::OneOf, &event(7, 0));
        assert_eq!(position.0, SessionToken { skip: 6, total: 6, ..back });
        let mut position = Position(SessionToken::default());
        position.pass(Form::OneOf, b"\xff");
        assert_eq!(position.0, SessionToken { from: 0, skip: 1, total: 1, ordered: false });
        let mut position = Position(SessionToken::default());
        position.pass(Form::OneOf, &event(1 << 40, 0));
        assert!(!position.0.ordered, "an index that cannot be asked for");
    }
}
