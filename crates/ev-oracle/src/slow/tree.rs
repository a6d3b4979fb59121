//! What Go has in memory after it unmarshalled an event.

use std::collections::BTreeMap;

/// A text or bytes, as they stood on the wire.
pub(super) type Bytes = Vec<u8>;

/// A struct: the fields that were set, by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object {
    pub(super) fields: BTreeMap<u32, Value>,
}

/// The value of a field that was on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bytes(Bytes),
    /// Any number or enum, with the bits of its Go type.
    Number(u64),
    Time(i64, i32),
    Object(Object),
    Objects(Vec<Object>),
    Texts(Vec<Bytes>),
    Texted(BTreeMap<Bytes, Bytes>),
    Numbered(BTreeMap<Bytes, u64>),
    Listed(BTreeMap<Bytes, Vec<Bytes>>),
    Struct(Struct),
}

/// A `google.protobuf.Struct`; an entry without a value is a nil pointer.
pub(super) type Struct = BTreeMap<Bytes, Option<Kind>>;

/// The kind of a `google.protobuf.Value`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// None is set.
    Nothing,
    Null,
    Number(f64),
    Text(Bytes),
    Bool(bool),
    Struct(Struct),
    List(Vec<Kind>),
}
