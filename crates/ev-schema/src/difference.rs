//! What one version has that another has not.

use std::collections::BTreeMap;

use ev_core::Flavour;
use serde::Serialize;

use crate::members::{Member, Presence};
use crate::schema::{Event, Schema};

/// What changes from one schema to another. Event types are compared by their numbers, members by
/// their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Names of the event types that only the other schema has, by their numbers.
    pub added: Vec<String>,
    /// Names of those that the other schema lacks.
    pub removed: Vec<String>,
    /// Event types that both have, and that differ.
    pub changed: Vec<Changed>,
}

/// An event type that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Changed {
    /// Its name.
    pub event: String,
    /// Members that only the other schema has.
    pub added: Vec<Member>,
    /// Members that the other schema lacks.
    pub removed: Vec<Member>,
    /// Members that are there in both in another way.
    pub changed: Vec<Change>,
}

/// A member that is of another type, or there at other times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Its place.
    pub path: String,
    /// Its type before.
    #[serde(rename = "type_before")]
    pub kind_before: String,
    /// When it was there before.
    pub presence_before: Presence,
    /// Its type now.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it is there now.
    pub presence: Presence,
}

impl Difference {
    /// What changes from `before` to `after`.
    pub fn between(before: &Schema, after: &Schema) -> Self {
        let old: BTreeMap<u32, &Event> = by_number(before);
        let new: BTreeMap<u32, &Event> = by_number(after);
        let name = |event: &&Event| event.name().to_owned();
        let added = new.iter().filter(|(number, _)| !old.contains_key(number));
        let removed = old.iter().filter(|(number, _)| !new.contains_key(number));
        let changed = old
            .iter()
            .filter_map(|(number, event)| Some((*event, *new.get(number)?)))
            .filter_map(|(old, new)| changed((before, old), (after, new)));
        Self {
            added: added.map(|(_, event)| name(event)).collect(),
            removed: removed.map(|(_, event)| name(event)).collect(),
            changed: changed.collect(),
        }
    }

    /// Whether nothing of the JSON differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// How many members event types of both schemas have gained.
    pub fn added_members(&self) -> usize {
        self.changed.iter().map(|changed| changed.added.len()).sum()
    }
}

fn by_number(schema: &Schema) -> BTreeMap<u32, &Event> {
    schema.events().iter().map(|event| (event.number(), event)).collect()
}

fn changed((before, old): (&Schema, &Event), (after, new): (&Schema, &Event)) -> Option<Changed> {
    let olds = before.members(old, Flavour::Go);
    let news = after.members(new, Flavour::Go);
    let known: BTreeMap<&str, &Member> =
        olds.iter().map(|member| (member.path.as_str(), member)).collect();
    let there: BTreeMap<&str, &Member> =
        news.iter().map(|member| (member.path.as_str(), member)).collect();
    let added = news.iter().filter(|member| !known.contains_key(member.path.as_str()));
    let removed = olds.iter().filter(|member| !there.contains_key(member.path.as_str()));
    let differing = news.iter().filter_map(|member| {
        let before = known.get(member.path.as_str()).filter(|before| **before != member)?;
        Some(Change {
            path: member.path.clone(),
            kind_before: before.kind.clone(),
            presence_before: before.presence,
            kind: member.kind.clone(),
            presence: member.presence,
        })
    });
    let changed = Changed {
        event: new.name().to_owned(),
        added: added.cloned().collect(),
        removed: removed.cloned().collect(),
        changed: differing.collect(),
    };
    let is_same =
        changed.added.is_empty() && changed.removed.is_empty() && changed.changed.is_empty();
    (!is_same).then_some(changed)
}
