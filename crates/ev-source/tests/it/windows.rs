use std::time::Duration;

use ev_core::{LaneId, Source};

use crate::env::NOW;
use crate::rig::{POLL, Rig, event, events, names};

const HOUR: i64 = 3600;

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

#[tokio::test]
async fn a_log_over_several_windows_arrives_whole() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 5 * HOUR, 61, 290));
    rig.auth.set(|switches| switches.page_cap = 7);
    let mut config = rig.config();
    config.window_size = hours(1);
    config.catch_up_lanes = 3;
    let mut reader = rig.reader(config, NOW - 5 * HOUR);
    reader.read_until(|reader| reader.ended.len() == 4 && reader.caught_up > 0).await;

    assert_eq!(reader.ids(), names("e", 290));
    // Four closed windows up to an hour ago, and the live one.
    let starts: Vec<i64> = reader
        .ended
        .iter()
        .chain(reader.lanes.keys())
        .map(|lane| match lane {
            LaneId::Window { start, pass: 0 } => *start,
            other => panic!("{other} is no window"),
        })
        .collect();
    let mut sorted = starts.clone();
    sorted.sort_unstable();
    let hour = |n: i64| NOW - 5 * HOUR + n * HOUR;
    assert_eq!(sorted, [hour(0), hour(1), hour(2), hour(3), hour(4)]);
    // At most three closed windows at once, oldest first: the first to end is one of them.
    assert!(starts[0] <= hour(2), "{starts:?}");
    // Events at the borders came in both windows, and nothing came more often than that.
    assert!(reader.events.len() < 290 + 5 * 4, "{}", reader.events.len());
}

#[tokio::test]
async fn whoever_stops_anywhere_goes_on_without_loss() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 3 * HOUR, 97, 110));
    rig.auth.set(|switches| switches.page_cap = 6);
    let config = || {
        let mut config = rig.config();
        config.window_size = hours(1);
        config
    };
    for stop in [1, 2, 5, 9, 14, 20] {
        let mut reader = rig.reader(config(), NOW - 3 * HOUR);
        reader.read_until(|reader| reader.pages.len() >= stop).await;
        let before = reader.ids();
        let lanes: Vec<_> = reader.lanes.clone().into_iter().collect();
        drop(reader);

        let mut reader = rig.resumed(config(), lanes, NOW);
        reader.read_until(|reader| reader.lanes.len() == 1 && reader.caught_up > 0).await;
        let all = before.union(&reader.ids()).cloned().collect();
        assert_eq!(names("e", 110), all, "stopped after {stop} pages");
        // What was settled does not come again, but for the borders and the tip's own page.
        let repeated = before.intersection(&reader.ids()).count();
        assert!(repeated <= 6 + 3 * 4, "{repeated} events came again after {stop} pages");
    }
}

#[tokio::test]
async fn the_tip_grows_and_brings_only_what_is_new() {
    let rig = Rig::new();
    rig.auth.append(events("old", NOW - 300, 1, 10));
    let mut reader = rig.reader(rig.config(), NOW - 100_000);
    reader.read_to_the_tip().await;
    assert_eq!(reader.ids(), names("old", 10));
    assert_eq!(reader.caught_up, 1);
    reader.events.clear();

    rig.env.advance(POLL);
    reader.read_to_the_tip().await;
    assert_eq!((reader.events.len(), reader.caught_up), (0, 1), "nothing new is nothing");

    rig.auth.append(events("new", NOW + 1, 0, 3));
    // A late one sorts in front of them.
    rig.auth.store(|store| store.append_in_place([event("late", NOW - 40, 0)]));
    rig.env.advance(POLL);
    reader.read_to_the_tip().await;
    let ids: Vec<String> = reader.events.iter().map(|(_, event)| crate::rig::id(event)).collect();
    assert_eq!(ids, ["late", "new0", "new1", "new2"]);
    assert_eq!(reader.caught_up, 2);
}

