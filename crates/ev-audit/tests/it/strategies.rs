//! Records that nobody thought of.

use std::net::IpAddr;

use ev_audit::{
    CallerIdentityType, CallerIp, Identity, List, Map, OperationCategory, OperationResult,
    OperationType, Plane, Record, ServiceId, Target, Time, Value,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Numbers with a name, mostly.
fn number(named: usize) -> impl Strategy<Value = u16> {
    let named = u16::try_from(named).expect("few");
    prop_oneof![4 => 0..named, 1 => any::<u16>()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 ]{0,12}",
        2 => any::<String>(),
        1 => "[x-z]{30,33}",
        1 => "[x-z]{254,258}",
    ]
}

fn list<T: std::fmt::Debug>(
    entry: impl Strategy<Value = T>,
    most: usize,
) -> impl Strategy<Value = List<T>> {
    prop_oneof![
        1 => Just(()).prop_map(|()| List::absent()),
        6 => vec(entry, 0..most).prop_map(List::from),
    ]
}

fn map<K: std::fmt::Debug + Ord, V: std::fmt::Debug>(
    key: impl Strategy<Value = K>,
    value: impl Strategy<Value = V>,
    most: usize,
) -> impl Strategy<Value = Map<K, V>> {
    prop_oneof![
        1 => Just(()).prop_map(|()| Map::absent()),
        6 => btree_map(key, value, 0..most).prop_map(Map::from),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<i16>().prop_map(Value::I16),
        any::<i32>().prop_map(Value::I32),
        any::<i64>().prop_map(Value::I64),
        any::<u8>().prop_map(Value::U8),
        any::<u16>().prop_map(Value::U16),
        any::<u32>().prop_map(Value::U32),
        any::<u64>().prop_map(Value::U64),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        text().prop_map(Value::Str),
        vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        (0..36_u32, any::<i64>(), 0..1_000_000_000_u32, any::<bool>()).prop_map(
            |(shift, seconds, nanos, whole)| {
                let nanos = if whole { 0 } else { nanos };
                Value::Time(Time::new(seconds >> shift, nanos).expect("less than a second"))
            }
        ),
    ];
    leaf.prop_recursive(5, 40, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::Array),
            btree_map(inner.clone(), inner, 0..20).prop_map(Value::Map),
        ]
    })
}

fn address() -> impl Strategy<Value = Option<CallerIp>> {
    let zoned = (any::<std::net::Ipv6Addr>(), "[a-z%]{1,40}")
        .prop_map(|(address, zone)| format!("{address}%{zone}").parse().expect("an address"));
    prop_oneof![
        1 => Just(None),
        4 => any::<IpAddr>().prop_map(|address| Some(address.into())),
        1 => zoned.prop_map(Some),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    (text(), text(), text(), text()).prop_map(|(name, cluster, data_center, region)| Target {
        name,
        cluster,
        data_center,
        region,
    })
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let kind = number(CallerIdentityType::ALL.len()).prop_map(CallerIdentityType::from_number);
    let identity = (text(), text()).prop_map(|(it, description)| Identity::new(it, description));
    let category = number(OperationCategory::ALL.len()).prop_map(OperationCategory::from_number);
    let parts = (
        address(),
        map(kind, list(identity, 4), 18),
        list(category, 40),
        map(text(), value(), 20),
        map(text(), list(target(), 4), 5),
        list(text(), 40),
    );
    let texts = (text(), text(), text(), text(), text());
    let kinds = (number(OperationType::ALL.len()), number(OperationResult::ALL.len()));
    (parts, texts, kinds).prop_map(|(parts, texts, kinds)| {
        let (caller_ip, caller_identities, operation_categories, custom_data, targets, levels) =
            parts;
        let (access_level, name, result_description, agent, category_description) = texts;
        Record {
            caller_ip,
            caller_identities,
            operation_categories,
            custom_data,
            target_resources: targets,
            caller_access_levels: levels,
            operation_access_level: access_level,
            operation_name: name,
            operation_result_description: result_description,
            caller_agent: agent,
            operation_category_description: category_description,
            operation_type: OperationType::from_number(kinds.0),
            operation_result: OperationResult::from_number(kinds.1),
        }
    })
}

pub(crate) fn service() -> impl Strategy<Value = ServiceId> {
    any::<[u8; 16]>().prop_map(|bytes| ServiceId::from_bytes(bytes).unwrap_or_default())
}

pub(crate) fn plane() -> impl Strategy<Value = Plane> {
    prop_oneof![Just(Plane::Data), Just(Plane::Control)]
}

/// The record as it is read back: its lists in order and without duplicates, and no custom data
/// where there was none to speak of.
pub(crate) fn in_order(mut record: Record) -> Record {
    if !record.operation_categories.is_absent() {
        record.operation_categories.sort_unstable();
        record.operation_categories.dedup();
    }
    if !record.caller_access_levels.is_absent() {
        record.caller_access_levels.sort_unstable();
        record.caller_access_levels.dedup();
    }
    if record.custom_data.is_empty() {
        record.custom_data = Map::absent();
    }
    record
}
