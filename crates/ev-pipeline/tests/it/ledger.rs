//! What the ledger keeps while events are passed, over restarts and crashes.

use ev_core::{Choice, DecoderKind, EventDigest, LedgerHour, SinkId, StateStore, Timestamp};
use ev_pipeline::Identity;
use ev_pipeline::ledger::{Difference, Hour, LedgerKey};
use ring::digest::{SHA256, digest};

use crate::rig::{Rig, TinyDecoder, event, lock, login, opened, page, uids};

fn rows(rig: &Rig) -> Vec<LedgerHour> {
    rig.store.ledger(&SinkId("test".into()), i64::MIN..i64::MAX).unwrap()
}

/// The hour of all events of the rig, as somebody else would count it: they are of second 1000.
fn hour_of(rig: &Rig, names: &[String]) -> Hour {
    let key = LedgerKey::new(&rig.snapshot().ledger_key);
    let mut hour = Hour::default();
    for name in names {
        let sha = digest(&SHA256, name.as_bytes());
        let id = EventDigest::of(sha.as_ref().try_into().unwrap());
        let time = Timestamp::new(1000, 0);
        hour.insert(&key.line(&Identity { digest: id, time, index: Some(0), has_uid: true }));
    }
    hour
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    crate::rig::names(range)
}

#[tokio::test(start_paused = true)]
async fn it_has_each_event_that_was_passed_once() {
    let mut rig = Rig::new();
    rig.feed.push(opened());
    for n in 0..5 {
        rig.feed.push(page(uids(n * 30..n * 30 + 30), &format!("after {n}")));
    }
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 150).await;
    let [row] = &rows(&rig)[..] else { panic!("{:?}", rows(&rig)) };
    assert_eq!((row.hour, row.count), (0, 150));
    assert_eq!(Hour::from_row(row), Some(hour_of(&rig, &names(0..150))));

    // In the next life the tip comes once more, with new events.
    rig.restart();
    rig.feed.push(page(uids(150..200), "later"));
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 200).await;
    let ours = Hour::from_row(&rows(&rig)[0]).unwrap();
    assert_eq!(ours, hour_of(&rig, &names(0..200)));

    // Whoever reads the log again finds what it lacks, by name.
    let key = LedgerKey::new(&rig.snapshot().ledger_key);
    let auth = hour_of(&rig, &names(0..203));
    let Difference::Ids { only_first, only_second } = auth.difference(&ours, &key) else {
        panic!("three are missing")
    };
    assert_eq!((only_first.len(), only_second.len()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn filtered_and_parked_events_are_passed_too() {
    let mut rig = Rig::new();
    rig.config.skip_event_types.insert("noise".into());
    rig.feed.push(opened());
    let events = vec![login("a"), event(2, "noise", "b", ""), event(3, "new.type", "c", "")];
    rig.feed.push(page(events, "end"));
    let summary = rig.run_until(|rig| rig.parked() == 1 && lock(&rig.sink.stored).len() == 1).await;
    assert_eq!(summary.totals.passed, 3);
    let all = hour_of(&rig, &["a".into(), "b".into(), "c".into()]);
    assert_eq!(Hour::from_row(&rows(&rig)[0]), Some(all.clone()));

    // Delivered later, it is still the one event.
    rig.restart();
    rig.decoders.set("1.0.0", Choice::Exact(TinyDecoder::knowing(3, DecoderKind::Native)));
    rig.run_until(|rig| rig.parked() == 0).await;
    assert_eq!(Hour::from_row(&rows(&rig)[0]), Some(all));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_known_by_another_id_once_it_is_decoded_changes_its_line() {
    let rig = Rig::new();
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(opened());
    rig.feed.push(page(vec![event(1, "t", "", "")], "end"));
    let changed = std::cell::Cell::new(None);
    rig.run_until(|rig| {
        if rig.parked() == 1 && changed.get().is_none() {
            changed.set(Some(rows(rig)[0].sum));
            let decoder = TinyDecoder::knowing(2, DecoderKind::Native);
            rig.decoders.set("1.0.0", Choice::Exact(decoder));
        }
        changed.get().is_some() && rig.parked() == 0
    })
    .await;
    let row = &rows(&rig)[0];
    assert_eq!(row.count, 1);
    assert_ne!(Some(row.sum), changed.get());
    // The rig's decoder makes such an id of the event's type alone.
    let id: String = [b't'; 32].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(Hour::from_row(row), Some(hour_of(&rig, &[id])));
}
