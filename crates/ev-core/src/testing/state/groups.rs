//! Groups of parked events, and how much is parked.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Opened, everything, parked, window};
use crate::{
    Attempt, AuthVersion, Change, Form, NewParked, ParkReason, ParkedEvent, ParkedGroup,
    ParkedQuery, SinkId, StateStore, Timestamp,
};

fn event(byte: u8, version: &str, reason: ParkReason, decoder: &str) -> NewParked {
    NewParked {
        version: AuthVersion::new(version),
        reason,
        decoder: decoder.to_owned(),
        ..parked(&window(0), byte)
    }
}

fn groups(opened: &Opened<'_>) -> Vec<(ParkedGroup, u64)> {
    opened.store.parked_groups(&opened.sink).expect("groups can be read")
}

fn within(opened: &Opened<'_>, group: &ParkedGroup, query: &ParkedQuery) -> Vec<ParkedEvent> {
    opened.store.parked_in(&opened.sink, group, query).expect("parked events can be read")
}

/// What the groups must be, from the events themselves.
fn expected(opened: &Opened<'_>) -> Vec<(ParkedGroup, u64)> {
    let mut groups = BTreeMap::<_, u64>::new();
    for row in opened.parked() {
        *groups.entry(ParkedGroup::of(&row.event)).or_default() += 1;
    }
    groups.into_iter().collect()
}

pub(super) fn events_are_counted_by_group(store: &dyn StateStore) {
    let opened = Opened::new(store);
    assert_eq!(groups(&opened), [], "nothing is parked in a new state");
    let table = "table 18";
    let park = vec![
        event(1, "18", ParkReason::Unknown, table),
        event(2, "18", ParkReason::Waiting, ""),
        event(3, "18", ParkReason::Unknown, table),
        event(4, "18", ParkReason::Unknown, "table 1"),
        event(5, "18.1", ParkReason::Unknown, table),
        event(6, "18", ParkReason::Malformed, table),
        event(7, "18", ParkReason::Unknown, table),
        NewParked { form: Form::Unstructured, ..event(8, "18", ParkReason::Unknown, table) },
    ];
    opened.commit(&Change { park, ..Change::default() });
    let found = groups(&opened);
    assert_eq!(found, expected(&opened), "every event in the group of its row, in order");
    assert_eq!(found.iter().map(|(_, events)| events).sum::<u64>(), 8);
    for (group, events) in &found {
        let rows = within(&opened, group, &everything());
        assert!(rows.iter().all(|row| ParkedGroup::of(&row.event) == *group), "{group:?}");
        assert!(rows.is_sorted_by_key(|row| row.id), "rows come in the order of their ids");
        assert_eq!(rows.len() as u64, *events, "{group:?}");
    }

    // A try in vain moves an event to another group, a delivery takes it out of all.
    let ids: Vec<_> = opened.parked().iter().map(|row| row.id).collect();
    let attempt = Attempt {
        id: ids[1],
        reason: ParkReason::Unknown,
        detail: String::new(),
        decoder: table.to_owned(),
        at: Timestamp::EPOCH,
    };
    opened.commit(&Change {
        attempt: vec![attempt],
        resolve: vec![ids[3], ids[4]],
        ..Change::default()
    });
    assert_eq!(groups(&opened), expected(&opened));
    let group = ParkedGroup {
        version: AuthVersion::new("18"),
        reason: ParkReason::Unknown,
        decoder: table.to_owned(),
        form: Form::OneOf,
    };
    let in_group = [ids[0], ids[1], ids[2], ids[6]];
    let read = |after, limit, max_bytes| -> Vec<_> {
        let query = ParkedQuery { after, limit, max_bytes };
        within(&opened, &group, &query).iter().map(|row| row.id).collect()
    };
    assert_eq!(read(None, usize::MAX, usize::MAX), in_group);
    assert_eq!(read(None, 2, usize::MAX), in_group[..2], "at most `limit` rows");
    assert_eq!(read(Some(ids[1]), 9, usize::MAX), in_group[2..], "rows behind `after`");
    assert_eq!(read(None, 9, 8), in_group[..2], "exactly the bytes allowed");
    assert_eq!(read(Some(ids[0]), 9, 0), in_group[1..2], "the first event always comes");
    let none = ParkedGroup { reason: ParkReason::Refused, ..group };
    assert_eq!(within(&opened, &none, &everything()), [], "a group nobody is in");
}

pub(super) fn sinks_have_their_own_groups(store: &dyn StateStore) {
    let (first, second) = (Opened::named(store, "first"), Opened::named(store, "second"));
    let park = |opened: &Opened<'_>, bytes: &[u8]| {
        let park = bytes.iter().map(|byte| event(*byte, "18", ParkReason::Waiting, "")).collect();
        opened.commit(&Change { park, ..Change::default() });
    };
    park(&first, &[1]);
    park(&second, &[1, 2]);
    for (opened, events) in [(&first, 1), (&second, 2)] {
        let found = groups(opened);
        assert_eq!(found.iter().map(|(_, events)| *events).collect::<Vec<_>>(), [events]);
        assert_eq!(within(opened, &found[0].0, &everything()), opened.parked());
    }
    let nobody = SinkId("nobody".to_owned());
    assert_eq!(store.parked_groups(&nobody).expect("readable"), [], "a sink nobody opened");
}

pub(super) fn parked_bytes_are_summed(store: &dyn StateStore) {
    let mut opened = Opened::new(store);
    let mut other = Opened::named(store, "other");
    assert_eq!(opened.restart().parked_bytes, 0, "nothing is parked in a new state");
    let sized = |byte, size| {
        let mut event = parked(&window(0), byte);
        event.bytes = Bytes::from(vec![byte; size]);
        event
    };
    opened.commit(&Change {
        park: vec![sized(1, 1), sized(2, 100_000), sized(3, 0), sized(4, 20)],
        ..Change::default()
    });
    other.commit(&Change { park: vec![sized(1, 7)], ..Change::default() });
    assert_eq!(opened.restart().parked_bytes, 100_021);
    assert_eq!(other.restart().parked_bytes, 7, "each sink has its own sum");

    // Twice is one row, and so it is one addend.
    opened.commit(&Change { park: vec![sized(1, 55), sized(5, 2)], ..Change::default() });
    assert_eq!(opened.restart().parked_bytes, 100_023, "an event parked again is not added");
    let ids: Vec<_> = opened.parked().iter().map(|row| row.id).collect();
    opened.commit(&Change { resolve: vec![ids[1], ids[1]], ..Change::default() });
    assert_eq!(opened.restart().parked_bytes, 23, "what is resolved is taken off, once");
    let stale = crate::Epoch(0);
    let change = Change { park: vec![sized(6, 9)], ..Change::default() };
    store.commit(&opened.sink, stale, &change).expect_err("a stale epoch");
    assert_eq!(opened.restart().parked_bytes, 23, "a refused change adds nothing");
    let rest = opened.parked().iter().map(|row| row.id).collect();
    opened.commit(&Change { resolve: rest, ..Change::default() });
    assert_eq!(opened.restart().parked_bytes, 0);
}
