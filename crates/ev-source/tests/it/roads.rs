use std::collections::BTreeSet;

use ev_core::{Form, LaneId, Road, Source};
use ev_source::Config;

use crate::env::NOW;
use crate::rig::{Reader, Rig, event, events, lane, names};

const SEARCHES: [&str; 2] = ["GetEvents", "GetUnstructuredEvents"];

/// A page key that belongs to the other call is refused by this Auth.
fn refused(rig: &Rig) -> u64 {
    let tally = rig.auth.tally();
    SEARCHES.iter().filter_map(|method| tally.methods.get(*method)).map(|tally| tally.errors).sum()
}

fn other(road: Road) -> Road {
    if road == Road::Typed { Road::Unstructured } else { Road::Typed }
}

fn form(road: Road) -> Form {
    if road == Road::Typed { Form::OneOf } else { Form::Unstructured }
}

#[tokio::test]
async fn everything_comes_by_the_calls_of_its_road() {
    let rig = Rig::on(Road::Unstructured);
    rig.auth.append(events("e", NOW - 4000, 1, 300));
    let indexed = |n: i64| event(&format!("s{n}"), NOW - 5000, n);
    rig.auth.store(|store| store.append_recording("s", (0..50).map(indexed)));
    let mut reader = rig.reader(rig.config(), NOW - 4100);
    reader.open("s", None);
    reader.read_until(|reader| reader.ended.len() == 2 && reader.caught_up > 0).await;
    assert_eq!(reader.ids(), &names("e", 300) | &names("s", 50));
    assert_eq!(reader.ids_of(&lane("s")).len(), 50);
    assert!(reader.events.iter().all(|(_, event)| event.form == Form::Unstructured));
    assert!(reader.lanes.values().all(|token| token.road == Road::Unstructured));
    assert_eq!((rig.calls("GetEvents"), rig.calls("StreamSessionEvents")), (0, 0));
    assert_eq!(rig.calls("StreamUnstructuredSessionEvents"), 1);
    let page = reader.pages.iter().max_by_key(|page| page.events.len()).expect("a page");
    for pair in page.events.windows(2) {
        let end = pair[0].bytes.as_ptr() as usize + pair[0].bytes.len();
        let gap = (pair[1].bytes.as_ptr() as usize).wrapping_sub(end);
        assert!((2..=4).contains(&gap), "each is a slice of the receive buffer");
    }
}

/// Reads some of it on one road, and the rest after a restart on the other one.
async fn restarted(first: Road) {
    let mut rig = Rig::on(first);
    rig.auth.append(events("e", NOW - 4 * 3600, 60, 239));
    let indexed = |n: i64| event(&format!("s{n}"), NOW - 5000, n);
    rig.auth.store(|store| store.append_recording("s", (0..900).map(indexed)));
    rig.auth.set(|switches| switches.page_cap = 20);
    let config = |rig: &Rig| Config {
        window_size: std::time::Duration::from_secs(3600),
        // Later windows have not begun yet.
        catch_up_lanes: 2,
        ..rig.config()
    };
    let mut reader = rig.reader(config(&rig), NOW - 4 * 3600);
    reader.open("s", None);
    let some = |reader: &Reader| {
        reader.pages.len() > 6 && reader.pages.iter().any(|page| page.lane == lane("s"))
    };
    reader.read_until(some).await;
    let (before, recorded) = (reader.ids(), reader.ids_of(&lane("s")).len());
    let lanes: Vec<_> = reader.lanes.clone().into_iter().collect();
    let closed = reader.closed.clone();
    let ended: BTreeSet<LaneId> = reader.ended.iter().cloned().collect();
    drop(reader);
    let others = lanes.iter().filter(|(lane, _)| *lane != crate::rig::lane("s")).count();
    assert!(others > 2 && recorded < 900, "{others} windows, {recorded} recorded");

    rig.offer(other(first));
    let mut reader = rig.taken_up(config(&rig), lanes, closed, NOW - 4 * 3600);
    reader.read_until(|reader| reader.lanes.len() == 1 && reader.caught_up > 0).await;
    let (all, came) = (&names("e", 239) | &names("s", 900), &before | &reader.ids());
    assert_eq!(all.difference(&came).collect::<Vec<_>>(), [""; 0], "all that is missing");
    assert_eq!(refused(&rig), 0, "no key is sent to the other call");
    assert!(reader.events.iter().all(|(_, event)| event.form == form(other(first))));
    assert!(reader.lanes.values().all(|token| token.road == other(first)));
    // The recording went on exactly where it stood.
    assert_eq!(reader.ids_of(&lane("s")).len(), 900 - recorded);
    // Only windows that were not read to their end are read again, and those say so.
    for page in reader.pages.iter().filter(|page| page.lane != lane("s")) {
        let is_first = matches!(page.lane, LaneId::Window { pass: 0, .. });
        assert!(!is_first || !ended.contains(&page.lane), "{} had ended", page.lane);
    }
    let mut first_pages = BTreeSet::new();
    for page in &reader.pages {
        if first_pages.insert(page.lane.clone()) && page.lane != lane("s") {
            assert!(page.repeats, "{}", page.lane);
        }
    }
}

