//! Values of custom data, each with the width it has on the wire.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::ip::CallerIp;
use super::kinds::{
    CallerIdentityType, ConnectionType, OperationCategory, OperationResult, OperationType,
};

/// A value of custom data. Its width on the wire is that of its type, never of what it holds: an
/// integer of a service that has no wish is [`Value::I64`].
///
/// Values are equal when their bytes on the wire are: a NaN is equal to itself, `0.0` is not
/// `-0.0`, and a number of another width is another value.
///
/// ```
/// use ev_audit::Value;
///
/// let value = Value::map([("attempts", Value::from(3_i64)), ("known", Value::from(true))]);
/// assert_ne!(Value::from(3_i64), Value::from(3_u8));
/// assert_eq!(value.depth(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Nil,
    /// A boolean.
    Bool(bool),
    /// `d0` and 1 byte.
    I8(i8),
    /// `d1` and 2 bytes.
    I16(i16),
    /// `d2` and 4 bytes.
    I32(i32),
    /// `d3` and 8 bytes.
    I64(i64),
    /// `cc` and 1 byte.
    U8(u8),
    /// `cd` and 2 bytes.
    U16(u16),
    /// `ce` and 4 bytes.
    U32(u32),
    /// `cf` and 8 bytes.
    U64(u64),
    /// `ca` and 4 bytes.
    F32(f32),
    /// `cb` and 8 bytes.
    F64(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in an order.
    Array(Vec<Value>),
    /// Values under keys, in the order of the keys: that of the variants above, then of what they
    /// hold, strings bytewise.
    Map(BTreeMap<Value, Value>),
    /// A point in time: the extension type -1 in the shortest of its three forms.
    Time(Time),
}

/// A point in time of custom data, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    seconds: i64,
    nanos: u32,
}

impl Time {
    /// Seconds since 1970, and nanoseconds in front of that; nothing when these are a second or
    /// more.
    pub const fn new(seconds: i64, nanos: u32) -> Option<Self> {
        if nanos < 1_000_000_000 { Some(Self { seconds, nanos }) } else { None }
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds behind these, less than a second.
    pub const fn nanos(self) -> u32 {
        self.nanos
    }
}

impl From<SystemTime> for Time {
    /// Times outside the range of 64-bit seconds become the nearest in it.
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
                match before.subsec_nanos() {
                    0 => Self { seconds: whole, nanos: 0 },
                    nanos => {
                        Self { seconds: whole.saturating_sub(1), nanos: 1_000_000_000 - nanos }
                    }
                }
            }
        }
    }
}

impl Value {
    /// A map with keys of text.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (Self::Str(key.into()), value)).collect())
    }

    /// An array.
    pub fn array(entries: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        Self::Array(entries.into_iter().map(Into::into).collect())
    }

    /// How many arrays and maps stand around the innermost value: 0 for a value that is none.
    pub fn depth(&self) -> usize {
        match self {
            Self::Array(entries) => 1 + entries.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries) => {
                let inner = entries.iter().map(|(key, value)| key.depth().max(value.depth()));
                1 + inner.max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// The place of the variant in the order of values.
    fn rank(&self) -> u8 {
        match self {
            Self::Nil => 0,
            Self::Bool(_) => 1,
            Self::I8(_) => 2,
            Self::I16(_) => 3,
            Self::I32(_) => 4,
            Self::I64(_) => 5,
            Self::U8(_) => 6,
            Self::U16(_) => 7,
            Self::U32(_) => 8,
            Self::U64(_) => 9,
            Self::F32(_) => 10,
            Self::F64(_) => 11,
            Self::Str(_) => 12,
            Self::Bytes(_) => 13,
            Self::Array(_) => 14,
            Self::Map(_) => 15,
            Self::Time(_) => 16,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::I8(a), Self::I8(b)) => a.cmp(b),
            (Self::I16(a), Self::I16(b)) => a.cmp(b),
            (Self::I32(a), Self::I32(b)) => a.cmp(b),
            (Self::I64(a), Self::I64(b)) => a.cmp(b),
            (Self::U8(a), Self::U8(b)) => a.cmp(b),
            (Self::U16(a), Self::U16(b)) => a.cmp(b),
            (Self::U32(a), Self::U32(b)) => a.cmp(b),
            (Self::U64(a), Self::U64(b)) => a.cmp(b),
            (Self::F32(a), Self::F32(b)) => a.total_cmp(b),
            (Self::F64(a), Self::F64(b)) => a.total_cmp(b),
            (Self::Str(a), Self::Str(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Array(a), Self::Array(b)) => a.cmp(b),
            (Self::Map(a), Self::Map(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

macro_rules! from {
    ($($type:ty => $variant:ident,)+) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

from! {
    bool => Bool,
    i8 => I8,
    i16 => I16,
    i32 => I32,
    i64 => I64,
    u8 => U8,
    u16 => U16,
    u32 => U32,
    u64 => U64,
    f32 => F32,
    f64 => F64,
    &str => Str,
    String => Str,
    &[u8] => Bytes,
    Vec<u8> => Bytes,
    Vec<Value> => Array,
    BTreeMap<Value, Value> => Map,
    Time => Time,
    SystemTime => Time,
}

macro_rules! from_text {
    ($($type:ty,)+) => {$(
        /// Its text.
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Str(value.to_string())
            }
        }
    )+};
}

from_text! {
    CallerIp,
    std::net::IpAddr,
    OperationType,
    OperationResult,
    OperationCategory,
    CallerIdentityType,
    ConnectionType,
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

/// Nanoseconds as [`Value::I64`], the longest span of them for a longer one.
impl From<Duration> for Value {
    fn from(span: Duration) -> Self {
        Self::I64(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Time, Value};

    #[test]
    fn times_before_1970_round_down() {
        let at = |time: SystemTime| {
            let time = Time::from(time);
            (time.seconds(), time.nanos())
        };
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(at(epoch), (0, 0));
        assert_eq!(at(epoch + Duration::from_nanos(1_000_000_005)), (1, 5));
        assert_eq!(at(epoch - Duration::from_nanos(1)), (-1, 999_999_999));
        assert_eq!(at(epoch - Duration::from_secs(2)), (-2, 0));
        assert_eq!(Time::new(0, 1_000_000_000), None);
    }

    #[test]
    fn equality_is_that_of_the_bytes() {
        assert_eq!(Value::F64(f64::NAN), Value::F64(f64::NAN));
        assert_ne!(Value::F64(0.0), Value::F64(-0.0));
        assert_ne!(Value::I8(1), Value::I64(1));
        assert_eq!(Value::from(Duration::from_secs(1)), Value::I64(1_000_000_000));
        assert_eq!(Value::from(None::<i64>), Value::Nil);
    }

    #[test]
    fn depth_counts_containers_in_keys_too() {
        let inner = Value::Array(vec![Value::Array(Vec::new())]);
        assert_eq!(inner.depth(), 2);
        assert_eq!(Value::Map([(inner, Value::Nil)].into()).depth(), 3);
    }
}
