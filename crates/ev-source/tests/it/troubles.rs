use std::time::Duration;

use ev_core::Road;
use ev_test_support::CallFault;

use crate::env::NOW;
use crate::rig::{Rig, events, names, padded};

fn fault(code: i32, count: u64, message: &str) -> CallFault {
    CallFault { code, count: Some(count), method: "GetEvents".into(), message: message.into() }
}

#[tokio::test]
async fn whatever_auth_answers_the_log_arrives() {
    for (code, message) in [
        (14, "shutting down"),
        (8, "rate limit exceeded for searching events"),
        (13, "internal"),
        (4, "too slow"),
        (12, "method GetEvents not implemented"),
        (3, "invalid start key"),
    ] {
        let rig = Rig::new();
        rig.auth.append(events("e", NOW - 5 * 3600, 60, 240));
        rig.auth.set(|switches| {
            switches.page_cap = 20;
            switches.fail.push(fault(code, 3, message));
        });
        let mut config = rig.config();
        config.window_size = Duration::from_secs(3600);
        let mut reader = rig.reader(config, NOW - 5 * 3600);
        reader.read_until(|reader| reader.ended.len() == 4 && reader.caught_up > 0).await;
        assert_eq!(reader.ids(), names("e", 240), "code {code}");
        assert_eq!(rig.auth.tally().methods["GetEvents"].errors, 3, "code {code}");
    }
}

#[tokio::test]
async fn a_refused_key_makes_a_new_search_from_the_last_event() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 50, 1, 30));
    rig.auth.set(|switches| switches.page_cap = 10);
    let mut reader = rig.reader(rig.config(), NOW - 60);
    reader.read_until(|reader| reader.pages.len() == 2).await;
    rig.auth.set(|switches| switches.fail.push(fault(3, 1, "invalid start key")));
    reader.read_to_the_tip().await;
    assert_eq!(reader.ids(), names("e", 30));
    assert_eq!(reader.events.len(), 33, "two seconds came again");
    assert!(reader.pages[2].repeats);
}

#[tokio::test]
async fn who_may_not_read_asks_slowly() {
    for (code, message) in [(7, "access denied"), (16, "the session has expired")] {
        let rig = Rig::new();
        rig.auth.append(events("e", NOW - 20, 1, 5));
        rig.auth.set(|switches| switches.fail.push(fault(code, 1, message)));
        let mut reader = rig.reader(rig.config(), NOW - 30);
        let pause = Duration::from_secs(15);
        reader.read_while_not_sleeping(3, pause).await;
        assert_eq!(rig.calls("GetEvents"), 1);
        rig.env.advance(pause);
        reader.read_to_the_tip().await;
        assert_eq!(reader.ids(), names("e", 5));
    }
}

#[tokio::test]
async fn rule_03_too_many_requests_slow_down_and_never_race() {
    let rig = Rig::new();
    rig.env.wait_as_long_as_allowed();
    let start = NOW - 11 * 3600;
    rig.auth.append(events("e", start, 60, 600));
    rig.auth.set(|switches| switches.fail.push(fault(8, u64::MAX, "rate limit exceeded")));
    let mut config = rig.config();
    config.window_size = Duration::from_secs(3600);
    let mut reader = rig.reader(config, start);
    // Ten windows and the live one, each of which makes longer and longer pauses.
    let mut calls = Vec::new();
    for _ in 0..90 {
        reader.read_while_not(|env| env.asleep(Duration::from_secs(30)) == 11).await;
        calls.push(rig.calls("GetEvents"));
        rig.env.advance(Duration::from_secs(1));
    }
    assert!(calls[0] <= 11 && calls[89] <= 11 * 9, "{calls:?}");
    rig.auth.set(|switches| switches.fail.clear());
    rig.env.advance(Duration::from_secs(30));
    reader.read_until(|reader| reader.ids() == names("e", 600)).await;
}

