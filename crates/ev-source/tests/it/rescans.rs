//! Windows that are read again for late events.

use std::collections::BTreeSet;
use std::time::Duration;

use ev_core::LaneId;
use ev_source::Config;

use crate::env::NOW;
use crate::rig::{POLL, Reader, Rig, event, events, names};

const DELAYS: [u64; 2] = [600, 21_600];

fn lane(start: i64, pass: u8) -> LaneId {
    LaneId::Window { start, pass }
}

fn config(rig: &Rig) -> Config {
    let mut config = rig.config();
    config.live_width = Duration::from_secs(60);
    config.batch = 7;
    config
}

/// A live window from [`NOW`] on that has rolled; where it ends.
async fn rolled(rig: &Rig, config: Config) -> (Reader, i64) {
    let mut reader = rig.reader(config, NOW);
    reader.read_to_the_tip().await;
    rig.env.advance(Duration::from_secs(140));
    rig.auth.append(events("e", NOW + 2, 5, 26));
    reader.read_until(|reader| reader.ended.contains(&lane(NOW, 0))).await;
    reader.read_to_the_tip().await;
    let next = reader.lanes.keys().next().expect("the live window").clone();
    let LaneId::Window { start, pass: 0 } = next else { panic!("{next}") };
    (reader, start)
}

/// An event that Auth stores late, where reading has passed.
fn store_late(rig: &Rig, id: &str, second: i64) {
    let event = event(id, second, 0);
    rig.auth.store(|store| store.append_in_place([event]));
}

async fn pass_time(rig: &Rig, reader: &mut Reader, seconds: u64) {
    rig.env.advance(Duration::from_secs(seconds));
    reader.read_to_the_tip().await;
}

#[tokio::test]
async fn rule_11_what_is_stored_late_is_found() {
    let rig = Rig::new();
    let (mut reader, end) = rolled(&rig, config(&rig)).await;
    store_late(&rig, "late-1", NOW + 20);
    let passed = u64::try_from(140 + NOW - end).expect("the end is in the past");
    pass_time(&rig, &mut reader, DELAYS[0] - passed - 1).await;
    assert!(!reader.ids().contains("late-1"), "nobody looks for it yet");
    pass_time(&rig, &mut reader, 1).await;
    reader.read_until(|reader| reader.ended.contains(&lane(NOW, 1))).await;
    let found = reader.ids_of(&lane(NOW, 1));
    assert!(found.contains(&"late-1".to_owned()), "{found:?}");
    assert!(found.len() > 12, "the whole window, {found:?}");
    let pages = reader.pages.iter().filter(|page| page.lane == lane(NOW, 1));
    assert!(pages.clone().count() > 1 && pages.clone().all(|page| page.repeats));
    assert_eq!(reader.retired, [], "the second one is to come");

    store_late(&rig, "late-2", NOW + 30);
    pass_time(&rig, &mut reader, DELAYS[1] - DELAYS[0]).await;
    reader.read_until(|reader| reader.retired == [lane(NOW, 2)]).await;
    let found = reader.ids_of(&lane(NOW, 2));
    assert!(found.contains(&"late-1".to_owned()) && found.contains(&"late-2".to_owned()));
    // The live window goes on all the while.
    rig.auth.append([event("new", NOW + 21_000, 0)]);
    rig.env.advance(POLL);
    reader.read_until(|reader| reader.ids().contains("new")).await;
    assert_eq!(reader.ended, [lane(NOW, 0), lane(NOW, 1), lane(NOW, 2)]);
}

