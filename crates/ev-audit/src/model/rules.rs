//! What is demanded of a record beyond what the format can express.

use crate::wire::{MAX_DEPTH, MAX_FRAME_BYTES};

/// What is demanded of a record beyond what the format can express.
///
/// The default accepts what the client that the format comes from accepts, and bounds the size of
/// a frame and the depth of custom data: it follows that every accepted record can be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Accept callers at loopback addresses, as in development and in sidecars. Off by default.
    pub allow_loopback: bool,
    /// Refuse kinds that have no name, and the unknown ones that have. Off by default.
    pub known_kinds_only: bool,
    /// Refuse required texts that are whitespace. Off by default, but for access levels and types
    /// of resources, which are never blank.
    pub refuse_blank: bool,
    /// How many arrays and maps may stand around a value of custom data: 32 by default. More than
    /// [`MAX_DEPTH`] counts as that.
    pub max_depth: usize,
    /// The longest text, in characters: no bound by default.
    pub max_text_chars: usize,
    /// The longest frame, in bytes and before duplicates in lists are left out: 1 MiB by default.
    /// More than [`MAX_FRAME_BYTES`] counts as that.
    pub max_frame_bytes: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            allow_loopback: false,
            known_kinds_only: false,
            refuse_blank: false,
            max_depth: 32,
            max_text_chars: usize::MAX,
            max_frame_bytes: 1 << 20,
        }
    }
}

impl Rules {
    /// Strict mode: only known kinds, nothing blank, texts of at most 16,383 characters and
    /// frames of at most 65,360 bytes, which is what other clients of the same agent keep to.
    pub fn strict() -> Self {
        Self {
            known_kinds_only: true,
            refuse_blank: true,
            max_text_chars: 16_383,
            max_frame_bytes: 65_360,
            ..Self::default()
        }
    }

    /// The same with callers at loopback addresses.
    #[must_use]
    pub fn with_loopback(self) -> Self {
        Self { allow_loopback: true, ..self }
    }

    pub(super) fn depth(&self) -> usize {
        self.max_depth.min(MAX_DEPTH)
    }

    pub(super) fn frame_bytes(&self) -> usize {
        self.max_frame_bytes.min(MAX_FRAME_BYTES)
    }
}
