//! Validation of records: the steps of the client that the format comes from, in their order,
//! then what the rules add. It allocates only for problems.

use std::ops::ControlFlow::{self, Break, Continue};

use super::ip::CallerIp;
use super::kinds::{Kind, OperationCategory, OperationResult};
use super::problem::Problem;
use super::record::Record;
use super::rules::Rules;
use super::value::Value;
use crate::wire::record_len;

impl Record {
    /// Checks the record; the id of its service is checked by the client that has it.
    ///
    /// # Errors
    ///
    /// The first problem, in the order of [`Problem`].
    pub fn validate(&self, rules: &Rules) -> Result<(), Problem> {
        match walk(self, rules, &mut Break) {
            Continue(()) => Ok(()),
            Break(problem) => Err(problem),
        }
    }

    /// All problems of the record, in the order in which [`Record::validate`] would find them.
    pub fn problems(&self, rules: &Rules) -> Vec<Problem> {
        let mut problems = Vec::new();
        let all: ControlFlow<()> = walk(self, rules, &mut |problem| {
            problems.push(problem);
            Continue(())
        });
        debug_assert!(all.is_continue(), "nothing breaks off");
        problems
    }
}

/// Tells `found` of each problem until it breaks off.
fn walk<B, F>(record: &Record, rules: &Rules, found: &mut F) -> ControlFlow<B>
where
    F: FnMut(Problem) -> ControlFlow<B>,
{
    required(record, rules, found)?;
    if rules.known_kinds_only {
        kinds(record, found)?;
    }
    if rules.refuse_blank {
        blanks(record, found)?;
    }
    if rules.max_text_chars < rules.frame_bytes() {
        texts(record, rules, found)?;
    }
    let mut is_bounded = true;
    for (key, value) in &record.custom_data {
        if !is_within(value, rules.depth()) {
            is_bounded = false;
            found(Problem::TooDeep { key: key.clone(), limit: rules.depth() })?;
        }
    }
    // What is too deep is not measured either.
    let bytes = if is_bounded { record_len(record) } else { 0 };
    if bytes > rules.frame_bytes() {
        found(Problem::FrameTooLarge { bytes, limit: rules.frame_bytes() })?;
    }
    Continue(())
}

/// The steps of the client that the format comes from, with its order and texts.
fn required<B, F>(record: &Record, rules: &Rules, found: &mut F) -> ControlFlow<B>
where
    F: FnMut(Problem) -> ControlFlow<B>,
{
    let mut demand =
        |holds: bool, problem: Problem| if holds { Continue(()) } else { found(problem) };
    let has_other = record.operation_categories.contains(&OperationCategory::OTHER);
    let has_failed = record.operation_result == OperationResult::FAILURE;

    demand(!record.operation_name.is_empty(), Problem::OperationName)?;
    demand(!record.operation_categories.is_empty(), Problem::OperationCategories)?;
    demand(
        !has_other || !record.operation_category_description.is_empty(),
        Problem::CategoryDescription,
    )?;
    demand(
        !has_failed || !record.operation_result_description.is_empty(),
        Problem::ResultDescription,
    )?;
    demand(!record.operation_access_level.is_empty(), Problem::OperationAccessLevel)?;
    demand(!record.caller_agent.is_empty(), Problem::CallerAgent)?;

    demand(!record.caller_identities.is_empty(), Problem::CallerIdentities)?;
    for (kind, identities) in &record.caller_identities {
        demand(!identities.is_empty(), Problem::IdentityList { kind: *kind })?;
        for identity in identities {
            demand(!identity.identity.is_empty(), Problem::Identity)?;
            demand(!identity.description.is_empty(), Problem::IdentityDescription)?;
        }
    }

    match &record.caller_ip {
        None => demand(false, Problem::CallerIp)?,
        Some(address) => match refusal(address, rules) {
            None => {}
            Some(problem) => demand(false, problem)?,
        },
    }

    demand(!record.caller_access_levels.is_empty(), Problem::CallerAccessLevels)?;
    for level in &record.caller_access_levels {
        demand(!is_blank(level), Problem::CallerAccessLevel)?;
    }

    demand(!record.target_resources.is_empty(), Problem::TargetResources)?;
    for (kind, targets) in &record.target_resources {
        demand(!is_blank(kind), Problem::TargetType)?;
        for target in targets {
            demand(!target.name.is_empty(), Problem::TargetName)?;
        }
    }
    Continue(())
}

fn refusal(address: &CallerIp, rules: &Rules) -> Option<Problem> {
    if address.is_unspecified() {
        Some(Problem::CallerIpUnspecified)
    } else if address.is_loopback() {
        (!rules.allow_loopback).then_some(Problem::CallerIpLoopback)
    } else {
        address.is_multicast().then_some(Problem::CallerIpMulticast)
    }
}

