//! A type for each identifier, so that none is taken for another.

use std::fmt;
use std::sync::Arc;

/// The version that Auth reports by Ping, for instance `18.1.0` or `15.0.0-dev`.
///
/// Compared as text and never parsed to choose a road: equal or not equal is all that matters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthVersion(Arc<str>);

impl AuthVersion {
    /// Takes the text as it came.
    pub fn new(version: impl AsRef<str>) -> Self {
        Self(version.as_ref().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuthVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AuthVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Identifier of a session recording, safe inside a URL path and a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Arc<str>);

/// The bytes are no usable session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a session id must be 1 to 128 of the characters A-Z a-z 0-9 `-` `_` `.`, not starting with a dot"
)]
pub struct InvalidSessionId;

impl SessionId {
    /// Longest session id that is taken, in bytes. Teleport's are UUIDs of 36.
    pub const MAX_LEN: usize = 128;

    /// Checks the bytes once; the type carries the proof.
    ///
    /// A session id becomes part of a URL path and of names on disk, and it comes from an event,
    /// so from whoever could write one.
    ///
    /// # Errors
    ///
    /// [`InvalidSessionId`] when empty, too long, starting with a dot, or with other characters
    /// than `A-Z a-z 0-9 - _ .`.
    pub fn try_new(bytes: &[u8]) -> Result<Self, InvalidSessionId> {
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if bytes.is_empty()
            || bytes.len() > Self::MAX_LEN
            || bytes[0] == b'.'
            || !bytes.iter().all(allowed)
        {
            return Err(InvalidSessionId);
        }
        std::str::from_utf8(bytes).map(|text| Self(text.into())).map_err(|_| InvalidSessionId)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Name of a sink inside one state, for instance `fluentd`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinkId(pub String);

/// First 16 bytes of the SHA-256 of an event's id: what is kept to recognise an event again.
///
/// Eight bytes would halve the disk, but a wrong match is a lost event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventDigest(pub [u8; 16]);

impl fmt::Debug for EventDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Number of a batch, unique within a run of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// Row number of a parked event in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParkedId(pub i64);

/// Grows by one with every opening of a sink's state; a commit under an older one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_checked_once() {
        assert!(SessionId::try_new(b"1b4ef158-039f-47cc-d49f-0a64b0da7b7e").is_ok());
        for bad in [&b""[..], b"a/b", b"..", b".hidden", b"a b", b"\xff", &[b'a'; 129]] {
            assert_eq!(SessionId::try_new(bad), Err(InvalidSessionId), "{bad:?}");
        }
    }
}
