//! What is told of one event.

use ev_core::Timestamp;
use serde::{Serialize, Serializer};

use crate::event::About;
use crate::json::Difference;

/// What was found out about one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    #[serde(rename = "finding")]
    pub kind: FindingKind,
    /// Its `uid`; `no-uid,ei=<index>` without one. Comes from whoever could write an event.
    pub id: String,
    /// Its type, likewise.
    pub event: String,
    /// The session in whose recording it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When it happened.
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Where two bodies differ; the first few places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// How many more places there are.
    #[serde(skip_serializing_if = "is_none")]
    pub more_differences: usize,
    /// Two bodies differ, but one of them is not there any more to say where.
    #[serde(skip_serializing_if = "is_false")]
    pub by_digest_only: bool,
}

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// We have it; the other handler never sent it.
    OnlyOurs,
    /// The other handler sent it; we do not have it.
    OnlyTheirs,
    /// Both have it, and the bodies say different things.
    Differs,
    /// The other handler sent it again. No difference: both promise *at least once*.
    Duplicate,
    /// We have it twice.
    OursTwice,
    /// One that was told as only ours or only theirs came from the other side after all, later
    /// than the patience; it is counted by what the two say, and the finding is withdrawn.
    Late,
    /// A body of ours that is no JSON object.
    OursUnreadable,
    /// A body of the other handler that is no JSON object.
    TheirsUnreadable,
}

impl FindingKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnlyOurs => "only-ours",
            Self::OnlyTheirs => "only-theirs",
            Self::Differs => "differs",
            Self::Duplicate => "duplicate",
            Self::OursTwice => "ours-twice",
            Self::Late => "late",
            Self::OursUnreadable => "ours-unreadable",
            Self::TheirsUnreadable => "theirs-unreadable",
        }
    }
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, about: About, time: Option<Timestamp>) -> Self {
        let About { id, kind: event, session } = about;
        Self {
            kind,
            id,
            event,
            session,
            time,
            differences: Vec::new(),
            more_differences: 0,
            by_digest_only: false,
        }
    }
}

fn time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
