//! Events of a schema, as gogo would encode them.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::choices::Choices;
use super::node::{Body, Node};
use super::values;
use crate::gogo::Options;

/// How deep messages, values of a `Struct` included, may nest.
const MAX_DEPTH: usize = 24;

/// What the generator has to know of each message.
#[derive(Debug, Default)]
pub(super) struct Plans {
    plans: HashMap<String, Vec<Plan>>,
}

#[derive(Debug)]
struct Plan {
    field: FieldDescriptor,
    /// gogo always writes structs and times that are no pointers.
    always: bool,
    /// Other members of its oneof come behind it.
    oneof: Option<String>,
}

/// How full an event is: fields left out and entries of lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Density {
    /// A field is there so often in eight.
    eighths: usize,
    entries: usize,
}

impl Density {
    pub(super) fn any(choices: &mut Choices<'_>) -> Self {
        let (eighths, entries) = *choices.pick(&[(0, 1), (1, 2), (3, 2), (6, 3), (8, 3), (8, 40)]);
        Self { eighths, entries }
    }
}

impl Plans {
    /// Looks at a message and all that is inside of it.
    pub(super) fn add(&mut self, message: &MessageDescriptor) {
        if self.plans.contains_key(message.full_name()) {
            return;
        }
        // By number, as gogo writes them.
        let plan = |field: FieldDescriptor| {
            let options = Options::of(&field);
            let single = matches!(field.kind(), Kind::Message(_)) && !field.is_list();
            let always = single && !field.is_map() && !options.nullable;
            let oneof = field.containing_oneof().map(|oneof| oneof.name().to_owned());
            Plan { field, always, oneof }
        };
        let plans: Vec<_> = message.fields().map(plan).collect();
        self.plans.insert(message.full_name().to_owned(), plans);
        for field in message.fields() {
            if let Kind::Message(inner) = field.kind() {
                self.add(&inner);
            }
        }
    }

    pub(super) fn message(
        &self,
        message: &MessageDescriptor,
        density: Density,
        depth: usize,
        choices: &mut Choices<'_>,
    ) -> Vec<Node> {
        if message.full_name() == "google.protobuf.Timestamp" {
            return time(choices);
        }
        let mut nodes = Vec::new();
        let Some(plans) = self.plans.get(message.full_name()) else { return nodes };
        let mut done: Vec<&str> = Vec::new();
        for plan in plans {
            if let Some(oneof) = &plan.oneof {
                if done.contains(&oneof.as_str()) {
                    continue;
                }
                done.push(oneof);
                // Now and then none: a value without a kind.
                if choices.once_in(60) {
                    continue;
                }
                let members: Vec<_> =
                    plans.iter().filter(|other| other.oneof.as_ref() == Some(oneof)).collect();
                // Deep down there are only scalars.
                let members = if depth < MAX_DEPTH { &members[..] } else { &members[..1] };
                let member = choices.pick(members);
                nodes.extend(self.one(&member.field, density, depth, choices));
                continue;
            }
            if plan.always || density.eighths > choices.below(8) {
                nodes.extend(self.field(&plan.field, density, depth, choices));
            }
        }
        nodes
    }

    /// All occurrences of a field.
    fn field(
        &self,
        field: &FieldDescriptor,
        density: Density,
        depth: usize,
        choices: &mut Choices<'_>,
    ) -> Vec<Node> {
        if !field.is_list() && !field.is_map() {
            return self.one(field, density, depth, choices).into_iter().collect();
        }
        // Deep trees stay thin.
        let most = if depth > 4 { 2 } else { density.entries };
        let count = choices.below(most + 1);
        (0..count).filter_map(|_| self.one(field, density, depth, choices)).collect()
    }

    /// One occurrence of a field; none for a scalar that gogo would leave out.
    pub(super) fn one(
        &self,
        field: &FieldDescriptor,
        density: Density,
        depth: usize,
        choices: &mut Choices<'_>,
    ) -> Option<Node> {
        let body = match field.kind() {
            Kind::Message(_) if depth > MAX_DEPTH => return None,
            Kind::Message(inner) if field.is_map() => self.entry(inner, density, depth, choices),
            Kind::Message(inner) => {
                let nodes = self.message(&inner, density, depth + 1, choices);
                Body::Message(inner, nodes)
            }
            Kind::String => Body::Bytes(values::text(choices)),
            Kind::Bytes => Body::Bytes(values::bytes(choices)),
            Kind::Bool => Body::Varint(1, 0),
            Kind::Double => Body::Fixed64(values::double(choices).to_bits()),
            Kind::Enum(of) => {
                let count = of.values().len();
                let number = of.values().nth(choices.below(count)).map_or(0, |v| v.number());
                let number = if choices.once_in(20) { -1 } else { number };
                Body::Varint(i64::from(number).cast_unsigned(), 0)
            }
            _ => Body::Varint(values::number(choices), 0),
        };
        Some(Node::new(field.number(), body))
    }

    fn entry(
        &self,
        entry: MessageDescriptor,
        density: Density,
        depth: usize,
        choices: &mut Choices<'_>,
    ) -> Body {
        let mut nodes = Vec::new();
        if !choices.once_in(20) {
            nodes.push(Node::new(1, Body::Bytes(values::key(choices))));
        }
        if !choices.once_in(20) {
            let value = entry.map_entry_value_field();
            nodes.extend(self.one(&value, density, depth + 1, choices));
        }
        Body::Message(entry, nodes)
    }
}

fn time(choices: &mut Choices<'_>) -> Vec<Node> {
    let (seconds, nanos) = values::time(choices);
    let mut nodes = Vec::new();
    if seconds != 0 {
        nodes.push(Node::new(1, Body::Varint(seconds.cast_unsigned(), 0)));
    }
    if nanos != 0 {
        nodes.push(Node::new(2, Body::Varint(i64::from(nanos).cast_unsigned(), 0)));
    }
    nodes
}
