//! Where lanes of the search roads stand, in plain values.

use ev_core::{LaneId, Road, SessionId, SourceError, Token};

use crate::token::{self, Parsed, Search, SessionToken, WindowToken};
use crate::window::OVERLAP;

/// A place in the log or in a recording, for whoever takes one over from elsewhere or shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchPlace {
    /// A window of the log.
    Window {
        /// First second of the window, since 1970-01-01T00:00:00Z. It names the lane.
        start: i64,
        /// First second behind it; `None` while it is open.
        end: Option<i64>,
        /// First second that is asked for.
        asked_from: i64,
        /// Event types asked for; empty means all.
        types: Vec<String>,
        /// Auth's key of the page to ask for; empty for the first one.
        key: String,
        /// When reading it was begun, by our clock; `None` if that is not known.
        opened: Option<i64>,
    },
    /// A recording.
    Recording {
        /// The session.
        session: SessionId,
        /// Index of the first event that is asked for.
        index: i32,
        /// Events of that index, or from there on, that are passed over.
        skip: u64,
    },
}

impl SearchPlace {
    /// The first second that is asked for where a window begins at `start` and another one is in
    /// front of it: windows overlap.
    pub fn reaching_to(start: i64) -> i64 {
        start.saturating_sub(OVERLAP)
    }

    /// The lane, in its first pass, and its resume point on that road.
    pub fn to_lane(&self, road: Road) -> (LaneId, Token) {
        match self {
            Self::Window { start, end, asked_from, types, key, opened } => {
                let bare_start = asked_from.saturating_add(OVERLAP) != *start;
                let search = Search {
                    start: if bare_start { *asked_from } else { *start },
                    end: *end,
                    bare_start,
                    types: types.clone(),
                };
                let token = WindowToken { search, key: key.clone(), opened: *opened };
                (LaneId::Window { start: *start, pass: 0 }, token.encode(road))
            }
            Self::Recording { session, index, skip } => {
                let token = SessionToken { from: *index, skip: *skip, ..SessionToken::default() };
                (LaneId::Session(session.clone()), token.encode(road))
            }
        }
    }

    /// Reads a lane and its resume point.
    ///
    /// # Errors
    ///
    /// [`SourceError::Token`] when the lane is none of the search roads', or the token is damaged,
    /// or of a newer format.
    pub fn of(lane: &LaneId, token: &Token) -> Result<Self, SourceError> {
        Ok(match (lane, token::decode(lane, token)?) {
            (LaneId::Window { start, .. }, Parsed::Window(WindowToken { search, key, opened })) => {
                let overlap = if search.bare_start { 0 } else { OVERLAP };
                Self::Window {
                    start: *start,
                    end: search.end,
                    asked_from: search.start.saturating_sub(overlap),
                    types: search.types,
                    key,
                    opened,
                }
            }
            (LaneId::Session(session), Parsed::Session(SessionToken { from, skip, .. })) => {
                Self::Recording { session: session.clone(), index: from, skip }
            }
            _ => {
                let message = "it belongs to another kind of lane".to_owned();
                return Err(SourceError::Token { lane: lane.clone(), message });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_as_they_were() {
        let window = |asked_from, end| SearchPlace::Window {
            start: 1000,
            end,
            asked_from,
            types: vec!["user.login".to_owned()],
            key: "k".to_owned(),
            opened: Some(5000),
        };
        let session = SessionId::try_new(b"s").expect("a valid id");
        let places = [
            window(1000, None),
            window(998, None),
            window(900, Some(2000)),
            SearchPlace::Recording { session, index: 7, skip: 1 },
        ];
        for place in places {
            for road in [Road::Typed, Road::Unstructured] {
                let (lane, token) = place.to_lane(road);
                assert_eq!(token.road, road);
                assert_eq!(SearchPlace::of(&lane, &token).expect("our own"), place);
            }
        }
    }

    #[test]
    fn what_is_none_of_ours_is_refused() {
        let token = Token { road: Road::Export, format: 1, bytes: "x".into() };
        SearchPlace::of(&LaneId::Window { start: 0, pass: 0 }, &token).expect_err("of the export");
    }
}
