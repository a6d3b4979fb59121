//! A session recording: where it stands, and reading on.
//!
//! A recording never changes once it is uploaded, so its place is all there is to remember, and it
//! is resumed exactly. Auth can be asked for the events from an index on (inclusive). As long as
//! the indexes do not fall, the token names the last settled index and how many settled events
//! carry it. If they do fall, or cannot be read, the token goes back to index 0 and the number of
//! all settled events: dearer, but exact whatever the indexes are.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::unstructured::metadata;
use ev_core::{Env, Form, SessionId, within};
use futures_util::FutureExt;
use tonic::{Status, Streaming};

use crate::connection::Connection;
use crate::road::SearchRoad;
use crate::rpc;
use crate::token::SessionToken;

/// Events of one page of a recording.
const PAGE_EVENTS: usize = 128;
/// Bytes after which a page is closed.
const PAGE_BYTES: usize = 256 * 1024;

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

/// An open stream of a recording.
pub(crate) struct Stream {
    messages: Streaming<Bytes>,
    skip: u64,
    received: bool,
}

/// What one look into the stream brought.
pub(crate) struct Look {
    pub(crate) events: Vec<Bytes>,
    pub(crate) then: Then,
}

/// How a recording goes on.
pub(crate) enum Then {
    /// There may be more.
    More(Box<Stream>),
    /// That was all.
    End,
    /// The stream broke.
    Failed(Status),
}

/// Reads what is there, after waiting for the first event, at most a page. Opens the stream at
/// `position` if there is none. Dropping the future cancels the stream.
pub(crate) async fn look(
    connection: Arc<Connection>,
    road: SearchRoad,
    session: SessionId,
    position: Position,
    stream: Option<Box<Stream>>,
    env: Arc<dyn Env>,
    patience: Duration,
) -> Look {
    let mut events = Vec::new();
    let then = match stream {
        Some(stream) => Ok(stream),
        None => open(&connection, road, &session, position, &env, patience).await,
    };
    let then = match then {
        Ok(mut stream) => match collect(&mut stream, &mut events, &env, patience).await {
            Ok(true) => Then::More(stream),
            Ok(false) => Then::End,
            Err(status) => Then::Failed(status),
        },
        Err(status) => Then::Failed(status),
    };
    Look { events, then }
}

async fn open(
    connection: &Connection,
    road: SearchRoad,
    session: &SessionId,
    position: Position,
    env: &Arc<dyn Env>,
    patience: Duration,
) -> Result<Box<Stream>, Status> {
    let call = rpc::stream_session(connection, road, session, position.0.from);
    let messages = within(&**env, patience, call).await.unwrap_or_else(|| Err(overdue()))?;
    Ok(Box::new(Stream { messages, skip: position.0.skip, received: false }))
}

/// Whether there may be more.
async fn collect(
    stream: &mut Stream,
    events: &mut Vec<Bytes>,
    env: &Arc<dyn Env>,
    patience: Duration,
) -> Result<bool, Status> {
    let mut bytes = 0;
    while events.len() < PAGE_EVENTS && bytes < PAGE_BYTES {
        let message = if events.is_empty() {
            let next = within(&**env, patience, stream.messages.message()).await;
            next.unwrap_or_else(|| Err(overdue()))
        } else {
            // What is ready already; waiting would only delay what is here.
            match stream.messages.message().now_or_never() {
                Some(message) => message,
                None => return Ok(true),
            }
        };
        let Some(event) = message? else {
            return ended(stream).await.map(|()| false);
        };
        stream.received = true;
        if stream.skip > 0 {
            stream.skip -= 1;
            continue;
        }
        bytes += event.len();
        events.push(event);
    }
    Ok(true)
}

/// A stream has ended only if it says so: one that merely stops may have been cut off on the way.
async fn ended(stream: &mut Stream) -> Result<(), Status> {
    if stream.received && stream.messages.trailers().await?.is_none() {
        return Err(Status::unavailable("the stream stopped without a status"));
    }
    Ok(())
}

fn overdue() -> Status {
    Status::deadline_exceeded("auth did not answer in time")
}

#[cfg(test)]
mod tests {
    use ev_core::Road;
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
