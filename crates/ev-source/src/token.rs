//! Where a lane stands, as bytes that a state keeps.
//!
//! Little-endian. The first byte is the kind.
//!
//! Window (kind 1, formats 1 and 2): flags (1 byte: bit 0 live, bit 1 starts without overlap, bit 2
//! has the second of opening), order (1 byte: 0 ascending), start (8), end (8; 0 when live), with
//! bit 2 the second at which the lane was opened (8), number of types (2), each type as length (2)
//! and text, then the page key up to the end. Format 1 has no bit 2. A page key belongs to the
//! search that made it, which is why the whole search is kept with it; the end of a live window
//! alone may differ.
//!
//! Session (kind 2, format 1): flags (1 byte: bit 0 the indexes are in order), start index (4),
//! events to skip (8), events settled in all (8).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ev_core::{LaneId, Road, SourceError, Token};

use crate::road::SearchRoad;

/// Newest version of the layout.
const FORMAT: u8 = 2;
/// The version in which sessions are written: nothing about them has changed since.
const SESSION_FORMAT: u8 = 1;

const WINDOW: u8 = 1;
const SESSION: u8 = 2;
const LIVE: u8 = 1;
const BARE_START: u8 = 2;
const OPENED: u8 = 4;
const ASCENDING: u8 = 0;

/// What a window lane searches for: all that a page key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// First second of the window.
    pub(crate) start: i64,
    /// First second behind it; `None` for the live one.
    pub(crate) end: Option<i64>,
    /// Whether nothing in front of the window is asked for: the very first one.
    pub(crate) bare_start: bool,
    /// Event types asked for; empty means all.
    pub(crate) types: Vec<String>,
}

/// Where a window lane stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WindowToken {
    pub(crate) search: Search,
    /// Key of the page to ask for; empty for the first one.
    pub(crate) key: String,
    /// Second at which the lane was opened, by our clock: whatever was stored until then it cannot
    /// have missed. `None` if an earlier release opened it.
    pub(crate) opened: Option<i64>,
}

/// Where a session lane stands: ask for events from index `from` on, and pass over the first
/// `skip` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionToken {
    pub(crate) from: i32,
    pub(crate) skip: u64,
    /// Events of the recording that are settled, counted from its beginning.
    pub(crate) total: u64,
    /// Whether no index so far was lower than the one before.
    pub(crate) ordered: bool,
}

impl Default for SessionToken {
    fn default() -> Self {
        Self { from: 0, skip: 0, total: 0, ordered: true }
    }
}

/// A token of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Window(WindowToken),
    Session(SessionToken),
}

impl WindowToken {
    pub(crate) fn encode(&self, road: Road) -> Token {
        let Search { start, end, bare_start, types } = &self.search;
        let mut bytes = BytesMut::with_capacity(21 + self.key.len());
        bytes.put_u8(WINDOW);
        let live = if end.is_none() { LIVE } else { 0 };
        let opened = if self.opened.is_some() { OPENED } else { 0 };
        bytes.put_u8(live | opened | if *bare_start { BARE_START } else { 0 });
        bytes.put_u8(ASCENDING);
        bytes.put_i64_le(*start);
        bytes.put_i64_le(end.unwrap_or_default());
        if let Some(opened) = self.opened {
            bytes.put_i64_le(opened);
        }
        // Settings never come near these limits; what is cut only restarts the lane once more.
        let short = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        bytes.put_u16_le(short(types.len()));
        for name in types.iter().take(usize::from(u16::MAX)) {
            let name = &name.as_bytes()[..usize::from(short(name.len()))];
            bytes.put_u16_le(short(name.len()));
            bytes.put_slice(name);
        }
        bytes.put_slice(self.key.as_bytes());
        token(road, bytes, FORMAT)
    }
}

impl SessionToken {
    pub(crate) fn encode(&self, road: Road) -> Token {
        let mut bytes = BytesMut::with_capacity(22);
        bytes.put_u8(SESSION);
        bytes.put_u8(u8::from(self.ordered));
        bytes.put_i32_le(self.from);
        bytes.put_u64_le(self.skip);
        bytes.put_u64_le(self.total);
        token(road, bytes, SESSION_FORMAT)
    }
}

