//! The message and enum types known by name: everything that is not in the descriptors, because
//! it is Go code of Teleport or of gogo/protobuf. This is the one place for such names.

use crate::table::{Kind, Slot};

/// The message that holds any event; its oneof's members are the event types.
pub(super) const ONE_OF: &str = "events.OneOf";

/// The file that declares it, in Teleport's tree.
pub(super) const EVENTS_FILE: &str = "teleport/legacy/types/events/events.proto";

/// Fields that hold facts, where their message is (embedded in) an event.
pub(super) fn slot(message: &str, number: u32) -> Slot {
    match (message, number) {
        ("events.Metadata", 1) => Slot::Index,
        ("events.Metadata", 2) => Slot::Type,
        ("events.Metadata", 3) => Slot::Uid,
        ("events.Metadata", 5) => Slot::Time,
        ("events.Metadata", 6) => Slot::Cluster,
        ("events.SessionMetadata", 1) => Slot::Session,
        ("events.UserMetadata", 1) => Slot::User,
        ("events.UserMetadata", 2) => Slot::Login,
        ("events.Status", 1) => Slot::Success,
        // Not in the JSON of Go's struct, added by `ToUnstructured` as `data`.
        ("events.SessionPrint", 3) => Slot::PrintData,
        _ => Slot::None,
    }
}

/// Enums with a `MarshalJSON` of their own: values and texts, rising. Any other value is an error.
pub(super) fn enum_texts(name: &str) -> Option<&'static [(i32, &'static str)]> {
    match name {
        "types.SAMLForceAuthn" => Some(&[(0, ""), (1, "yes"), (2, "no")]),
        _ => None,
    }
}

/// Messages of `google.protobuf` and of Teleport that have a kind of their own, with the option
/// under which they do: (message, option that must be set, kind).
pub(super) const MESSAGE_KINDS: [(&str, GoType, Kind); 5] = [
    ("google.protobuf.Timestamp", GoType::StdTime, Kind::Time),
    // Teleport's `events.Struct`, whose `MarshalJSON` prints a plain object.
    ("google.protobuf.Struct", GoType::Cast("Struct"), Kind::Struct),
    ("google.protobuf.UInt32Value", GoType::WktPointer, Kind::Uint32Value),
    ("google.protobuf.UInt64Value", GoType::WktPointer, Kind::Uint64Value),
    // `map[string][]string`.
    (
        "wrappers.LabelValues",
        GoType::Custom("github.com/gravitational/teleport/api/types/wrappers.Traits"),
        Kind::Traits,
    ),
];

/// A gogoproto option that gives a message field another Go type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GoType {
    StdTime,
    WktPointer,
    Cast(&'static str),
    Custom(&'static str),
}

/// Cast types that are plain strings in JSON.
pub(super) const PLAIN_CAST_TYPES: [&str; 2] = [
    "github.com/gravitational/teleport/api/types.SystemRole",
    "github.com/gravitational/teleport/api/types.JoinMethod",
];