/// Unicode whitespace, as the client that the format comes from trims it.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn kinds<B, F>(record: &Record, found: &mut F) -> ControlFlow<B>
where
    F: FnMut(Problem) -> ControlFlow<B>,
{
    fn known<B, K: Kind + ToString>(
        field: &'static str,
        kind: K,
        found: &mut impl FnMut(Problem) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if kind.number() != 0 && kind.name().is_some() {
            return Continue(());
        }
        found(Problem::UnknownKind { field, value: kind.to_string() })
    }

    known("operation type", record.operation_type, found)?;
    known("operation result", record.operation_result, found)?;
    for category in &record.operation_categories {
        known("operation category", *category, found)?;
    }
    for kind in record.caller_identities.keys() {
        known("caller identity type", *kind, found)?;
    }
    Continue(())
}

/// Texts that must not be empty are not whitespace either; empty ones were found before.
fn blanks<B, F>(record: &Record, found: &mut F) -> ControlFlow<B>
where
    F: FnMut(Problem) -> ControlFlow<B>,
{
    let has_other = record.operation_categories.contains(&OperationCategory::OTHER);
    let has_failed = record.operation_result == OperationResult::FAILURE;
    let mut check = |field: &'static str, text: &str| {
        if text.is_empty() || !is_blank(text) {
            Continue(())
        } else {
            found(Problem::Blank { field })
        }
    };
    check("operation name", &record.operation_name)?;
    if has_other {
        check("operation category description", &record.operation_category_description)?;
    }
    if has_failed {
        check("operation result description", &record.operation_result_description)?;
    }
    check("operation access level", &record.operation_access_level)?;
    check("caller agent", &record.caller_agent)?;
    for identity in record.caller_identities.values().flat_map(|identities| identities.iter()) {
        check("identity", &identity.identity)?;
        check("description of an identity", &identity.description)?;
    }
    for target in record.target_resources.values().flat_map(|targets| targets.iter()) {
        check("target resource name", &target.name)?;
    }
    Continue(())
}

fn texts<B, F>(record: &Record, rules: &Rules, found: &mut F) -> ControlFlow<B>
where
    F: FnMut(Problem) -> ControlFlow<B>,
{
    fn custom<B>(
        value: &Value,
        levels: usize,
        check: &mut impl FnMut(&'static str, &str) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match value {
            Value::Str(text) => check("text of custom data", text)?,
            // What is deeper is a problem of its own.
            Value::Array(entries) if levels > 0 => {
                for entry in entries {
                    custom(entry, levels - 1, check)?;
                }
            }
            Value::Map(entries) if levels > 0 => {
                for (key, entry) in entries {
                    match key {
                        Value::Str(key) => check("key of custom data", key)?,
                        key => custom(key, levels - 1, check)?,
                    }
                    custom(entry, levels - 1, check)?;
                }
            }
            _ => {}
        }
        Continue(())
    }

    let limit = rules.max_text_chars;
    let mut check = |field: &'static str, text: &str| {
        // No text has more characters than bytes.
        if text.len() <= limit {
            return Continue(());
        }
        let chars = text.chars().count();
        if chars <= limit {
            Continue(())
        } else {
            found(Problem::TextTooLong { field, chars, limit })
        }
    };
    check("operation name", &record.operation_name)?;
    check("operation category description", &record.operation_category_description)?;
    check("operation result description", &record.operation_result_description)?;
    check("operation access level", &record.operation_access_level)?;
    check("caller agent", &record.caller_agent)?;
    for identity in record.caller_identities.values().flat_map(|identities| identities.iter()) {
        check("identity", &identity.identity)?;
        check("description of an identity", &identity.description)?;
    }
    if let Some(zone) = record.caller_ip.as_ref().and_then(CallerIp::zone) {
        check("zone of the caller IP address", zone)?;
    }
    for level in &record.caller_access_levels {
        check("caller access level", level)?;
    }
    for (kind, targets) in &record.target_resources {
        check("target resource type", kind)?;
        for target in targets {
            check("target resource name", &target.name)?;
            check("cluster of a target resource", &target.cluster)?;
            check("data center of a target resource", &target.data_center)?;
            check("region of a target resource", &target.region)?;
        }
    }
    for (key, value) in &record.custom_data {
        check("key of custom data", key)?;
        custom(value, rules.depth(), &mut check)?;
    }
    Continue(())
}

/// Whether at most `levels` arrays and maps stand around any value; it looks no deeper than that.
fn is_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(entries) => {
            levels > 0 && entries.iter().all(|value| is_within(value, levels - 1))
        }
        Value::Map(entries) => {
            levels > 0
                && entries
                    .iter()
                    .all(|(key, value)| is_within(key, levels - 1) && is_within(value, levels - 1))
        }
        _ => true,
    }
}
