//! How much of what comes is not known to the decoder in use.

use std::collections::BTreeMap;

use ev_core::{Outcome, RawEvent};

/// Types that are told apart; events of further ones are counted together.
const MOST: usize = 64;
/// Longest name of a type that is kept whole, in bytes. Teleport's have up to some 50.
const LONGEST: usize = 80;
/// The name under which the types beyond are counted.
const OTHERS: &str = "other";

/// How many events of each type the decoder did not know wholly, in one run.
#[derive(Clone, Debug, Default)]
pub struct Unknown(BTreeMap<String, u64>);

impl Unknown {
    /// Each type with its number of events, in the order of the names: at most 64, and `other` for
    /// all others together. A type that the decoder does not know at all is named by its field,
    /// like `field 1000`.
    pub fn by_type(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(kind, count)| (kind.as_str(), *count))
    }

    /// All of them.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// An event came and this is what the decoder made of it.
    pub(crate) fn note(&mut self, event: &RawEvent, outcome: &Outcome) {
        let Outcome::Unknown { facts, path, .. } = outcome else { return };
        let kind = match facts {
            Some(facts) => String::from_utf8_lossy(facts.kind.of(&event.bytes)).into_owned(),
            None => format!("field {}", path.split('.').next_back().unwrap_or_default()),
        };
        let is_usable = !kind.is_empty() && kind.len() <= LONGEST;
        let kind = if is_usable { kind } else { OTHERS.to_owned() };
        let is_new = !self.0.contains_key(&kind);
        let kind = if is_new && self.0.len() >= MOST { OTHERS.to_owned() } else { kind };
        *self.0.entry(kind).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ev_core::Form;

    use super::*;

    #[test]
    fn types_beyond_the_most_are_counted_together() {
        let mut unknown = Unknown::default();
        let event = RawEvent { bytes: Bytes::new(), form: Form::OneOf };
        for number in 0..100 {
            let path = format!("OneOf.{number}");
            for _ in 0..2 {
                let path = path.clone();
                let outcome = Outcome::Unknown { at: 0, path, facts: None, known: None };
                unknown.note(&event, &outcome);
            }
        }
        assert_eq!(unknown.count(), 200);
        assert_eq!(unknown.by_type().count(), MOST + 1);
        let others = unknown.by_type().find(|(kind, _)| *kind == OTHERS);
        assert_eq!(others, Some((OTHERS, 2 * (100 - MOST as u64))));
        assert_eq!(unknown.by_type().next(), Some(("field 0", 2)));
    }
}