#[tokio::test]
async fn windows_of_another_road_are_read_by_time_again_and_recordings_go_on() {
    restarted(Road::Typed).await;
    restarted(Road::Unstructured).await;
}

/// Changes the road while a catch-up window, the live one and a recording are read.
async fn changed(first: Road) {
    let mut rig = Rig::on(first);
    rig.auth.append(events("e", NOW - 7000, 10, 680));
    let indexed = |n: i64| event(&format!("s{n}"), NOW - 5000, n);
    rig.auth.store(|store| store.append_recording("s", (0..900).map(indexed)));
    rig.auth.set(|switches| switches.page_cap = 20);
    let mut reader = rig.reader(rig.config(), NOW - 7100);
    reader.open("s", None);
    for round in 1..4 {
        let pages = reader.pages.len();
        reader.read_until(|reader| reader.pages.len() > pages + 5).await;
        let road = if round % 2 == 1 { other(first) } else { first };
        rig.offer(road);
        reader.source().take_road(road).expect("a road of searches");
        rig.auth.append([event(&format!("e{}", 679 + round), NOW - 10 + round, 0)]);
    }
    let closed = |reader: &Reader| {
        let recording = reader.ended.contains(&lane("s"));
        recording && reader.lanes.len() == 1 && reader.ids().contains("e682")
    };
    reader.read_until(closed).await;
    let all = &names("e", 683) | &names("s", 900);
    assert_eq!(all.difference(&reader.ids()).collect::<Vec<_>>(), [""; 0], "all that is missing");
    let in_order: Vec<String> = (0..900).map(|n| format!("s{n}")).collect();
    assert_eq!(reader.ids_of(&lane("s")), in_order, "each once and in order");
    // What was under way went to a call that is gone, at most once for each lane and change.
    assert!(refused(&rig) <= 9, "{}", refused(&rig));
    assert!(reader.lanes.values().all(|token| token.road == other(first)));
    assert!(reader.pages.iter().any(|page| page.events.iter().all(|e| e.form == form(first))));
    assert!(reader.pages.iter().all(|page| page.events.windows(2).all(|e| e[0].form == e[1].form)));
    // Not the whole log was read again for each change.
    let windows = reader.events.iter().filter(|(of, _)| *of != lane("s")).count();
    assert!(windows < 683 + 3 * 2 * 60, "{windows} events of windows");
}

#[tokio::test]
async fn a_road_that_changes_in_the_middle_loses_nothing() {
    changed(Road::Typed).await;
    changed(Road::Unstructured).await;
}

#[tokio::test]
async fn a_stretch_is_read_on_the_road_of_the_moment() {
    let mut rig = Rig::on(Road::Typed);
    rig.auth.append(events("e", NOW - 5000, 10, 100));
    rig.auth.set(|switches| switches.page_cap = 10);
    let mut source = rig.source(rig.config());
    source.survey().await.expect("somebody is there");
    let query = ev_core::SpanQuery { from: NOW - 5000, to: NOW - 3000, types: Vec::new() };
    let mut span = source.span(query);
    let mut ids = BTreeSet::new();
    let mut forms = BTreeSet::new();
    for n in 0.. {
        if n == 3 {
            rig.offer(Road::Unstructured);
            source.take_road(Road::Unstructured).expect("a road of searches");
        }
        let Some(page) = span.next().await.expect("nothing for an operator") else { break };
        ids.extend(page.events.iter().map(crate::rig::id));
        forms.extend(page.events.iter().map(|event| event.form));
    }
    assert_eq!((ids, forms.len()), (names("e", 100), 2));
    assert_eq!(refused(&rig), 0);
}

#[tokio::test]
async fn nothing_is_searched_for_on_the_export_road() {
    let rig = Rig::new();
    let mut source = rig.source(rig.config());
    let error = source.take_road(Road::Export).expect_err("no road of searches");
    assert_eq!(error.to_string(), "this source does not read the road `export`");
}
