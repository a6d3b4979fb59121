//! Messages into records.

use std::collections::BTreeMap;

use super::messages::{IdentityList, Record, TargetList, Value};
use super::value::Kind;
use crate::model::{
    self, CallerIdentityType, CallerIp, Identity, List, Map, OperationCategory, OperationResult,
    OperationType, Target,
};
use crate::wire::MAX_DEPTH;

/// Why a message is no record. What a record needs to be valid is another matter, see
/// [`Record::validate`](crate::Record::validate).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// The caller's address is no address.
    #[error("`caller_ip` is no IP address")]
    Address,
    /// A number that the type of the field cannot hold.
    #[error("`{field}` is out of range: {number}")]
    Range {
        /// The field.
        field: &'static str,
        /// The number.
        number: i64,
    },
    /// A key comes twice.
    #[error("`{field}` has a key twice")]
    DuplicateKey {
        /// The field.
        field: &'static str,
    },
    /// A dictionary has keys without values, or values without keys.
    #[error("a dictionary has {keys} keys and {values} values")]
    Dictionary {
        /// How many keys.
        keys: usize,
        /// How many values.
        values: usize,
    },
    /// Custom data has more containers within each other than the agent's format has.
    #[error("custom data is deeper than {limit}")]
    TooDeep {
        /// The most that there may be.
        limit: usize,
    },
}

impl TryFrom<Record> for model::Record {
    type Error = InvalidRecord;

    fn try_from(record: Record) -> Result<Self, InvalidRecord> {
        let Record {
            caller_ip,
            caller_identities,
            operation_categories,
            custom_data,
            target_resources,
            caller_access_levels,
            operation_access_level,
            operation_name,
            operation_result_description,
            caller_agent,
            operation_category_description,
            operation_type,
            operation_result,
        } = record;
        let identities = caller_identities.map(|all| {
            let entries = all.types.into_iter().map(|of| {
                let kind = CallerIdentityType::from_number(number("type", of.r#type)?);
                Ok((kind, identities(of.identities)))
            });
            unique("caller_identities", entries)
        });
        let categories = operation_categories.map(|all| {
            let numbers = all.categories.into_iter().map(|it| number("operation_categories", it));
            numbers.map(|it| it.map(OperationCategory::from_number)).collect::<Result<_, _>>()
        });
        let custom = custom_data.map(|all| {
            let entries = all
                .entries
                .into_iter()
                .map(|entry| Ok((entry.key, value(entry.value.unwrap_or_default(), MAX_DEPTH)?)));
            unique("custom_data", entries)
        });
        let targets = target_resources.map(|all| {
            let entries = all.types.into_iter().map(|of| Ok((of.r#type, targets(of.targets))));
            unique("target_resources", entries)
        });
        Ok(Self {
            caller_ip: match &*caller_ip {
                "" => None,
                text => Some(text.parse::<CallerIp>().map_err(|_| InvalidRecord::Address)?),
            },
            caller_identities: map(identities)?,
            operation_categories: list(categories.transpose()?),
            custom_data: map(custom)?,
            target_resources: map(targets)?,
            caller_access_levels: list(caller_access_levels.map(|all| all.levels)),
            operation_access_level,
            operation_name,
            operation_result_description,
            caller_agent,
            operation_category_description,
            operation_type: OperationType::from_number(number("operation_type", operation_type)?),
            operation_result: OperationResult::from_number(number(
                "operation_result",
                operation_result,
            )?),
        })
    }
}

impl TryFrom<Value> for model::Value {
    type Error = InvalidRecord;

    fn try_from(message: Value) -> Result<Self, InvalidRecord> {
        value(message, MAX_DEPTH)
    }
}

/// The number of an enumeration, 0 to 65,535.
fn number(field: &'static str, number: i32) -> Result<u16, InvalidRecord> {
    narrow(field, number.into())
}

fn narrow<T: TryFrom<i64>>(field: &'static str, number: i64) -> Result<T, InvalidRecord> {
    T::try_from(number).map_err(|_| InvalidRecord::Range { field, number })
}

fn list<T>(entries: Option<Vec<T>>) -> List<T> {
    entries.map_or_else(List::absent, List::from)
}

fn map<K: Ord, V>(
    entries: Option<Result<BTreeMap<K, V>, InvalidRecord>>,
) -> Result<Map<K, V>, InvalidRecord> {
    Ok(entries.transpose()?.map_or_else(Map::absent, Map::from))
}

fn unique<K: Ord, V>(
    field: &'static str,
    entries: impl Iterator<Item = Result<(K, V), InvalidRecord>>,
) -> Result<BTreeMap<K, V>, InvalidRecord> {
    let mut map = BTreeMap::new();
    for entry in entries {
        let (key, value) = entry?;
        if map.insert(key, value).is_some() {
            return Err(InvalidRecord::DuplicateKey { field });
        }
    }
    Ok(map)
}

fn identities(message: Option<IdentityList>) -> List<Identity> {
    list(message.map(|all| {
        let entries = all.identities.into_iter();
        entries.map(|it| Identity { identity: it.identity, description: it.description }).collect()
    }))
}

fn targets(message: Option<TargetList>) -> List<Target> {
    list(message.map(|all| {
        let entries = all.targets.into_iter().map(|it| Target {
            name: it.name,
            cluster: it.cluster,
            data_center: it.data_center,
            region: it.region,
        });
        entries.collect()
    }))
}

/// A value around which `levels` containers may still stand.
fn value(message: Value, levels: usize) -> Result<model::Value, InvalidRecord> {
    let Some(kind) = message.kind else { return Ok(model::Value::Nil) };
    let deeper = || levels.checked_sub(1).ok_or(InvalidRecord::TooDeep { limit: MAX_DEPTH });
    Ok(match kind {
        Kind::Boolean(it) => model::Value::Bool(it),
        Kind::I8(it) => model::Value::I8(narrow("i8", it.into())?),
        Kind::I16(it) => model::Value::I16(narrow("i16", it.into())?),
        Kind::I32(it) => model::Value::I32(it),
        Kind::I64(it) => model::Value::I64(it),
        Kind::U8(it) => model::Value::U8(narrow("u8", it.into())?),
        Kind::U16(it) => model::Value::U16(narrow("u16", it.into())?),
        Kind::U32(it) => model::Value::U32(it),
        Kind::U64(it) => model::Value::U64(it),
        Kind::F32(it) => model::Value::F32(it),
        Kind::F64(it) => model::Value::F64(it),
        Kind::Text(it) => model::Value::Str(it),
        Kind::Binary(it) => model::Value::Bytes(it),
        Kind::Array(it) => {
            let levels = deeper()?;
            let entries = it.entries.into_iter().map(|entry| value(entry, levels));
            model::Value::Array(entries.collect::<Result<_, _>>()?)
        }
        Kind::Dictionary(it) => {
            let levels = deeper()?;
            let (keys, values) = (it.keys.len(), it.values.len());
            if keys != values {
                return Err(InvalidRecord::Dictionary { keys, values });
            }
            let entries = it.keys.into_iter().zip(it.values);
            let entries =
                entries.map(|(key, entry)| Ok((value(key, levels)?, value(entry, levels)?)));
            model::Value::Map(unique("dictionary", entries)?)
        }
        Kind::Time(it) => {
            let time = model::Time::new(it.seconds, it.nanos);
            let number = it.nanos.into();
            model::Value::Time(time.ok_or(InvalidRecord::Range { field: "nanos", number })?)
        }
    })
}
