//! The enumerations of the format: numbers in memory, names on the wire.
//!
//! A kind is a number of 16 bits and keeps one that has no name here, since a newer program may
//! know it: on the wire it is then spelt like `OperationType(77)`. A new value is one line in
//! this file.

use std::fmt;
use std::str::FromStr;

/// The longest text of a kind: short enough for a string whose header is one byte.
const MAX_NAME: usize = 31;

/// What encoding and decoding need of an enumeration.
pub(crate) trait Kind: Copy + Eq + FromStr<Err = UnknownName> {
    /// The name of the enumeration, as in `OperationType(77)`.
    const KIND: &'static str;

    /// The number.
    fn number(self) -> u16;

    /// The name on the wire, when the number has one.
    fn name(self) -> Option<&'static str>;
}

/// A text that names no value of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no {kind}")]
pub struct UnknownName {
    /// The enumeration.
    pub kind: &'static str,
    /// The text.
    pub name: String,
}

macro_rules! kinds {
    ($(
        $(#[$about:meta])*
        $kind:ident { $($constant:ident = $number:literal $name:literal,)+ }
    )+) => {$(
        $(#[$about])*
        ///
        /// Its text, [`Display`](std::fmt::Display) and [`FromStr`](std::str::FromStr), is the
        /// name on the wire; names are read in any case of letters, and one that is unknown is an
        /// error.
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $kind(u16);

        impl $kind {
            $(
                #[doc = concat!("`", $name, "`, number ", $number, ".")]
                pub const $constant: Self = Self($number);
            )+

            /// All values that have a name, by number.
            pub const ALL: &'static [Self] = &[$(Self::$constant),+];

            const NAMES: &'static [&'static str] = &[$($name),+];

            /// The value with this number, which need not have a name.
            pub const fn from_number(number: u16) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn number(self) -> u16 {
                self.0
            }

            /// The name on the wire, when the number has one.
            pub fn name(self) -> Option<&'static str> {
                Self::NAMES.get(usize::from(self.0)).copied()
            }

            /// The value with this name, [`UNKNOWN`](Self::UNKNOWN) for a text that names none.
            pub fn from_name_or_unknown(name: &str) -> Self {
                name.parse().unwrap_or_default()
            }
        }

        impl Kind for $kind {
            const KIND: &'static str = stringify!($kind);

            fn number(self) -> u16 {
                self.0
            }

            fn name(self) -> Option<&'static str> {
                Self::name(self)
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{}({})", stringify!($kind), self.0),
                }
            }
        }

        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $kind {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                parse(name, stringify!($kind), Self::NAMES).map(Self)
            }
        }

        // A name stands at the place of its number, and no text of a kind needs a longer header.
        const _: () = {
            let numbers: &[usize] = &[$($number),+];
            let mut place = 0;
            while place < numbers.len() {
                assert!(numbers[place] == place, "numbers go up from 0 without a gap");
                assert!($kind::NAMES[place].len() <= MAX_NAME, "a long name");
                place += 1;
            }
            assert!(stringify!($kind).len() + "(65535)".len() <= MAX_NAME, "a long name");
        };

        #[cfg(feature = "serde")]
        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::model::text::from_text(deserializer)
            }
        }
    )+};
}

