use std::time::Duration;

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
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 20, 1, 5));
    rig.auth.set(|switches| switches.fail.push(fault(7, 1, "access denied")));
    let mut reader = rig.reader(rig.config(), NOW - 30);
    let pause = Duration::from_secs(15);
    reader.read_while_not_sleeping(3, pause).await;
    assert_eq!(rig.calls("GetEvents"), 1);
    rig.env.advance(pause);
    reader.read_to_the_tip().await;
    assert_eq!(reader.ids(), names("e", 5));
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
async fn an_event_larger_than_a_page_stands_still_and_is_not_passed_over() {
    let rig = Rig::new();
    let size = |n: i64| if n == 3 { 30_000 } else { 20 };
    let event = |n: i64| padded(&format!("e{n}"), NOW - 30 + n, 0, size(n));
    rig.auth.append((0..6).map(event));
    rig.auth.set(|switches| {
        switches.page_bytes = 20_000;
        switches.refuse_large = true;
    });
    let mut config = rig.config();
    config.batch = 4;
    let mut reader = rig.reader(config, NOW - 60);
    // Asked for in ever smaller pages, then slowly.
    let slow = Duration::from_secs(15);
    reader.read_while_not_sleeping(3, slow).await;
    assert_eq!(reader.ids(), names("e", 3));
    let calls = rig.calls("GetEvents");
    assert_eq!(reader.events.len(), 3, "the window is not read again");
    // Auth takes larger ones.
    rig.auth.set(|switches| switches.page_bytes = 40_000);
    rig.env.advance(slow);
    reader.read_to_the_tip().await;
    assert_eq!((reader.ids(), reader.events.len()), (names("e", 6), 6));
    assert!(calls <= 5, "{calls}");
}