/// Auth's own limit: a burst of twenty searches, then five a minute.
#[tokio::test]
async fn ninety_empty_days_are_read_within_the_rate_limit() {
    const DAYS: usize = 90;
    let rig = Rig::new();
    rig.env.wait_as_long_as_allowed();
    let start = NOW - 24 * 3600 * i64::try_from(DAYS).unwrap();
    rig.auth.append(events("e", NOW - 30, 1, 3));
    rig.auth.set(|switches| switches.searches = Some(20));
    let mut config = rig.config();
    config.window_size = Duration::from_secs(24 * 3600);
    config.rescan.clear();
    let mut reader = rig.reader(config, start);
    let mut waited = 0;
    while reader.ids() != names("e", 3) || reader.ended.len() < DAYS - 1 {
        // Whoever was refused sleeps, for half a minute at most.
        if reader.read_or_sleep().await {
            rig.auth.set(|switches| switches.searches = switches.searches.map(|left| left + 3));
            rig.env.advance(Duration::from_secs(36));
            waited += 36;
            assert!(waited < 2 * 3600, "{} windows are read", reader.ended.len());
        }
    }
    let tally = rig.auth.tally().methods["GetEvents"].clone();
    assert!(tally.errors > 0 && tally.calls < 10 * DAYS as u64, "{tally:?}");
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_in_parts() {
    let rig = Rig::new();
    // Together far more than a message may have, each one less.
    let big = |n: i64| padded(&format!("e{n}"), NOW - 30 + n, 0, 300_000);
    rig.auth.append((0..8).map(big));
    rig.auth.set(|switches| switches.page_bytes = 64 << 20);
    let mut config = rig.config();
    config.max_message_bytes = 1 << 20;
    config.batch = 8;
    let mut reader = rig.reader(config, NOW - 60);
    reader.read_to_the_tip().await;
    assert_eq!(reader.ids(), names("e", 8));
}

#[tokio::test]
async fn rule_13_an_event_of_two_mebibytes_passes() {
    let rig = Rig::new();
    let size = |n: i64| if n == 3 { 2 << 20 } else { 20 };
    rig.auth.append((0..6).map(|n| padded(&format!("e{n}"), NOW - 30 + n, 0, size(n))));
    rig.auth.set(|switches| switches.refuse_large = false);
    let mut reader = rig.reader(rig.config(), NOW - 60);
    reader.read_to_the_tip().await;
    assert_eq!((reader.ids(), reader.gaps.len()), (names("e", 6), 0));
}

/// Ten events in the seconds from `start`, two of which are too large: `e3`, with others in the
/// same second before and behind it, and the last one but one.
fn two_too_large(start: i64, pad: usize) -> Vec<ev_test_support::Event> {
    [(0, 0), (1, 2), (2, 3), (3, 3), (4, 3), (5, 5), (6, 30), (7, 31), (8, 600), (9, 600)]
        .map(|(n, second)| {
            let size = if [3, 8].contains(&n) { pad } else { 20 };
            padded(&format!("e{n}"), start + second, 0, size)
        })
        .into()
}

#[tokio::test]
async fn rule_13_what_is_too_large_becomes_a_gap_and_all_else_arrives() {
    // Auth refuses, or we do; in a live window, or in one of the past.
    for (refused, ago) in [(true, 1000), (false, 1000), (true, 30_000), (false, 30_000)] {
        let rig = Rig::new();
        let start = NOW - ago;
        rig.auth.append(two_too_large(start, 1_200_000));
        rig.auth.set(|switches| switches.refuse_large = refused);
        let mut config = rig.config();
        config.max_message_bytes = 1 << 20;
        config.window_size = Duration::from_secs(7200);
        config.batch = 4;
        let mut reader = rig.reader(config.clone(), start);
        reader.read_until(|reader| reader.gaps.len() >= 2 && reader.caught_up > 0).await;
        reader.read_to_the_tip().await;
        let case = format!("refused by auth: {refused}, {ago} s ago");
        let gaps: Vec<_> = reader.gaps.iter().map(|gap| (gap.gap.from, gap.gap.to)).collect();
        assert_eq!(gaps, [(start + 3, start + 4), (start + 600, start + 601)], "{case}");
        let said = &reader.gaps[0].gap.reason;
        assert!(said.contains(if refused { "page of results" } else { "too large" }), "{said}");
        let mut others = names("e", 10);
        others.remove("e3");
        others.remove("e8");
        assert_eq!(reader.ids(), others, "{case}");
        let calls = rig.calls("GetEvents");
        assert!(calls < 150, "{calls} searches, {case}");

        // A new run does not stop at what was passed, wherever it goes on.
        if ago == 1000 {
            let lanes: Vec<_> = reader.lanes.clone().into_iter().collect();
            drop(reader);
            rig.auth.append(events("later", NOW - 5, 1, 3));
            let mut reader = rig.resumed(config, lanes, start);
            reader.read_until(|reader| reader.ids().is_superset(&names("later", 3))).await;
            assert_eq!(reader.gaps.len(), 0, "{case}");
        }
    }
}

#[tokio::test]
async fn rule_13_nothing_but_events_that_are_too_large_is_no_race() {
    let rig = Rig::new();
    rig.auth.append((0..200).map(|n| padded(&format!("e{n}"), NOW - 300 + n, 0, 30_000)));
    rig.auth.set(|switches| switches.page_bytes = 20_000);
    let mut reader = rig.reader(rig.config(), NOW - 400);
    reader.read_to_the_tip().await;
    assert_eq!(reader.gaps.len(), 200, "one for each second");
    let seconds: std::collections::BTreeSet<_> =
        reader.gaps.iter().map(|gap| gap.gap.from).collect();
    assert_eq!(seconds.len(), 200, "each once");
    let calls = rig.calls("GetEvents");
    assert!(calls < 200 * 24, "{calls}");
}

#[tokio::test]
async fn rule_09_whatever_pages_and_keys_do_the_log_arrives() {
    type Fault = fn(&mut ev_test_support::AuthSwitches);
    let faults: [(&str, Fault); 5] = [
        ("pages repeated", |switches| switches.repeat_pages = 3),
        ("a page repeated for long", |switches| switches.repeat_pages = 40),
        ("keys that stand still", |switches| switches.stick_keys = 3),
        ("empty pages with keys", |switches| switches.empty_pages = 5),
        ("many empty pages", |switches| switches.empty_pages = 70),
    ];
    for (name, fault) in faults {
        let rig = Rig::new();
        // Two windows of the past and the live one, which ends in many events of one second.
        rig.auth.append(events("e", NOW - 3 * 3600, 60, 175));
        rig.auth.append((0..30).map(|n| padded(&format!("s{n}"), NOW - 200, 0, 20)));
        rig.auth.set(|switches| switches.page_cap = 7);
        rig.auth.set(fault);
        let mut config = rig.config();
        config.window_size = Duration::from_secs(3600);
        let mut reader = rig.reader(config, NOW - 3 * 3600);
        let wanted: std::collections::BTreeSet<_> =
            names("e", 175).into_iter().chain(names("s", 30)).collect();
        let clock = rig.env.clone();
        // Pauses are over at once.
        let time = async {
            loop {
                clock.sleeping(crate::rig::POLL).await;
                clock.advance(crate::rig::POLL);
            }
        };
        let read = reader.read_until(|reader| reader.ids() == wanted && reader.ended.len() >= 2);
        tokio::select! {
            biased;
            () = read => {}
            () = time => {}
        }
        assert_eq!(reader.ids(), wanted, "{name}");
        let calls = rig.calls("GetEvents");
        assert!(calls < 6000, "{name}: {calls} searches");
    }
}

/// Ten seconds with an event each, and the same an hour later.
fn two_stretches(start: i64) -> Vec<ev_test_support::Event> {
    [events("e", start, 1, 10), events("f", start + 3600, 1, 10)].concat()
}

#[tokio::test]
async fn rule_13_what_auth_cannot_read_becomes_a_gap_and_all_else_arrives() {
    // Two seconds, one behind the other, and one alone; by searches of both kinds, in a live window
    // and in one of the past.
    for (road, ago) in [
        (Road::Typed, 5_000),
        (Road::Typed, 60_000),
        (Road::Unstructured, 5_000),
        (Road::Unstructured, 60_000),
    ] {
        let rig = Rig::on(road);
        let start = NOW - ago;
        rig.auth.append(two_stretches(start));
        let bad = vec![start + 3, start + 4, start + 3607];
        rig.auth.set(|switches| switches.bad_seconds.clone_from(&bad));
        let mut config = rig.config();
        config.window_size = Duration::from_secs(7200);
        config.batch = 4;
        let mut reader = rig.reader(config, start);
        let case = format!("{}, {ago} s ago", road.as_str());
        reader.read_until(|reader| reader.gaps.len() >= 3 && reader.ids().len() >= 17).await;
        reader.read_to_the_tip().await;
        let mut gaps: Vec<_> = reader.gaps.iter().map(|gap| (gap.gap.from, gap.gap.to)).collect();
        gaps.sort_unstable();
        assert_eq!(gaps, bad.iter().map(|at| (*at, at + 1)).collect::<Vec<_>>(), "{case}");
        assert!(reader.gaps[0].gap.reason.starts_with("failed to read"), "{case}");
        let lost: std::collections::BTreeSet<_> = ["e3", "e4", "f7"].map(String::from).into();
        let all: std::collections::BTreeSet<_> =
            names("e", 10).into_iter().chain(names("f", 10)).collect();
        assert_eq!(reader.ids(), &all - &lost, "{case}");
        let calls = if road == Road::Typed { "GetEvents" } else { "GetUnstructuredEvents" };
        let calls = rig.calls(calls);
        assert!(calls < 400, "{calls} searches, {case}");
    }
}

/// What Auth fails at for a while is read as if nothing had been, however long that is.
#[tokio::test]
async fn a_storage_that_is_away_makes_no_gap() {
    // Whatever the question is with which it comes back.
    for (code, count) in [(13, 1_000), (2, 1_001), (3, 1_002), (13, 1_003)] {
        let rig = Rig::new();
        let start = NOW - 5_000;
        rig.auth.append(two_stretches(start));
        let mut config = rig.config();
        config.batch = 4;
        rig.auth.set(|switches| switches.fail.push(fault(code, count, "storage is away")));
        let mut reader = rig.reader(config, start);
        reader.read_until(|reader| reader.ids().len() == 20).await;
        reader.read_to_the_tip().await;
        assert_eq!(reader.gaps.len(), 0, "{code}");
        assert_eq!(rig.auth.tally().methods["GetEvents"].errors, count, "{code}");
    }
}

/// A second at which Auth fails is no gap while Auth fails at every other one as well.
#[tokio::test]
async fn a_second_is_given_up_only_while_auth_answers_for_others() {
    let rig = Rig::new();
    let start = NOW - 5_000;
    rig.auth.append(two_stretches(start));
    rig.auth.set(|switches| switches.bad_seconds = vec![start + 3]);
    let mut config = rig.config();
    config.batch = 4;
    let mut reader = rig.reader(config, start);
    // Reading comes to that second, and then the storage is away.
    reader.read_until(|reader| reader.ids().contains("e2")).await;
    rig.auth.set(|switches| switches.fail.push(fault(13, 500, "storage is away")));
    while rig.auth.tally().methods["GetEvents"].errors < 500 {
        tokio::select! {
            biased;
            () = reader.next(3) => {}
            _ = rig.auth.wait(|tally| tally.methods["GetEvents"].errors >= 500) => {}
        }
        assert_eq!(reader.gaps.len(), 0);
    }
    reader.read_until(|reader| reader.ids().len() == 19).await;
    reader.read_to_the_tip().await;
    assert_eq!(reader.gaps.len(), 1);
}
