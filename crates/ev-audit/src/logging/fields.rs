//! Fields of spans and events, and the record that they make.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use crate::model::{CallerIdentityType, Identity, List, OperationCategory, Record, Target, Value};
use crate::wire::Plane;

/// The name under which the message of an event comes.
pub(super) const MESSAGE: &str = "message";

/// A field whose value its name does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` is not {expected}")]
#[non_exhaustive]
pub struct WrongField {
    /// The name of the field.
    pub field: String,
    /// What its value should be.
    pub expected: &'static str,
}

/// Fields by name, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    entries: Vec<(Cow<'static, str>, Value)>,
    panicked: u64,
}

impl Fields {
    /// Adds a field; one of the same name is replaced.
    pub(super) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        let name = name.into();
        match self.entries.iter_mut().find(|(other, _)| *other == name) {
            Some((_, present)) => *present = value,
            None => self.entries.push((name, value)),
        }
    }

    /// Adds the text of a value. Its formatting is code of somebody else: a field that panics
    /// there is left out, and an error ends the text.
    pub(super) fn set_text(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: fmt::Arguments<'_>,
    ) {
        let mut text = String::new();
        match catch_unwind(AssertUnwindSafe(|| text.write_fmt(value))) {
            Ok(_) => self.set(name, Value::Str(text)),
            Err(_) => self.panicked += 1,
        }
    }

    /// Adds all fields of another set, as those of an inner span.
    #[cfg(feature = "tracing")]
    pub(super) fn extend(&mut self, others: &Self) {
        for (name, value) in &others.entries {
            self.set(name.clone(), value.clone());
        }
    }

    /// How many values panicked since this was last asked.
    pub(super) fn take_panicked(&mut self) -> u64 {
        std::mem::take(&mut self.panicked)
    }

    /// The record, its plane, and the fields that were wrong.
    pub(super) fn into_record(
        self,
        plane: Plane,
        defaults: &Record,
    ) -> (Plane, Record, Vec<WrongField>) {
        let mut made = Made {
            plane,
            record: defaults.clone(),
            identities: BTreeMap::new(),
            targets: BTreeMap::new(),
            wrong: Vec::new(),
        };
        let names_operation = self.entries.iter().any(|(name, _)| name == "operation_name");
        let describes_result =
            self.entries.iter().any(|(name, _)| name == "operation_result_description");
        for (name, value) in self.entries {
            let name = match &*name {
                MESSAGE if !names_operation => Cow::Borrowed("operation_name"),
                MESSAGE if !describes_result => Cow::Borrowed("operation_result_description"),
                _ => name,
            };
            if let Err(expected) = made.take(&name, &value) {
                made.wrong.push(WrongField { field: name.to_string(), expected });
                made.record.custom_data.insert(name.into_owned(), value);
            }
        }
        made.finish()
    }
}

/// A record under way.
struct Made {
    plane: Plane,
    record: Record,
    identities: BTreeMap<CallerIdentityType, Identity>,
    targets: BTreeMap<String, Target>,
    wrong: Vec<WrongField>,
}

impl Made {
    /// Puts a field where it belongs, or says what it should have been.
    fn take(&mut self, name: &str, value: &Value) -> Result<(), &'static str> {
        let record = &mut self.record;
        match name {
            "operation_name" => record.operation_name = text(value),
            "operation_access_level" => record.operation_access_level = text(value),
            "operation_result_description" => record.operation_result_description = text(value),
            "operation_category_description" => {
                record.operation_category_description = text(value);
            }
            "caller_agent" => record.caller_agent = text(value),
            "operation_type" => record.operation_type = parsed(value, "an operation type")?,
            "operation_result" => record.operation_result = parsed(value, "an operation result")?,
            "operation_category" | "operation_categories" => {
                let categories: Result<List<OperationCategory>, _> =
                    parts(&text(value)).map(str::parse).collect();
                record.operation_categories =
                    categories.map_err(|_| "a list of operation categories")?;
            }
            "caller_access_level" => record.caller_access_levels = List::from([text(value)]),
            "caller_access_levels" => {
                record.caller_access_levels = parts(&text(value)).map(str::to_owned).collect();
            }
            "caller_ip" => record.caller_ip = Some(parsed(value, "an IP address")?),
            "plane" => self.plane = plane(&text(value)).ok_or("`data` or `control`")?,
            _ => return self.take_part(name, value),
        }
        Ok(())
    }

    fn take_part(&mut self, name: &str, value: &Value) -> Result<(), &'static str> {
        if let Some(rest) = name.strip_prefix("caller_identity.") {
            let (kind, described) = match rest.strip_suffix(".description") {
                Some(kind) => (kind, true),
                None => (rest, false),
            };
            let kind = identity_type(kind).ok_or("of an identity type")?;
            let identity = self.identities.entry(kind).or_default();
            let part = if described { &mut identity.description } else { &mut identity.identity };
            *part = text(value);
        } else if let Some(rest) = name.strip_prefix("target_resource.") {
            type Part = fn(&mut Target) -> &mut String;
            let parts: [(&str, Part); 3] = [
                (".cluster", |target| &mut target.cluster),
                (".data_center", |target| &mut target.data_center),
                (".region", |target| &mut target.region),
            ];
            let found =
                parts.iter().find_map(|(suffix, part)| Some((rest.strip_suffix(suffix)?, *part)));
            let (kind, part) = found.unwrap_or((rest, |target| &mut target.name));
            *part(self.targets.entry(kind.to_owned()).or_default()) = text(value);
        } else {
            self.record.custom_data.insert(name.to_owned(), value.clone());
        }
        Ok(())
    }

    fn finish(mut self) -> (Plane, Record, Vec<WrongField>) {
        for (kind, mut identity) in self.identities {
            if identity.description.is_empty() {
                identity.description = kind.to_string();
            }
            self.record.caller_identities.insert(kind, List::from([identity]));
        }
        for (kind, target) in self.targets {
            self.record.target_resources.insert(kind, List::from([target]));
        }
        (self.plane, self.record, self.wrong)
    }
}

