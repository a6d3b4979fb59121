//! Events made up from a schema: every message type, contents with a liking for borders, encodings
//! that gogo writes and encodings that it merely reads; and damage.
//!
//! | module | what it makes |
//! |---|---|
//! | `choices` | decisions, from a seed or from a fuzzer's bytes |
//! | `values` | single values |
//! | `event` | events as gogo encodes them |
//! | `disturb` | the same out of order, in parts, twice, with what the schema lacks |
//! | `mutate` | damage to bytes, and the smallest bytes that still show it |

mod choices;
mod disturb;
mod event;
mod mutate;
mod node;
mod values;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

pub use self::choices::Choices;
use self::event::{Density, Plans};
pub use self::mutate::{minimise, mutate};
use self::node::{Body, Node, written};
use crate::Schema;

/// Makes events of one schema.
#[derive(Debug)]
pub struct Generator {
    one_of: MessageDescriptor,
    cases: Vec<FieldDescriptor>,
    plans: Plans,
}

impl Generator {
    /// A generator of the schema's events.
    pub fn new(schema: &Schema) -> Self {
        let one_of = schema.one_of().clone();
        let mut plans = Plans::default();
        plans.add(&one_of);
        Self { cases: one_of.fields().collect(), one_of, plans }
    }

    /// How many event types there are.
    pub fn cases(&self) -> usize {
        self.cases.len()
    }

    /// An event of the type at `case` (modulo their number), as gogo encodes it.
    pub fn plain(&self, case: usize, choices: &mut Choices<'_>) -> Vec<u8> {
        written(&self.tree(case, choices))
    }

    /// The same, changed in up to eight places in ways that keep it an encoding of something:
    /// fields out of order and again, messages in parts, fields that the schema lacks, tags and
    /// numbers spelled otherwise. A few of the changes make it malformed.
    pub fn disturbed(&self, case: usize, choices: &mut Choices<'_>) -> Vec<u8> {
        let mut nodes = self.tree(case, choices);
        for _ in 0..1 + choices.below(8) {
            disturb::disturb(&self.plans, &self.one_of, &mut nodes, choices);
        }
        written(&nodes)
    }

    fn tree(&self, case: usize, choices: &mut Choices<'_>) -> Vec<Node> {
        let case = &self.cases[case % self.cases.len()];
        let Kind::Message(message) = case.kind() else { return Vec::new() };
        let density = Density::any(choices);
        let nodes = self.plans.message(&message, density, 0, choices);
        vec![Node::new(case.number(), Body::Message(message, nodes))]
    }
}
