//! Records into messages.

use super::messages::{
    AccessLevels, Array, CallerIdentities, CustomData, CustomEntry, Dictionary, IdentitiesOfType,
    Identity, IdentityList, OperationCategories, Record, Target, TargetList, TargetResources,
    TargetsOfType, Time, Value,
};
use super::value::Kind;
use crate::model;

impl From<&model::Record> for Record {
    fn from(record: &model::Record) -> Self {
        let model::Record {
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
        Self {
            caller_ip: caller_ip.as_ref().map(ToString::to_string).unwrap_or_default(),
            caller_identities: present(!caller_identities.is_absent(), || {
                let types = caller_identities.iter().map(|(kind, list)| IdentitiesOfType {
                    r#type: kind.number().into(),
                    identities: identities(list),
                });
                CallerIdentities { types: types.collect() }
            }),
            operation_categories: present(!operation_categories.is_absent(), || {
                let numbers = operation_categories.iter().map(|category| category.number().into());
                OperationCategories { categories: numbers.collect() }
            }),
            custom_data: present(!custom_data.is_absent(), || {
                let entries = custom_data.iter().map(|(key, value)| CustomEntry {
                    key: key.clone(),
                    value: Some(value.into()),
                });
                CustomData { entries: entries.collect() }
            }),
            target_resources: present(!target_resources.is_absent(), || {
                let types = target_resources.iter().map(|(kind, list)| TargetsOfType {
                    r#type: kind.clone(),
                    targets: targets(list),
                });
                TargetResources { types: types.collect() }
            }),
            caller_access_levels: present(!caller_access_levels.is_absent(), || AccessLevels {
                levels: caller_access_levels.to_vec(),
            }),
            operation_access_level: operation_access_level.clone(),
            operation_name: operation_name.clone(),
            operation_result_description: operation_result_description.clone(),
            caller_agent: caller_agent.clone(),
            operation_category_description: operation_category_description.clone(),
            operation_type: operation_type.number().into(),
            operation_result: operation_result.number().into(),
        }
    }
}

fn present<M>(is_present: bool, message: impl FnOnce() -> M) -> Option<M> {
    is_present.then(message)
}

fn identities(list: &model::List<model::Identity>) -> Option<IdentityList> {
    present(!list.is_absent(), || {
        let entries = list.iter().map(|entry| Identity {
            identity: entry.identity.clone(),
            description: entry.description.clone(),
        });
        IdentityList { identities: entries.collect() }
    })
}

fn targets(list: &model::List<model::Target>) -> Option<TargetList> {
    present(!list.is_absent(), || {
        let entries = list.iter().map(|entry| Target {
            name: entry.name.clone(),
            cluster: entry.cluster.clone(),
            data_center: entry.data_center.clone(),
            region: entry.region.clone(),
        });
        TargetList { targets: entries.collect() }
    })
}

impl From<&model::Value> for Value {
    fn from(value: &model::Value) -> Self {
        let kind = match value {
            model::Value::Nil => None,
            model::Value::Bool(it) => Some(Kind::Boolean(*it)),
            model::Value::I8(it) => Some(Kind::I8((*it).into())),
            model::Value::I16(it) => Some(Kind::I16((*it).into())),
            model::Value::I32(it) => Some(Kind::I32(*it)),
            model::Value::I64(it) => Some(Kind::I64(*it)),
            model::Value::U8(it) => Some(Kind::U8((*it).into())),
            model::Value::U16(it) => Some(Kind::U16((*it).into())),
            model::Value::U32(it) => Some(Kind::U32(*it)),
            model::Value::U64(it) => Some(Kind::U64(*it)),
            model::Value::F32(it) => Some(Kind::F32(*it)),
            model::Value::F64(it) => Some(Kind::F64(*it)),
            model::Value::Str(it) => Some(Kind::Text(it.clone())),
            model::Value::Bytes(it) => Some(Kind::Binary(it.clone())),
            model::Value::Array(entries) => {
                Some(Kind::Array(Array { entries: entries.iter().map(Self::from).collect() }))
            }
            model::Value::Map(entries) => Some(Kind::Dictionary(Dictionary {
                keys: entries.keys().map(Self::from).collect(),
                values: entries.values().map(Self::from).collect(),
            })),
            model::Value::Time(it) => {
                Some(Kind::Time(Time { seconds: it.seconds(), nanos: it.nanos() }))
            }
        };
        Self { kind }
    }
}
