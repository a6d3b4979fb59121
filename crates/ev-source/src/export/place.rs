//! Where the bulk export stands, as lanes and bytes that a state keeps.
//!
//! A date that is looked at for chunks is a lane without a chunk's name, open as long as the date
//! is looked at; each chunk that was begun is a lane of its own, kept when it is done until its
//! date is given up.
//!
//! Tokens are little-endian. Date (kind 3, format 1): first second that is wanted (8). Chunk
//! (kind 4, format 1): first second that is wanted (8), then the cursor up to the end; empty at
//! the beginning of the chunk.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ev_core::{Date, LaneId, Road, SourceError, Token};

const DATE: u8 = 3;
const CHUNK: u8 = 4;

/// A place in the bulk export, for whoever takes one over from elsewhere or shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportPlace {
    /// A date that is looked at for chunks.
    Date {
        /// `YYYY-MM-DD`, in UTC.
        date: String,
        /// First second whose events are wanted, since 1970-01-01T00:00:00Z.
        from: i64,
    },
    /// A chunk that was begun.
    Chunk {
        /// `YYYY-MM-DD`, in UTC.
        date: String,
        /// Auth's name of it, not empty.
        chunk: String,
        /// First second whose events are wanted, since 1970-01-01T00:00:00Z.
        from: i64,
        /// Auth's own word for the place behind the last settled event; empty at the beginning.
        cursor: String,
    },
}

impl ExportPlace {
    /// Version of the layout of tokens.
    pub(crate) const FORMAT: u8 = 1;

    /// The lane and its resume point.
    pub fn to_lane(&self) -> (LaneId, Token) {
        let (date, chunk, kind, from, cursor) = match self {
            Self::Date { date, from } => (date, "", DATE, from, ""),
            Self::Chunk { date, chunk, from, cursor } => {
                (date, chunk.as_str(), CHUNK, from, cursor.as_str())
            }
        };
        let mut bytes = BytesMut::with_capacity(9 + cursor.len());
        bytes.put_u8(kind);
        bytes.put_i64_le(*from);
        bytes.put_slice(cursor.as_bytes());
        let token = Token { road: Road::Export, format: Self::FORMAT, bytes: bytes.freeze() };
        (LaneId::Chunk { date: date.clone(), chunk: chunk.to_owned() }, token)
    }

    /// Reads a lane and its resume point.
    ///
    /// # Errors
    ///
    /// [`SourceError::Token`] when the lane is none of the export's, or the token is damaged, of
    /// another road, or of a newer format.
    pub fn of(lane: &LaneId, token: &Token) -> Result<Self, SourceError> {
        let invalid = |message: &str| {
            let message = message.to_owned();
            Err(SourceError::Token { lane: lane.clone(), message })
        };
        let LaneId::Chunk { date, chunk } = lane else {
            return invalid("it is no lane of the export");
        };
        if Date::parse(date).is_none() {
            return invalid("it names no date");
        }
        if token.road != Road::Export {
            return invalid(&format!("it belongs to the road `{}`", token.road.as_str()));
        }
        if token.format != Self::FORMAT {
            let (format, ours) = (token.format, Self::FORMAT);
            return invalid(&format!("its format is {format}, this release reads {ours}"));
        }
        let (date, chunk) = (date.clone(), chunk.clone());
        match parse(token.bytes.clone()) {
            Some((DATE, from, cursor)) if chunk.is_empty() && cursor.is_empty() => {
                Ok(Self::Date { date, from })
            }
            Some((CHUNK, from, cursor)) if !chunk.is_empty() => {
                Ok(Self::Chunk { date, chunk, from, cursor })
            }
            Some((DATE | CHUNK, ..)) => invalid("it belongs to another kind of lane"),
            _ => invalid("it is damaged"),
        }
    }
}

fn parse(mut bytes: Bytes) -> Option<(u8, i64, String)> {
    let kind = bytes.try_get_u8().ok()?;
    let from = bytes.try_get_i64_le().ok()?;
    Some((kind, from, String::from_utf8(bytes.into()).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(cursor: &str) -> ExportPlace {
        ExportPlace::Chunk {
            date: "2026-11-18".to_owned(),
            chunk: "00000150-5a/5e".to_owned(),
            from: 1_800_000_000,
            cursor: cursor.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn places_round_trip(from: i64, chunk in "\\PC{0,20}", cursor in "\\PC{0,40}") {
            let date = "2026-11-18".to_owned();
            let place = if chunk.is_empty() {
                ExportPlace::Date { date, from }
            } else {
                ExportPlace::Chunk { date, chunk, from, cursor }
            };
            let (lane, token) = place.to_lane();
            prop_assert_eq!(ExportPlace::of(&lane, &token).expect("our own"), place);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let (lane, token) = chunk("").to_lane();
            let token = Token { bytes: bytes.into(), ..token };
            if let Ok(place) = ExportPlace::of(&lane, &token) {
                prop_assert_eq!(place.to_lane().1, token);
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_by_name() {
        let (lane, token) = chunk("c").to_lane();
        let message = |lane: &LaneId, token: &Token| {
            ExportPlace::of(lane, token).expect_err("a place to refuse").to_string()
        };
        let newer = Token { format: 2, ..token.clone() };
        assert_eq!(
            message(&lane, &newer),
            "resume point of `chunk/2026-11-18/00000150-5a/5e` is not readable: its format is 2, \
             this release reads 1"
        );
        let other = Token { road: Road::Typed, ..token.clone() };
        assert!(message(&lane, &other).ends_with("it belongs to the road `typed`"));
        let date = LaneId::Chunk { date: "2026-11-18".into(), chunk: String::new() };
        assert!(message(&date, &token).ends_with("it belongs to another kind of lane"));
        let none = LaneId::Chunk { date: "2026-11-31".into(), chunk: "x".into() };
        assert!(message(&none, &token).ends_with("it names no date"));
        let window = LaneId::Window { start: 0, pass: 0 };
        assert!(message(&window, &token).ends_with("it is no lane of the export"));
    }
}
