//! Why bytes are no frame.

/// Why bytes are no frame, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct DecodeError {
    kind: DecodeErrorKind,
    offset: usize,
}

impl DecodeError {
    pub(super) const fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    pub const fn kind(&self) -> &DecodeErrorKind {
        &self.kind
    }

    /// Where it is, counted from the start of the frame.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the end of the frame can still be found, with [`frame_len`](super::frame_len): then
    /// it is only this frame that cannot be read.
    pub const fn is_skippable(&self) -> bool {
        !matches!(
            self.kind,
            DecodeErrorKind::NoValue { .. }
                | DecodeErrorKind::TooDeep { .. }
                | DecodeErrorKind::TooLarge { .. }
        )
    }
}

/// What is wrong with bytes that are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The byte `c1` starts no value.
    #[error("byte {byte:#04x} starts no value")]
    NoValue {
        /// The byte.
        byte: u8,
    },
    /// Values are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// What is allowed.
        limit: usize,
    },
    /// The frame is longer than allowed, as far as its lengths tell.
    #[error("frame of more than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// A value is of another type.
    #[error("{what} is {found}, not {wanted}")]
    Type {
        /// What is wrong.
        what: &'static str,
        /// Its type.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// An array or map has another number of entries.
    #[error("{what} has {count} entries, not {wanted}")]
    Count {
        /// What is wrong.
        what: &'static str,
        /// Its entries.
        count: usize,
        /// What it should have.
        wanted: usize,
    },
    /// A text is not UTF-8.
    #[error("{what} is not UTF-8")]
    Utf8 {
        /// What is wrong.
        what: &'static str,
    },
    /// The tag is none of the four.
    #[error("unknown tag")]
    Tag,
    /// A name is none of its kind.
    #[error("{what} is none of its names")]
    Name {
        /// What is wrong.
        what: &'static str,
    },
    /// A service id is no GUID.
    #[error("service id is no GUID")]
    ServiceId,
    /// The text of an address is none.
    #[error("caller address is no IP address")]
    Address,
    /// A key stands twice in its map.
    #[error("{what} has a key twice")]
    DuplicateKey {
        /// The map.
        what: &'static str,
    },
    /// An extension is not the time.
    #[error("unknown extension type {number}")]
    Extension {
        /// Its type.
        number: i8,
    },
    /// A time has another length than its forms, or a second of nanoseconds.
    #[error("no form of a time")]
    Time,
}
