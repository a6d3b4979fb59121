//! Which events of a chunk are wanted.
//!
//! The export knows neither types nor times of day: whoever asks for a chunk gets all of it. What a
//! search would not have brought is left out here, before anybody counts it.

use std::collections::BTreeSet;

use ev_core::unstructured::metadata;
use ev_core::{Form, Timestamp};

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// Exact names; empty means all.
    types: BTreeSet<String>,
}

impl Filter {
    pub(crate) fn new(types: &[String]) -> Self {
        Self { types: types.iter().cloned().collect() }
    }

    /// Whether a serialised `teleport.auditlog.v1.EventUnstructured` is wanted by whoever wants
    /// nothing in front of second `from`. What cannot be read is wanted: it is not ours to drop.
    pub(crate) fn keeps(&self, event: &[u8], from: i64) -> bool {
        let Some(peeked) = metadata(Form::Unstructured, event) else { return true };
        // An event without a time is of none that could be early.
        let is_early = peeked.time.seconds() < from && peeked.time != Timestamp::ZERO_YEAR_ONE;
        let is_of_type = || {
            self.types.is_empty()
                || std::str::from_utf8(peeked.kind.of(event))
                    .is_ok_and(|kind| self.types.contains(kind))
        };
        !is_early && is_of_type()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::Timestamp as Time;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Event {
        #[prost(string, tag = "1")]
        kind: String,
        #[prost(string, tag = "2")]
        id: String,
        #[prost(message, optional, tag = "3")]
        time: Option<Time>,
        #[prost(int64, tag = "4")]
        index: i64,
        #[prost(bytes = "vec", tag = "5")]
        unstructured: Vec<u8>,
    }

    fn event(kind: &str, time: Option<(i64, i32)>) -> Vec<u8> {
        let time = time.map(|(seconds, nanos)| Time { seconds, nanos });
        let (kind, id, index) = (kind.to_owned(), "id".to_owned(), 7);
        Event { kind, id, time, index, unstructured: vec![1; 40] }.encode_to_vec()
    }

    #[test]
    fn what_lies_in_front_of_the_first_second_is_left_out() {
        let all = Filter::new(&[]);
        for (seconds, nanos, kept) in [(99, 999_999_999, false), (100, 0, true), (101, 0, true)] {
            let event = event("user.login", Some((seconds, nanos)));
            assert_eq!(all.keeps(&event, 100), kept, "{seconds}.{nanos}");
        }
        assert!(!all.keeps(&event("x", Some((-5, 0))), -4));
        assert!(all.keeps(&event("x", None), 100), "of no time that could be early");
    }

    #[test]
    fn types_are_exact_names() {
        let some = Filter::new(&["user.login".to_owned(), "role.created".to_owned()]);
        let at = Some((100, 0));
        for (kind, kept) in [
            ("user.login", true),
            ("role.created", true),
            ("user.login ", false),
            ("User.Login", false),
            ("", false),
        ] {
            assert_eq!(some.keeps(&event(kind, at), 0), kept, "{kind}");
        }
        assert!(!some.keeps(&event("user.login", at), 101), "both have to hold");
    }

    #[test]
    fn what_cannot_be_read_is_kept() {
        let some = Filter::new(&["user.login".to_owned()]);
        let cut = &event("role.created", Some((5, 0)))[..20];
        assert!(some.keeps(cut, 100));
        assert!(some.keeps(&[0xff], 100));
    }

    #[test]
    fn the_last_value_wins() {
        let twice =
            [event("role.created", Some((5, 0))), event("user.login", Some((200, 0)))].concat();
        assert!(Filter::new(&["user.login".to_owned()]).keeps(&twice, 100));
    }
}
