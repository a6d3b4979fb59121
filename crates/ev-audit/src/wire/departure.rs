//! What can be read in a frame and should not be so.

use std::fmt;

/// Something in a frame that can be read, but is not as the client that the format comes from
/// writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// What was not kept to.
    pub rule: FormRule,
    /// Where, counted from the start of the frame.
    pub offset: usize,
    /// What stands there.
    pub detail: String,
}

/// What a frame should keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FormRule {
    /// One option, `TimeFormat`, which is `DateTime`.
    Envelope,
    /// The shortest header for every length.
    Form,
    /// Seconds as `d3` and 8 bytes.
    TimeForm,
    /// Seconds of the years 1970 to 9999.
    TimeRange,
    /// All keys of a map.
    KeyMissing,
    /// No other keys.
    KeyUnknown,
    /// Keys in their order.
    KeyOrder,
    /// Identities by the number of their type, types of resources and custom keys bytewise: the
    /// client that the format comes from has no order here.
    MapOrder,
    /// Names of kinds with their own letters.
    Enum,
    /// Categories by number, access levels bytewise.
    ListOrder,
    /// No category and no access level twice.
    ListDuplicate,
    /// The service id in lower case.
    ServiceId,
    /// The address in its canonical text.
    Address,
    /// No custom data rather than empty custom data.
    CustomEmpty,
    /// Integers in the width of their type.
    FixInt,
}

impl FormRule {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Form => "form",
            Self::TimeForm => "time-form",
            Self::TimeRange => "time-range",
            Self::KeyMissing => "key-missing",
            Self::KeyUnknown => "key-unknown",
            Self::KeyOrder => "key-order",
            Self::MapOrder => "map-order",
            Self::Enum => "enum",
            Self::ListOrder => "list-order",
            Self::ListDuplicate => "list-duplicate",
            Self::ServiceId => "service-id",
            Self::Address => "address",
            Self::CustomEmpty => "custom-empty",
            Self::FixInt => "fixint",
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.rule.name(), self.offset, self.detail)
    }
}