fn token(road: Road, bytes: BytesMut, format: u8) -> Token {
    Token { road, format, bytes: bytes.freeze() }
}

/// Whether this release reads tokens of that format.
pub(crate) fn is_readable(format: u8) -> bool {
    (1..=FORMAT).contains(&format)
}

/// Reads a token that a state kept, for reading on by the calls of `road`.
///
/// A window that was read on another road is read from its start again, since a page key belongs
/// to the call that gave it: by time, and what is known of it is recognised by its id. Recordings
/// go on where they stood.
pub(crate) fn decode_for(
    road: SearchRoad,
    lane: &LaneId,
    token: &Token,
) -> Result<Parsed, SourceError> {
    let mut parsed = decode(lane, token)?;
    if let Parsed::Window(window) = &mut parsed
        && token.road != road.road()
    {
        window.key.clear();
    }
    Ok(parsed)
}

/// Reads a token that a state kept, of whichever road. Recordings are asked for by the indexes of
/// their events, which are the same on all of them.
pub(crate) fn decode(lane: &LaneId, token: &Token) -> Result<Parsed, SourceError> {
    let invalid = |message: String| SourceError::Token { lane: lane.clone(), message };
    if SearchRoad::of(token.road).is_none() && !matches!(lane, LaneId::Session(_)) {
        let message = format!("it belongs to the road `{}`", token.road.as_str());
        return Err(invalid(message));
    }
    if !is_readable(token.format) {
        let message = format!("its format is {}, this release reads up to {FORMAT}", token.format);
        return Err(invalid(message));
    }
    let parsed = parse(token.bytes.clone()).ok_or_else(|| invalid("it is damaged".to_owned()))?;
    match (lane, &parsed) {
        (LaneId::Window { .. }, Parsed::Window(_)) | (LaneId::Session(_), Parsed::Session(_)) => {
            Ok(parsed)
        }
        _ => Err(invalid("it belongs to another kind of lane".to_owned())),
    }
}

fn parse(mut bytes: Bytes) -> Option<Parsed> {
    match bytes.try_get_u8().ok()? {
        WINDOW => {
            let flags = bytes.try_get_u8().ok()?;
            if flags & !(LIVE | BARE_START | OPENED) != 0 || bytes.try_get_u8().ok()? != ASCENDING {
                return None;
            }
            let start = bytes.try_get_i64_le().ok()?;
            let end = bytes.try_get_i64_le().ok()?;
            let end = (flags & LIVE == 0).then_some(end);
            let opened = match flags & OPENED {
                0 => None,
                _ => Some(bytes.try_get_i64_le().ok()?),
            };
            let mut types = Vec::new();
            for _ in 0..bytes.try_get_u16_le().ok()? {
                let len = usize::from(bytes.try_get_u16_le().ok()?);
                types.push(text(take(&mut bytes, len)?)?);
            }
            let bare_start = flags & BARE_START != 0;
            let search = Search { start, end, bare_start, types };
            Some(Parsed::Window(WindowToken { search, key: text(bytes)?, opened }))
        }
        SESSION => {
            let ordered = match bytes.try_get_u8().ok()? {
                0 => false,
                1 => true,
                _ => return None,
            };
            let from = bytes.try_get_i32_le().ok()?;
            let skip = bytes.try_get_u64_le().ok()?;
            let total = bytes.try_get_u64_le().ok()?;
            let whole = bytes.is_empty() && from >= 0;
            whole.then_some(Parsed::Session(SessionToken { from, skip, total, ordered }))
        }
        _ => None,
    }
}

fn take(bytes: &mut Bytes, len: usize) -> Option<Bytes> {
    (len <= bytes.len()).then(|| bytes.split_to(len))
}

fn text(bytes: Bytes) -> Option<String> {
    String::from_utf8(bytes.into()).ok()
}

#[cfg(test)]
mod tests {
    use ev_core::SessionId;
    use proptest::prelude::*;

    use super::*;

    fn window() -> LaneId {
        LaneId::Window { start: 1, pass: 0 }
    }

    fn session() -> LaneId {
        LaneId::Session(SessionId::try_new(b"s").expect("a valid id"))
    }