kinds! {
    /// What an operation did.
    OperationType {
        UNKNOWN = 0 "UnknownOperationType",
        READ = 1 "Read",
        UPDATE = 2 "Update",
        CREATE = 3 "Create",
        DELETE = 4 "Delete",
    }

    /// How an operation ended.
    OperationResult {
        UNKNOWN = 0 "UnknownOperationResult",
        SUCCESS = 1 "Success",
        FAILURE = 2 "Failure",
    }

    /// What an operation was about. [`OTHER`](Self::OTHER) needs a description in the record; of
    /// records with [`EUII`](Self::EUII) the backend obfuscates the caller's identity.
    OperationCategory {
        UNKNOWN = 0 "UnknownOperationCategory",
        OTHER = 1 "OCOther",
        USER_MANAGEMENT = 2 "UserManagement",
        GROUP_MANAGEMENT = 3 "GroupManagement",
        AUTHENTICATION = 4 "Authentication",
        AUTHORIZATION = 5 "Authorization",
        ROLE_MANAGEMENT = 6 "RoleManagement",
        APPLICATION_MANAGEMENT = 7 "ApplicationManagement",
        KEY_MANAGEMENT = 8 "KeyManagement",
        DIRECTORY_MANAGEMENT = 9 "DirectoryManagement",
        RESOURCE_MANAGEMENT = 10 "ResourceManagement",
        POLICY_MANAGEMENT = 11 "PolicyManagement",
        DEVICE_MANAGEMENT = 12 "DeviceManagement",
        ENTITLEMENT_MANAGEMENT = 13 "EntitlementManagement",
        PASSWORD_MANAGEMENT = 14 "PasswordManagement",
        IDENTITY_PROTECTION = 15 "IdentityProtection",
        OBJECT_MANAGEMENT = 16 "ObjectManagement",
        PROVISIONING_MANAGEMENT = 17 "ProvisioningManagement",
        CUSTOMER_FACING = 18 "CustomerFacing",
        EUII = 19 "EUII",
    }

    /// What a caller's identity is.
    CallerIdentityType {
        UNKNOWN = 0 "UnknownCallerIdentityType",
        OTHER = 1 "CIOther",
        UPN = 2 "UPN",
        PUID = 3 "PUID",
        OBJECT_ID = 4 "ObjectID",
        CERTIFICATE = 5 "Certificate",
        CLAIM = 6 "Claim",
        USERNAME = 7 "Username",
        ACCESS_KEY_NAME = 8 "AccessKeyName",
        SUBSCRIPTION_ID = 9 "SubscriptionID",
        APPLICATION_ID = 10 "ApplicationID",
        TENANT_ID = 11 "TenantID",
        TOKEN_ID = 12 "TokenID",
        SAS_URL = 13 "SasURL",
        SYSTEM = 14 "System",
    }

    /// How a client reaches its agent, as heartbeats tell it.
    ConnectionType {
        UNKNOWN = 0 "Unknown",
        NO_OP = 1 "NoOP",
        UNIX_DOMAIN_SOCKET = 2 "UnixDomainSocket",
        TCP = 3 "TCP",
    }
}

/// The number of a name in any case of letters, or of `Kind(number)` for one without a name.
fn parse(text: &str, kind: &'static str, names: &[&str]) -> Result<u16, UnknownName> {
    let place = names
        .iter()
        .position(|name| *name == text)
        .or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(text)));
    place
        .and_then(|place| u16::try_from(place).ok())
        .or_else(|| spelt_number(text, kind).filter(|number| usize::from(*number) >= names.len()))
        .ok_or_else(|| UnknownName { kind, name: text.to_owned() })
}

/// 77 of `OperationType(77)`.
fn spelt_number(text: &str, kind: &str) -> Option<u16> {
    let (head, rest) = text.split_at_checked(kind.len())?;
    let digits = rest.strip_prefix('(')?.strip_suffix(')')?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    (head.eq_ignore_ascii_case(kind) && plain).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{CallerIdentityType, OperationCategory, OperationResult, OperationType};

    #[test]
    fn a_number_without_a_name_is_kept_and_spelt() {
        let odd = OperationType::from_number(77);
        assert_eq!((odd.name(), odd.number()), (None, 77));
        assert_eq!(odd.to_string(), "OperationType(77)");
        assert_eq!("operationtype(77)".parse(), Ok(odd));
        assert_eq!(OperationCategory::from_number(400).to_string(), "OperationCategory(400)");
        assert_eq!(CallerIdentityType::from_number(99).to_string(), "CallerIdentityType(99)");
        assert_eq!(OperationResult::from_number(9).to_string(), "OperationResult(9)");
    }

    #[test]
    fn a_text_that_names_nothing_is_an_error_unless_asked_for_unknown() {
        for text in [
            "",
            "Reading",
            "OperationType(2)",
            "OperationType(077)",
            "OperationType(+77)",
            "OperationType(65536)",
            "OperationType()",
            "OperationType(77",
            "OperationResult(77)",
        ] {
            let error = text.parse::<OperationType>().expect_err(text);
            assert_eq!(error.to_string(), format!("`{text}` is no OperationType"));
            assert_eq!(OperationType::from_name_or_unknown(text), OperationType::UNKNOWN);
        }
        assert_eq!(OperationType::from_name_or_unknown("rEAD"), OperationType::READ);
    }
}
