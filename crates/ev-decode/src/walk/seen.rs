//! The facts that the pass comes by: what the event's own fields say of type, id, time and user.

use ev_core::{Facts, LoginFacts, Span, Timestamp};

use crate::table::Slot;

/// The facts of one event's fields, as far as they were seen. Kept with the buffers, so that it is
/// neither built nor moved for an event.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Field number of the event's case; 0 before the first.
    case: u32,
    has_print_data: bool,
    pub(super) success: Option<bool>,
    pub(super) index: i64,
    pub(super) time: Timestamp,
    /// By [`Slot`]. That of fields which hold no fact is written too, and never read.
    spans: [Span; Slot::ALL.len()],
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            case: 0,
            has_print_data: false,
            success: None,
            index: 0,
            time: Timestamp::ZERO_YEAR_ONE,
            spans: [Span::default(); Slot::ALL.len()],
        }
    }
}

impl Seen {
    /// Forgets everything; the event has the case with this number.
    pub(super) fn begin(&mut self, case: u32, has_print_data: bool) {
        self.case = case;
        self.has_print_data = has_print_data;
        self.success = None;
        self.index = 0;
        self.time = Timestamp::ZERO_YEAR_ONE;
        self.spans = [Span::default(); Slot::ALL.len()];
    }

    /// Keeps a fact whose value is a slice of the event. `top` says that the field is the event's
    /// own.
    #[inline]
    pub(super) fn keep(&mut self, slot: Slot, span: Span, top: bool) {
        // Without a branch: what is no fact goes where nobody reads.
        let slot = if top { slot } else { Slot::None };
        if let Some(place) = self.spans.get_mut(slot as usize) {
            *place = span;
        }
    }

    fn span(&self, slot: Slot) -> Span {
        self.spans[slot as usize]
    }

    pub(crate) fn has_uid(&self) -> bool {
        !self.span(Slot::Uid).is_empty()
    }

    /// `None` before the first case.
    #[inline]
    pub(crate) fn facts(&self, digest: Option<[u8; 32]>, with_login: bool) -> Option<Facts> {
        (self.case != 0).then(|| Facts {
            case: self.case,
            kind: self.span(Slot::Type),
            uid: self.span(Slot::Uid),
            session: self.span(Slot::Session),
            index: self.index,
            time: self.time,
            digest,
            login: with_login.then(|| LoginFacts {
                user: self.span(Slot::User),
                login: self.span(Slot::Login),
                cluster: self.span(Slot::Cluster),
                success: self.success,
            }),
        })
    }

    /// The bytes of a `print` event, when its type has such a field.
    pub(crate) fn print_data(&self) -> Option<Span> {
        self.has_print_data.then(|| self.span(Slot::PrintData))
    }
}
