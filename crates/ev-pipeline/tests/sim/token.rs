//! Resume points of the simulated source, as text.

use ev_core::{Road, Token};

use crate::auth::{Key, Place};

/// Where a window stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WindowToken {
    /// First second that is searched for; later than that of the window once a search was begun
    /// anew.
    pub(crate) start: i64,
    /// First second behind it; `None` for the live one.
    pub(crate) end: Option<i64>,
    /// Whether nothing in front of it is asked for.
    pub(crate) bare: bool,
    /// When the lane was opened, by Auth's clock.
    pub(crate) opened: i64,
    pub(crate) key: Option<Key>,
}

impl WindowToken {
    pub(crate) fn encode(&self) -> Token {
        let Self { start, end, bare, opened, key } = self;
        let end = end.map_or_else(|| "-".to_owned(), |end| end.to_string());
        let key = key.map_or_else(String::new, |Key { behind: Place(a, b, c), nonce }| {
            format!(" {a} {b} {c} {nonce}")
        });
        make(&format!("w {start} {end} {bare} {opened}{key}"))
    }

    pub(crate) fn decode(token: &Token) -> Self {
        let text = text(token);
        let parts: Vec<&str> = text.split(' ').collect();
        let number = |at: usize| parts[at].parse::<u32>().unwrap();
        let key = (parts.len() > 5).then(|| Key {
            behind: Place(parts[5].parse().unwrap(), number(6), number(7)),
            nonce: number(8),
        });
        assert_eq!(parts[0], "w", "a window's token");
        Self {
            start: parts[1].parse().unwrap(),
            end: parts[2].parse().ok(),
            bare: parts[3] == "true",
            opened: parts[4].parse().unwrap(),
            key,
        }
    }
}

/// A recording whose first `read` events are settled.
pub(crate) fn session(read: u32) -> Token {
    make(&format!("s {read}"))
}

pub(crate) fn session_place(token: &Token) -> u32 {
    text(token).strip_prefix("s ").expect("a recording's token").parse().unwrap()
}

fn make(text: &str) -> Token {
    Token { road: Road::Typed, format: 1, bytes: bytes::Bytes::copy_from_slice(text.as_bytes()) }
}

fn text(token: &Token) -> &str {
    std::str::from_utf8(&token.bytes).unwrap()
}