#[tokio::test]
async fn rule_11_the_schedule_outlives_a_restart() {
    // Killed before the re-scan, in its middle, or behind it.
    for pages in [0, 1, 2, usize::MAX] {
        let rig = Rig::new();
        let (mut reader, end) = rolled(&rig, config(&rig)).await;
        store_late(&rig, "late", NOW + 30);
        let passed = u64::try_from(140 + NOW - end).expect("the end is in the past");
        if pages > 0 {
            rig.env.advance(Duration::from_secs(DELAYS[0] - passed));
            let enough = |reader: &Reader| {
                let of = reader.pages.iter().filter(|page| page.lane == lane(NOW, 1)).count();
                of >= pages || reader.ended.contains(&lane(NOW, 1))
            };
            reader.read_until(enough).await;
        }
        let lanes: Vec<_> = reader.lanes.clone().into_iter().collect();
        let (closed, ended) = (reader.closed.clone(), reader.ended.clone());
        let mut came = reader.ids();
        drop(reader);
        if pages == 0 {
            rig.env.advance(Duration::from_secs(DELAYS[0] - passed));
        }
        let mut reader = rig.taken_up(config(&rig), lanes, closed, NOW);
        if !ended.contains(&lane(NOW, 1)) {
            reader.read_until(|reader| reader.ended == [lane(NOW, 1)]).await;
        }
        came.extend(reader.ids());
        assert!(came.contains("late"), "killed after {pages} pages");
        pass_time(&rig, &mut reader, DELAYS[1] - DELAYS[0]).await;
        reader.read_until(|reader| reader.retired == [lane(NOW, 2)]).await;
        assert!(reader.ids_of(&lane(NOW, 2)).contains(&"late".to_owned()));
    }
}

#[tokio::test]
async fn rule_11_what_is_first_read_late_is_not_read_again() {
    let rig = Rig::new();
    let start = NOW - 12 * 3600;
    rig.auth.append(events("e", start, 60, 700));
    let mut config = config(&rig);
    config.window_size = Duration::from_secs(3600);
    config.live_width = Duration::from_secs(24 * 3600);
    let mut reader = rig.reader(config, start);
    reader.read_until(|reader| reader.ended.len() == 11 && reader.caught_up > 0).await;
    let is_old =
        |id: &LaneId| matches!(id, LaneId::Window { start, .. } if start + 3600 + 21_600 <= NOW);
    let expected: BTreeSet<_> = reader.ended.iter().filter(|id| is_old(id)).collect();
    assert_eq!(expected.len(), 6);
    assert_eq!(reader.retired.iter().collect::<BTreeSet<_>>(), expected);
    // The others have the second delay before them, each at its own time and one by one.
    for hour in 0..6 {
        pass_time(&rig, &mut reader, 3600).await;
        reader.read_until(|reader| reader.ended.len() >= 12 + hour.min(4)).await;
    }
    let again: Vec<_> = reader.ended[11..].to_vec();
    assert!(again.iter().all(|id| matches!(id, LaneId::Window { pass: 1, .. })), "{again:?}");
    assert!(again.is_sorted(), "oldest first, {again:?}");
    assert_eq!(again.len(), 5);
    assert_eq!(reader.retired.len(), 11);
    assert!(reader.ids().is_superset(&names("e", 700)));
}

#[tokio::test]
async fn re_scans_can_be_turned_off() {
    let rig = Rig::new();
    let (mut reader, _) = rolled(&rig, Config { rescan: Vec::new(), ..config(&rig) }).await;
    assert_eq!(reader.retired, [lane(NOW, 0)], "at its end");
    pass_time(&rig, &mut reader, 100_000).await;
    rig.env.advance(POLL);
    reader.read_to_the_tip().await;
    assert!(reader.ended.iter().all(|id| matches!(id, LaneId::Window { pass: 0, .. })));
}

#[tokio::test]
async fn re_scans_leave_the_live_window_its_searches() {
    let rig = Rig::new();
    let (mut reader, end) = rolled(&rig, config(&rig)).await;
    // Searches of the window that is read again are refused for ever.
    let passed = u64::try_from(140 + NOW - end).expect("the end is in the past");
    rig.auth.set(|switches| {
        switches.fail.push(ev_test_support::CallFault {
            code: 8,
            count: Some(40),
            method: "GetEvents".into(),
            message: "rate limit exceeded".into(),
        });
    });
    rig.env.advance(Duration::from_secs(DELAYS[0] - passed));
    rig.auth.append([event("new", NOW + 600, 0)]);
    reader.read_until(|reader| reader.ids().contains("new")).await;
    reader.read_until(|reader| reader.ended.contains(&lane(NOW, 1))).await;
    assert!(names("e", 26).is_subset(&reader.ids()));
}