/// The text of a value, whatever it is.
fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        // Fields are none of the others.
        _ => String::new(),
    }
}

fn parsed<T: FromStr>(value: &Value, expected: &'static str) -> Result<T, &'static str> {
    text(value).trim().parse().map_err(|_| expected)
}

/// What stands between commas.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn plane(text: &str) -> Option<Plane> {
    let is = |name: &str| text.trim().eq_ignore_ascii_case(name);
    if is("data") {
        Some(Plane::Data)
    } else if is("control") {
        Some(Plane::Control)
    } else {
        None
    }
}

/// The type of this name, with or without underscores between its words.
fn identity_type(name: &str) -> Option<CallerIdentityType> {
    if name.eq_ignore_ascii_case("other") {
        return Some(CallerIdentityType::OTHER);
    }
    name.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OperationResult, OperationType};

    fn made(fields: &[(&'static str, Value)]) -> (Plane, Record, Vec<WrongField>) {
        let mut all = Fields::default();
        for (name, value) in fields {
            all.set(*name, value.clone());
        }
        all.into_record(Plane::Data, &Record::default())
    }

    #[test]
    fn every_identity_type_can_be_named() {
        for kind in CallerIdentityType::ALL {
            let name = kind.to_string();
            assert_eq!(identity_type(&name), Some(*kind));
            assert_eq!(identity_type(&name.to_lowercase()), Some(*kind));
        }
        assert_eq!(identity_type("object_id"), Some(CallerIdentityType::OBJECT_ID));
        assert_eq!(identity_type("access_key_name"), Some(CallerIdentityType::ACCESS_KEY_NAME));
        assert_eq!(identity_type("other"), Some(CallerIdentityType::OTHER));
        assert_eq!(identity_type("nobody"), None);
    }

    #[test]
    fn numbers_and_other_values_have_a_text_where_one_is_wanted() {
        let (_, record, wrong) = made(&[
            ("operation_name", Value::I64(-7)),
            ("operation_access_level", Value::Bool(true)),
            ("caller_agent", Value::F64(1.5)),
            ("operation_type", "rEaD ".into()),
            ("operation_result", "failure".into()),
            ("message", "it broke".into()),
        ]);
        assert!(wrong.is_empty());
        assert_eq!(record.operation_name, "-7");
        assert_eq!(record.operation_access_level, "true");
        assert_eq!(record.caller_agent, "1.5");
        assert_eq!(record.operation_type, OperationType::READ);
        assert_eq!(record.operation_result, OperationResult::FAILURE);
        assert_eq!(record.operation_result_description, "it broke");
    }

    #[test]
    fn a_message_that_has_no_other_place_is_custom_data() {
        let (_, record, _) = made(&[
            ("operation_name", "DeleteUser".into()),
            ("operation_result_description", "no such user".into()),
            ("message", "not deleted".into()),
        ]);
        assert_eq!(record.custom_data.get("message"), Some(&"not deleted".into()));
    }

    #[test]
    fn what_is_wrong_is_named_and_kept() {
        let (plane, record, wrong) = made(&[
            ("plane", "both".into()),
            ("caller_ip", "1.2.3".into()),
            ("operation_type", "Reed".into()),
            ("operation_result", "".into()),
            ("operation_categories", "EUII, Nothing".into()),
            ("caller_identity.nobody", "x".into()),
        ]);
        assert_eq!(plane, Plane::Data);
        let texts: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "field `plane` is not `data` or `control`",
                "field `caller_ip` is not an IP address",
                "field `operation_type` is not an operation type",
                "field `operation_result` is not an operation result",
                "field `operation_categories` is not a list of operation categories",
                "field `caller_identity.nobody` is not of an identity type",
            ]
        );
        assert_eq!(record.custom_data.len(), 6);
        assert_eq!(record.custom_data.get("operation_type"), Some(&"Reed".into()));
        assert!(record.operation_categories.is_empty());
    }
}
