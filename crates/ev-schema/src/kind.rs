//! How a field is printed, by the numbers of the table format (`ev_decode`, "Table format 1").

/// How a field is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    /// Base64.
    Bytes,
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    /// A message whose members stand among those of the message around it.
    Embed,
    Message,
    /// A list of messages.
    Messages,
    Strings,
    Time,
    MapString,
    MapInt32,
    /// An object of anything.
    Struct,
    /// An object of lists of strings.
    Traits,
    Uint32Value,
    Uint64Value,
    EnumText,
}

impl Kind {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::String,
            2 => Self::Bytes,
            3 => Self::Bool,
            4 => Self::Int32,
            5 => Self::Int64,
            6 => Self::Uint32,
            7 => Self::Uint64,
            8 => Self::Embed,
            9 => Self::Message,
            10 => Self::Messages,
            11 => Self::Strings,
            12 => Self::Time,
            13 => Self::MapString,
            14 => Self::MapInt32,
            15 => Self::Struct,
            16 => Self::Traits,
            17 => Self::Uint32Value,
            18 => Self::Uint64Value,
            19 => Self::EnumText,
            _ => return None,
        })
    }

    /// Whether the field refers to a message.
    pub(crate) fn has_message(self) -> bool {
        matches!(self, Self::Embed | Self::Message | Self::Messages)
    }

    /// Whether its object's keys come from the event: two of them may be equal once what is no
    /// UTF-8 in them is replaced.
    pub(crate) fn has_free_keys(self) -> bool {
        matches!(self, Self::MapString | Self::MapInt32 | Self::Struct | Self::Traits)
    }
}
