//! The id of a service.

use std::fmt;
use std::str::FromStr;

/// Characters of an id.
const TEXT: usize = 36;

/// The id of a service in the service tree: a GUID, lower-case with hyphens on the wire.
///
/// It is given to a client, which puts it into everything it sends; a record has none. The
/// default is no id: it can be encoded, for tests, and is refused everywhere else.
///
/// ```
/// use ev_audit::ServiceId;
///
/// let service: ServiceId = "E6C9FCB1-7F08-4C1D-9E7A-123456789ABC".parse()?;
/// assert_eq!(service.as_str(), "e6c9fcb1-7f08-4c1d-9e7a-123456789abc");
/// # Ok::<(), ev_audit::InvalidServiceId>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(Option<[u8; TEXT]>);

/// Why a value is no id of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidServiceId {
    /// The GUID of zeros.
    #[error("service tree ID cannot be nil")]
    Nil,
    /// No GUID.
    #[error("`{text}` is no service tree ID: want a GUID of 36 characters")]
    Form {
        /// The text.
        text: String,
    },
}

impl ServiceId {
    /// The id with these bytes, in the order of the text.
    ///
    /// # Errors
    ///
    /// All are zero.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, InvalidServiceId> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        if bytes == [0; 16] {
            return Err(InvalidServiceId::Nil);
        }
        let mut text = [b'-'; TEXT];
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let places = (0..TEXT).filter(|place| !is_hyphen(*place));
        for (place, digit) in places.zip(digits) {
            text[place] = DIGITS[usize::from(digit)];
        }
        Ok(Self(Some(text)))
    }

    /// The text, empty when there is no id.
    pub fn as_str(&self) -> &str {
        // Only hexadecimal digits and hyphens are ever stored.
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// Whether there is an id.
    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// The text as it is written.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |text| text)
    }

    /// The id with this text; the GUID of zeros is one that somebody else sent.
    pub(crate) fn received(text: &str) -> Option<Self> {
        let mut bytes: [u8; TEXT] = text.as_bytes().try_into().ok()?;
        let is_form = bytes.iter().enumerate().all(|(place, byte)| {
            if is_hyphen(place) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
        });
        bytes.make_ascii_lowercase();
        is_form.then_some(Self(Some(bytes)))
    }
}

fn is_hyphen(place: usize) -> bool {
    matches!(place, 8 | 13 | 18 | 23)
}

impl FromStr for ServiceId {
    type Err = InvalidServiceId;

    fn from_str(text: &str) -> Result<Self, InvalidServiceId> {
        let id =
            Self::received(text).ok_or_else(|| InvalidServiceId::Form { text: text.to_owned() })?;
        if id.bytes().iter().all(|byte| matches!(byte, b'0' | b'-')) {
            return Err(InvalidServiceId::Nil);
        }
        Ok(id)
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceId({self})")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for ServiceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for ServiceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::text::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidServiceId, ServiceId};

    #[test]
    fn bytes_and_text_are_the_same_id() {
        let bytes = 0xe6c9_fcb1_7f08_4c1d_9e7a_1234_5678_9abc_u128.to_be_bytes();
        let id = ServiceId::from_bytes(bytes).unwrap();
        assert_eq!(id.as_str(), "e6c9fcb1-7f08-4c1d-9e7a-123456789abc");
        assert_eq!(id.as_str().to_uppercase().parse(), Ok(id));
        assert!(id.is_set());
    }

    #[test]
    fn what_is_no_id() {
        let nil = "00000000-0000-0000-0000-000000000000";
        assert_eq!(nil.parse::<ServiceId>(), Err(InvalidServiceId::Nil));
        assert_eq!(ServiceId::from_bytes([0; 16]), Err(InvalidServiceId::Nil));
        for text in ["", "e6c9fcb17f084c1d9e7a123456789abc", "g6c9fcb1-7f08-4c1d-9e7a-123456789abc"]
        {
            assert_eq!(
                text.parse::<ServiceId>(),
                Err(InvalidServiceId::Form { text: text.to_owned() })
            );
        }
        let none = ServiceId::default();
        assert!(!none.is_set() && none.as_str().is_empty());
    }
}