#[tokio::test]
async fn the_live_window_rolls_in_one_step() {
    let rig = Rig::new();
    let mut config = rig.config();
    config.live_width = Duration::from_secs(600);
    let mut reader = rig.reader(config, NOW);
    rig.auth.append(events("a", NOW, 1, 3));
    reader.read_to_the_tip().await;
    let first = LaneId::Window { start: NOW, pass: 0 };
    assert_eq!(reader.lanes.keys().collect::<Vec<_>>(), [&first]);

    rig.auth.append(events("b", NOW + 595, 1, 66));
    rig.env.advance(Duration::from_secs(660));
    reader.read_until(|reader| !reader.ended.is_empty()).await;
    assert_eq!(reader.ended, [first]);
    // A minute before the newest event.
    let next = LaneId::Window { start: NOW + 600, pass: 0 };
    assert_eq!(reader.lanes.keys().collect::<Vec<_>>(), [&next]);
    reader.read_to_the_tip().await;
    rig.auth.append(events("c", NOW + 700, 1, 3));
    rig.env.advance(Duration::from_secs(60));
    reader.read_until(|reader| reader.ids().contains("c2")).await;
    assert!(reader.ids_of(&next).contains(&"c0".to_owned()));
    assert_eq!(reader.ids().len(), 3 + 66 + 3);
}

#[tokio::test]
async fn the_tip_is_told_again_when_other_lanes_brought_something() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 10, 1, 3));
    rig.auth.store(|store| store.append_recording("s", events("s", NOW - 50, 1, 3)));
    let mut reader = rig.reader(rig.config(), NOW - 30);
    reader.read_to_the_tip().await;
    assert_eq!(reader.caught_up, 1);
    reader.open("s", None);
    reader.read_until(|reader| !reader.ended.is_empty()).await;
    assert_eq!(reader.caught_up, 1, "the tip is not looked at before its pause is over");
    rig.env.advance(POLL);
    reader.read_until(|reader| reader.caught_up == 2).await;
}

#[tokio::test]
async fn nothing_is_asked_without_credit() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 3 * HOUR, 60, 100));
    let mut config = rig.config();
    config.window_size = hours(1);
    let ping = config.ping_interval;
    let mut reader = rig.reader(config, NOW - 3 * HOUR);
    reader.open("s", None);
    reader.read_while_not_sleeping(0, ping).await;
    assert_eq!(reader.lanes.len(), 4, "lanes are told of all the same");
    assert_eq!(reader.versions.len(), 1, "so is the version");
    assert_eq!((rig.calls("GetEvents"), rig.calls("StreamSessionEvents")), (0, 0));
    for pings in 2..5 {
        rig.env.advance(ping);
        tokio::select! {
            () = reader.next(0) => panic!("there is nothing to tell"),
            tally = rig.auth.wait(|tally| tally.methods["Ping"].calls == pings) => {
                assert!(!tally.methods.contains_key("GetEvents"));
            }
        }
        // The answer is taken, so that the next one is timed.
        reader.read_while_not_sleeping(0, ping).await;
    }

    // With credit, each lane is asked for once; none again for as long as there is none.
    reader.read_with(1, |reader| !reader.pages.is_empty()).await;
    let asked = || rig.calls("GetEvents") + rig.calls("StreamSessionEvents");
    assert!(asked() <= 4);
    let before = (reader.pages.len(), asked());
    reader.read_while_not_sleeping(0, ping).await;
    rig.env.advance(ping);
    tokio::select! {
        () = reader.read_with(0, |_| false) => {}
        _ = rig.auth.wait(|tally| tally.methods["Ping"].calls == 5) => {}
    }
    assert!(asked() <= 4);
    assert_eq!(reader.pages.len(), before.0);
    reader.read_until(|reader| reader.ids() == names("e", 100)).await;
}

#[tokio::test]
async fn windows_are_read_at_once_whatever_the_credit() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 11 * HOUR, 600, 60));
    let config = ev_source::Config { window_size: hours(1), ..rig.config() };
    let mut reader = rig.reader(config, NOW - 11 * HOUR);
    let all = |tally: &ev_test_support::AuthTally| {
        tally.methods.get("GetEvents").is_some_and(|tally| tally.calls == 11)
    };
    reader.read_with(0, |reader| !reader.versions.is_empty()).await;
    // Nobody is answered, so all that may be asked is asked.
    rig.auth.set(|switches| switches.latency_ms = 3_600_000);
    tokio::select! {
        () = reader.read_with(1, |_| false) => {}
        tally = rig.auth.wait(all) => assert_eq!(tally.methods["GetEvents"].events, 0),
    }
    assert!(reader.pages.is_empty());
}

