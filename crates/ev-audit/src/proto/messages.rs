//! The messages of `proto/ev/audit/v1/record.proto`. Enumerations are their numbers: one that has
//! no name is as good as one that has.

/// Who did what to which resources, and how it ended.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Record {
    /// Text of an address, empty when there is none.
    #[prost(string, tag = "1")]
    pub caller_ip: String,
    /// Identities of the caller, by type.
    #[prost(message, optional, tag = "2")]
    pub caller_identities: Option<CallerIdentities>,
    /// What the operation was about.
    #[prost(message, optional, tag = "3")]
    pub operation_categories: Option<OperationCategories>,
    /// Values of the service's own.
    #[prost(message, optional, tag = "4")]
    pub custom_data: Option<CustomData>,
    /// What was operated on, by type.
    #[prost(message, optional, tag = "5")]
    pub target_resources: Option<TargetResources>,
    /// What the caller may do.
    #[prost(message, optional, tag = "6")]
    pub caller_access_levels: Option<AccessLevels>,
    /// What one must be allowed to do for the operation.
    #[prost(string, tag = "7")]
    pub operation_access_level: String,
    /// The name of the operation.
    #[prost(string, tag = "8")]
    pub operation_name: String,
    /// Why it failed.
    #[prost(string, tag = "9")]
    pub operation_result_description: String,
    /// The program that called.
    #[prost(string, tag = "10")]
    pub caller_agent: String,
    /// What another category is.
    #[prost(string, tag = "11")]
    pub operation_category_description: String,
    /// The number of an [`OperationType`](crate::OperationType).
    #[prost(int32, tag = "12")]
    pub operation_type: i32,
    /// The number of an [`OperationResult`](crate::OperationResult).
    #[prost(int32, tag = "13")]
    pub operation_result: i32,
}

/// Identities of a caller.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct CallerIdentities {
    /// Each type at most once.
    #[prost(message, repeated, tag = "1")]
    pub types: Vec<IdentitiesOfType>,
}

/// Identities of one type.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct IdentitiesOfType {
    /// The number of a [`CallerIdentityType`](crate::CallerIdentityType).
    #[prost(int32, tag = "1")]
    pub r#type: i32,
    /// The identities.
    #[prost(message, optional, tag = "2")]
    pub identities: Option<IdentityList>,
}

/// A list of identities.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct IdentityList {
    /// Its entries.
    #[prost(message, repeated, tag = "1")]
    pub identities: Vec<Identity>,
}

/// One identity of a caller.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct Identity {
    /// The identity.
    #[prost(string, tag = "1")]
    pub identity: String,
    /// What it is.
    #[prost(string, tag = "2")]
    pub description: String,
}

/// A list of categories.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct OperationCategories {
    /// Numbers of [`OperationCategory`](crate::OperationCategory).
    #[prost(int32, repeated, tag = "1")]
    pub categories: Vec<i32>,
}

/// What was operated on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TargetResources {
    /// Each type at most once.
    #[prost(message, repeated, tag = "1")]
    pub types: Vec<TargetsOfType>,
}

/// Resources of one type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TargetsOfType {
    /// The type, such as `Tenant`.
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// The resources.
    #[prost(message, optional, tag = "2")]
    pub targets: Option<TargetList>,
}

/// A list of resources.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TargetList {
    /// Its entries.
    #[prost(message, repeated, tag = "1")]
    pub targets: Vec<Target>,
}

/// One resource that was operated on.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Target {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Where it is.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// Where it is.
    #[prost(string, tag = "3")]
    pub data_center: String,
    /// Where it is.
    #[prost(string, tag = "4")]
    pub region: String,
}

/// A list of access levels.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct AccessLevels {
    /// Its entries.
    #[prost(string, repeated, tag = "1")]
    pub levels: Vec<String>,
}

/// Values of a service's own.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct CustomData {
    /// Each key at most once.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<CustomEntry>,
}

/// A value under its key.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct CustomEntry {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value; none is nil.
    #[prost(message, optional, tag = "2")]
    pub value: Option<Value>,
}

/// A value of custom data.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// What it is; nothing for nil.
    #[prost(oneof = "value::Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16")]
    pub kind: Option<value::Kind>,
}

/// What a value is.
pub mod value {
    /// A value with its width.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// A boolean.
        #[prost(bool, tag = "1")]
        Boolean(bool),
        /// -128 to 127.
        #[prost(sint32, tag = "2")]
        I8(i32),
        /// -32,768 to 32,767.
        #[prost(sint32, tag = "3")]
        I16(i32),
        /// 32 bits.
        #[prost(sint32, tag = "4")]
        I32(i32),
        /// 64 bits.
        #[prost(sint64, tag = "5")]
        I64(i64),
        /// 0 to 255.
        #[prost(uint32, tag = "6")]
        U8(u32),
        /// 0 to 65,535.
        #[prost(uint32, tag = "7")]
        U16(u32),
        /// 32 bits.
        #[prost(uint32, tag = "8")]
        U32(u32),
        /// 64 bits.
        #[prost(uint64, tag = "9")]
        U64(u64),
        /// 32 bits.
        #[prost(float, tag = "10")]
        F32(f32),
        /// 64 bits.
        #[prost(double, tag = "11")]
        F64(f64),
        /// Text.
        #[prost(string, tag = "12")]
        Text(String),
        /// Bytes.
        #[prost(bytes = "vec", tag = "13")]
        Binary(Vec<u8>),
        /// Values in an order.
        #[prost(message, tag = "14")]
        Array(super::Array),
        /// Values under keys.
        #[prost(message, tag = "15")]
        Dictionary(super::Dictionary),
        /// A point in time.
        #[prost(message, tag = "16")]
        Time(super::Time),
    }
}

/// Values in an order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Array {
    /// Its entries.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Value>,
}

/// Values under keys: as many as there are keys, each at most once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dictionary {
    /// The keys.
    #[prost(message, repeated, tag = "1")]
    pub keys: Vec<Value>,
    /// The values, in the order of the keys.
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<Value>,
}

/// A point in time.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Time {
    /// Since 1970-01-01 UTC, rounded down.
    #[prost(sint64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds behind these, less than a second.
    #[prost(uint32, tag = "2")]
    pub nanos: u32,
}

/// Who called is not shown.
macro_rules! shows_nothing {
    ($($message:ident,)+) => {$(
        impl std::fmt::Debug for $message {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        }
    )+};
}

shows_nothing! {
    Record,
    CallerIdentities,
    IdentitiesOfType,
    IdentityList,
    Identity,
    AccessLevels,
    CustomData,
    CustomEntry,
}