    fn window_token() -> impl Strategy<Value = WindowToken> {
        let types = prop::collection::vec("\\PC{0,12}", 0..4);
        let flags = (any::<bool>(), any::<Option<i64>>());
        (any::<i64>(), any::<Option<i64>>(), flags, types, "\\PC{0,40}").prop_map(
            |(start, end, (bare_start, opened), types, key)| WindowToken {
                search: Search { start, end, bare_start, types },
                key,
                opened,
            },
        )
    }

    proptest! {
        #[test]
        fn window_tokens_round_trip(token in window_token()) {
            for road in [Road::Typed, Road::Unstructured] {
                let parsed = decode(&window(), &token.encode(road)).expect("our own token");
                prop_assert_eq!(parsed, Parsed::Window(token.clone()));
            }
        }

        #[test]
        fn session_tokens_round_trip(from in 0..=i32::MAX, skip: u64, total: u64, ordered: bool) {
            let token = SessionToken { from, skip, total, ordered };
            for road in [Road::Typed, Road::Unstructured, Road::Export] {
                let parsed = decode(&session(), &token.encode(road)).expect("our own token");
                prop_assert_eq!(parsed, Parsed::Session(token));
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let token = Token { road: Road::Typed, format: 1, bytes: bytes.into() };
            for lane in [window(), session()] {
                // What is read is written the same way again: nothing was guessed.
                match decode(&lane, &token) {
                    Ok(Parsed::Window(read)) => {
                        prop_assert_eq!(read.encode(Road::Typed).bytes.len(), token.bytes.len());
                    }
                    Ok(Parsed::Session(read)) => prop_assert_eq!(&read.encode(Road::Typed), &token),
                    Err(_) => {}
                }
            }
        }

        #[test]
        fn a_cut_token_is_refused(token in window_token(), cut in 1..22usize) {
            let mut token = WindowToken { key: String::new(), ..token }.encode(Road::Typed);
            token.bytes.truncate(token.bytes.len().saturating_sub(cut));
            let whole = decode(&window(), &token);
            prop_assert!(whole.is_err());
        }
    }

    #[test]
    fn tokens_of_the_first_format_are_read() {
        // Live, no types, key `k`, start 5.
        let bytes = [&[1, 1, 0], &5i64.to_le_bytes()[..], &[0; 8], &[0, 0], b"k"].concat();
        let token = Token { road: Road::Typed, format: 1, bytes: bytes.into() };
        let Ok(Parsed::Window(read)) = decode(&window(), &token) else { panic!("a good token") };
        assert_eq!((read.search.start, read.search.end, read.key.as_str()), (5, None, "k"));
        assert_eq!(read.opened, None);
    }

    #[test]
    fn what_is_not_ours_is_refused_by_name() {
        let good = SessionToken::default().encode(Road::Typed);
        let message = |lane: &LaneId, token: &Token| {
            decode(lane, token).expect_err("a token to refuse").to_string()
        };
        assert_eq!(
            message(&window(), &good),
            "resume point of `window/1/0` is not readable: it belongs to another kind of lane"
        );
        let newer = Token { format: 9, ..good.clone() };
        assert!(
            message(&session(), &newer).ends_with("its format is 9, this release reads up to 2")
        );
        let other = Token { road: Road::Export, ..good };
        assert!(message(&window(), &other).ends_with("it belongs to the road `export`"));
    }

    #[test]
    fn a_key_is_kept_on_its_own_road_only() {
        let search = Search { start: 5, end: None, bare_start: true, types: Vec::new() };
        let here = WindowToken { search, key: "k".to_owned(), opened: Some(7) };
        let token = here.encode(Road::Unstructured);
        let read = |road| decode_for(road, &window(), &token).expect("our own token");
        assert_eq!(read(SearchRoad::Unstructured), Parsed::Window(here.clone()));
        let anew = WindowToken { key: String::new(), ..here };
        assert_eq!(read(SearchRoad::Typed), Parsed::Window(anew));
        let here = SessionToken { from: 3, skip: 1, total: 9, ordered: true };
        let token = here.encode(Road::Unstructured);
        let read = decode_for(SearchRoad::Typed, &session(), &token).expect("our own token");
        assert_eq!(read, Parsed::Session(here), "recordings go on");
    }
}