#[tokio::test]
async fn a_page_that_arrives_without_credit_is_kept() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 10, 1, 5));
    let config = rig.config();
    let ping = config.ping_interval;
    let mut reader = rig.reader(config, NOW - 30);
    reader.read_while_not_sleeping(0, ping).await;
    // Asked for with credit, which is gone when the answer comes.
    tokio::select! {
        biased;
        () = reader.next(1) => panic!("the answer cannot be here yet"),
        () = std::future::ready(()) => {}
    }
    reader.read_while_not_sleeping(0, POLL).await;
    assert_eq!(reader.pages.len(), 0);
    reader.next(1).await;
    assert_eq!(reader.ids(), names("e", 5));
    assert_eq!(rig.calls("GetEvents"), 1);
}

#[tokio::test]
async fn other_types_read_the_window_again_with_them() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 30, 1, 20));
    rig.auth.set(|switches| switches.page_cap = 5);
    let mut reader = rig.reader(rig.config(), NOW - 40);
    reader.read_until(|reader| reader.pages.len() == 2).await;
    let lanes: Vec<_> = reader.lanes.clone().into_iter().collect();
    drop(reader);
    let mut config = rig.config();
    config.types = vec!["test.event".to_owned()];
    let mut reader = rig.resumed(config, lanes, NOW);
    reader.read_to_the_tip().await;
    assert_eq!(reader.ids(), names("e", 20), "a key is never sent with other types");
    let refused = rig.auth.tally().methods["GetEvents"].errors;
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn a_closed_lane_is_forgotten() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 3 * HOUR, 60, 110));
    rig.auth.set(|switches| switches.page_cap = 10);
    let mut config = rig.config();
    config.window_size = hours(1);
    let mut reader = rig.reader(config, NOW - 3 * HOUR);
    reader.read_until(|reader| reader.pages.len() == 3).await;
    let first = LaneId::Window { start: NOW - 3 * HOUR, pass: 0 };
    let before = reader.ids_of(&first).len();
    reader.source().close(&first);
    reader.read_until(|reader| reader.ended.len() == 1 && reader.caught_up > 0).await;
    assert_eq!(reader.ids_of(&first).len(), before);
    assert!(!reader.ended.contains(&first));
}

#[tokio::test]
async fn after_a_long_stop_several_windows_catch_up_without_loss() {
    let rig = Rig::new();
    rig.auth.append(events("a", NOW, 1, 20));
    let mut config = rig.config();
    config.window_size = hours(1);
    let mut reader = rig.reader(config.clone(), NOW);
    rig.env.advance(Duration::from_secs(30));
    reader.read_to_the_tip().await;
    let first = LaneId::Window { start: NOW, pass: 0 };
    let lanes: Vec<_> = reader.lanes.clone().into_iter().collect();
    let before = reader.ids();
    assert_eq!(before, names("a", 20));
    drop(reader);

    rig.auth.append(events("b", NOW + 40, 200, 100));
    rig.env.advance(hours(6));
    let mut reader = rig.resumed(config, lanes, NOW);
    reader.read_until(|reader| reader.lanes.len() == 1 && reader.caught_up > 0).await;
    assert!(reader.ended.len() > 4, "{:?}", reader.ended);
    assert!(reader.ended.contains(&first));
    let b = names("b", 100);
    assert!(b.is_subset(&reader.ids()));
    // The first page of the window that was live, and the borders. That window is read once more
    // too, since it was read when it was young.
    let is_first = |lane: &LaneId| matches!(lane, LaneId::Window { pass: 0, .. });
    let came = reader.events.iter().filter(|(lane, _)| is_first(lane)).count();
    let windows = reader.ended.iter().filter(|lane| is_first(lane)).count();
    assert!(came < 100 + 20 + 4 * windows, "{came} events of {windows} windows");
}

#[tokio::test]
async fn a_clock_ahead_of_auths_loses_nothing() {
    for (ahead, jump) in [(120, 0), (1800, 0), (0, 7200)] {
        let rig = Rig::new();
        let mut config = rig.config();
        config.window_size = hours(1);
        config.live_width = Duration::from_secs(60);
        // Auth's clock stands at this when ours stands at `NOW`.
        let auth_now = NOW - ahead;
        rig.auth.append(events("old", auth_now - 10_000, 100, 100));
        let mut reader = rig.reader(config, NOW - 12_000);
        reader.read_to_the_tip().await;
        rig.env.advance(Duration::from_secs(jump));
        reader.read_to_the_tip().await;
        // From now on, something is logged each ten seconds, in order, by Auth's own clock.
        for (n, event) in events("e", auth_now, 10, 100).into_iter().enumerate() {
            rig.auth.append([event]);
            rig.env.advance(Duration::from_secs(10));
            let id = format!("e{n}");
            reader.read_until(|reader| reader.ids().contains(&id)).await;
        }
        assert!(names("old", 100).is_subset(&reader.ids()));
        // The live window has rolled all the same.
        assert!(reader.lanes.keys().all(|lane| match lane {
            LaneId::Window { start, .. } => *start > auth_now + 800,
            _ => false,
        }));
    }
}

#[tokio::test]
async fn a_resume_point_of_another_release_starts_its_lane_anew() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 4 * HOUR, 60, 239));
    rig.auth.store(|store| store.append_recording("s", events("s", NOW - 50, 1, 9)));
    rig.auth.set(|switches| switches.page_cap = 20);
    let config = || ev_source::Config { window_size: hours(1), ..rig.config() };
    let mut reader = rig.reader(config(), NOW - 4 * HOUR);
    reader.open("s", None);
    reader.read_until(|reader| reader.pages.len() > 6).await;
    let open = |reader: &crate::rig::Reader| {
        let is_window = |lane: &&LaneId| matches!(lane, LaneId::Window { .. });
        reader.lanes.keys().filter(is_window).count()
    };
    assert!(open(&reader) > 1);
    let mut lanes: Vec<_> = reader.lanes.clone().into_iter().collect();
    lanes.retain(|(lane, _)| *lane != crate::rig::lane("s"));
    lanes.push((crate::rig::lane("s"), lanes[0].1.clone()));
    for (_, token) in &mut lanes {
        token.format = 200;
        token.bytes = bytes::Bytes::from_static(b"what only that release can read");
    }
    let first = reader.ids();
    drop(reader);

    let mut reader = rig.resumed(config(), lanes, NOW - 4 * HOUR);
    reader.read_until(|reader| reader.lanes.len() == 1 && reader.caught_up > 0).await;
    let all: std::collections::BTreeSet<_> = first.union(&reader.ids()).cloned().collect();
    assert_eq!(all, names("e", 239).union(&names("s", 9)).cloned().collect());
    assert_eq!(reader.ids_of(&crate::rig::lane("s")).len(), 9, "from the beginning");
    // Everything is marked in our own words from now on.
    assert!(reader.pages.iter().all(|page| page.marks.iter().all(|mark| mark.token.format <= 2)));
    assert!(reader.lanes.values().all(|token| token.format <= 2));
}

#[tokio::test]
async fn a_damaged_resume_point_of_a_window_is_for_the_operator() {
    let rig = Rig::new();
    let mut reader = rig.reader(rig.config(), NOW);
    reader.next(0).await;
    let (lane, token) = reader.lanes.pop_first().expect("the live window");
    let token = ev_core::Token { bytes: token.bytes.slice(..5), ..token };
    let start_time = ev_core::Timestamp::new(NOW, 0);
    let resume = ev_core::Resume {
        road: ev_core::Road::Typed,
        lanes: vec![(lane, token)],
        closed: vec![],
        start_time,
    };
    let error = rig.source(rig.config()).resume(resume).expect_err("a damaged one");
    assert!(error.to_string().ends_with("it is damaged"), "{error}");
}
