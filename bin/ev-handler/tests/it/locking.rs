//! Locking users out after failed logins.

use std::collections::BTreeMap;
use std::time::Duration;

use ev_config::{Lock as LockSettings, Settings};
use ev_test_support::data::Maker;
use ev_test_support::{Api, CallFault, Lock, UtcTime};

use crate::logins::{failures, login};
use crate::stage::{Stage, make, now, templates};

fn ago(seconds: i64) -> UtcTime {
    now().plus_nanos(-i128::from(seconds) * 1_000_000_000)
}

fn settings(stage: &Stage) -> Settings {
    let lock = LockSettings { failed_attempts: 3, period: Duration::from_secs(60), lock_for: None };
    Settings { lock: Some(lock), ..stage.settings() }
}

fn names(locks: &BTreeMap<String, Lock>) -> Vec<&str> {
    locks.keys().map(String::as_str).collect()
}

fn refuse_locks(stage: &Stage, code: i32, count: u64) {
    stage.auth.set(|switches| {
        let (count, method) = (Some(count), "UpsertLock".to_owned());
        switches.fail.push(CallFault { code, count, method, message: "not now".to_owned() });
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fourth_failed_login_within_the_period_locks_that_user() {
    let stage = Stage::new("13.3.8");
    // Three users with a failure each, one with three, and one who succeeds at last.
    let at = ago(30);
    let mut events = failures(0, 3, "mallory", at);
    events.extend(
        ["alice", "bob", "carol"].iter().zip(10..).map(|(user, n)| login(n, user, "", false, at)),
    );
    events.extend(failures(20, 3, "dave", at));
    events.push(login(29, "dave", "", true, at));
    // One of the host's logins is locked by itself.
    events.extend((30..34).map(|n| login(n, "erin", "root", false, at)));
    events.extend((40..43).map(|n| login(n, "erin", "admin", false, at)));
    let count = events.len();
    stage.auth.append(events);
    let settings = settings(&stage);
    stage
        .run_settings_until(settings, async |stage| {
            stage.received(count).await;
            stage.auth.wait(|tally| tally.locks_set == 1).await;
            assert_eq!(names(&stage.auth.locks()), ["event-handler-auto-lock-erin-root"]);
            stage.auth.append(failures(3, 1, "mallory", at));
            stage.auth.wait(|tally| tally.locks_set == 2).await;
            stage.received(count + 1).await;
        })
        .await;
    let locks = stage.auth.locks();
    let lock = |user: &str, login: &str| Lock {
        name: format!("event-handler-auto-lock-{user}-{login}"),
        resource: "lock/v2".to_owned(),
        namespace: "default".to_owned(),
        user: user.to_owned(),
        login: login.to_owned(),
        message: "User is locked due to too many failed login attempts".to_owned(),
        expires: None,
    };
    let expected = [lock("erin", "root"), lock("mallory", "")];
    assert_eq!(locks.into_values().collect::<Vec<_>>(), expected);
    assert_eq!(stage.fluentd.tally().repeated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_ends_after_the_time_that_is_set() {
    let stage = Stage::new("13.3.8");
    stage.auth.append(failures(0, 4, "mallory", ago(30)));
    let mut settings = settings(&stage);
    settings.lock.as_mut().unwrap().lock_for = Some(Duration::from_secs(3600));
    let before = now().seconds;
    stage
        .run_settings_until(settings, async |stage| {
            stage.auth.wait(|tally| tally.locks_set == 1).await;
        })
        .await;
    let locks = stage.auth.locks();
    let expires = locks["event-handler-auto-lock-mallory-"].expires.clone().unwrap();
    let seconds = UtcTime::parse(&expires).unwrap().seconds;
    assert!((before + 3600..=now().seconds + 3600).contains(&seconds), "{expires}");
}

/// The reference handler sends such an event again each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_fails_is_tried_again_and_no_event_waits_or_comes_twice() {
    let stage = Stage::new("13.3.8");
    refuse_locks(&stage, 14, 3);
    let mut events = failures(0, 4, "mallory", ago(300));
    let others = make(&mut Maker::new(71), &templates("v13"), 100, 0, 1);
    events.extend(others.iter().map(|event| event.event()));
    stage.auth.append(events);
    let settings = settings(&stage);
    stage
        .run_settings_until(settings, async |stage| {
            stage.received(104).await;
            let tally = stage.auth.wait(|tally| tally.locks_set == 1).await;
            assert_eq!(tally.methods["UpsertLock"].errors, 3);
        })
        .await;
    let tally = stage.fluentd.tally();
    assert_eq!((tally.events, tally.repeated), (104, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_lock_events_flow_all_the_same() {
    let stage = Stage::new("13.3.8");
    refuse_locks(&stage, 7, 1_000_000);
    stage.auth.append(failures(0, 6, "mallory", ago(30)));
    let settings = settings(&stage);
    let summary = stage
        .run_settings_until(settings, async |stage| {
            let denied = |tally: &ev_test_support::AuthTally| {
                tally.methods.get("UpsertLock").is_some_and(|method| method.errors > 0)
            };
            stage.auth.wait(denied).await;
            stage.received(6).await;
        })
        .await;
    assert_eq!((summary.totals.delivered, stage.auth.tally().locks_set), (6, 0));
}

/// Its events are delivered and committed, so nobody will tell of them again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_could_not_be_set_is_set_by_the_next_run() {
    let stage = Stage::new("13.3.8");
    refuse_locks(&stage, 7, 1_000_000);
    stage.auth.append(failures(0, 4, "mallory", ago(30)));
    stage.run_settings_until(settings(&stage), async |stage| stage.received(4).await).await;
    assert_eq!(stage.auth.tally().locks_set, 0);
    stage.auth.set(|switches| switches.fail.clear());
    for _ in 0..2 {
        stage
            .run_settings_until(settings(&stage), async |stage| {
                stage.auth.wait(|tally| tally.locks_set >= 1).await;
                searched_again(stage).await;
            })
            .await;
    }
    assert_eq!(names(&stage.auth.locks()), ["event-handler-auto-lock-mallory-"]);
    assert_eq!(stage.auth.tally().locks_set, 1, "once: the third run has nothing to set");
    assert_eq!((stage.fluentd.tally().events, stage.fluentd.tally().repeated), (4, 0));
}

/// What is set at the very end, when the engine commits nothing any more, is not set again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_set_while_it_stops_is_not_set_again() {
    let stage = Stage::new("13.3.8");
    refuse_locks(&stage, 7, 1_000_000);
    stage.auth.append(failures(0, 4, "mallory", ago(30)));
    stage
        .run_settings_until(settings(&stage), async |stage| {
            stage.received(4).await;
            stage.auth.wait(|tally| asked(tally) >= 1).await;
            searched_again(stage).await;
            stage.auth.set(|switches| switches.fail.clear());
        })
        .await;
    assert_eq!(stage.auth.tally().locks_set, 1);
    stage.run_settings_until(settings(&stage), async |stage| searched_again(stage).await).await;
    assert_eq!(stage.auth.tally().locks_set, 1);
}

/// How often a lock was to be set.
fn asked(tally: &ev_test_support::AuthTally) -> u64 {
    tally.methods.get("UpsertLock").map_or(0, |method| method.calls)
}

/// Waits until the tip of the log was read a few times more.
async fn searched_again(stage: &Stage) {
    let searches = |tally: &ev_test_support::AuthTally| {
        tally.methods.get("GetEvents").map_or(0, |method| method.calls)
    };
    let before = searches(&stage.auth.tally());
    stage.auth.wait(|tally| searches(tally) > before + 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_count_again() {
    let stage = Stage::new("13.3.8");
    let at = ago(30);
    stage.auth.append(failures(0, 3, "mallory", at));
    for _ in 0..3 {
        let searches = |tally: &ev_test_support::AuthTally| {
            tally.methods.get("GetEvents").map_or(0, |method| method.calls)
        };
        let before = searches(&stage.auth.tally());
        stage
            .run_settings_until(settings(&stage), async |stage| {
                stage.received(3).await;
                // The tip was read, and everything in it was known.
                stage.auth.wait(|tally| searches(tally) > before + 3).await;
            })
            .await;
    }
    // Of the four in a minute, this run has seen one.
    stage.auth.append(failures(3, 1, "mallory", at));
    stage.run_settings_until(settings(&stage), async |stage| stage.received(4).await).await;
    assert_eq!(stage.auth.locks(), BTreeMap::new());
    assert!(!stage.auth.tally().methods.contains_key("UpsertLock"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_and_a_table_find_failed_logins_too() {
    for is_module in [true, false] {
        let stage = Stage::new("18.0.0-dev");
        let artifact = if is_module { stage.module("v18dev") } else { stage.table("v18dev") };
        stage.auth.offer(artifact);
        stage.auth.append(failures(0, 4, "mallory", ago(30)));
        let settings = settings(&stage);
        let summary = stage
            .run_settings_until(settings, async |stage| {
                stage.received(4).await;
                stage.auth.wait(|tally| tally.locks_set == 1).await;
            })
            .await;
        let by = if is_module { summary.totals.by_module } else { summary.totals.by_table };
        assert_eq!(by, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_are_found_in_the_json_of_auth_too() {
    let stage = Stage::new("18.0.0-dev");
    stage.auth.set(|switches| switches.offer_only(&[Api::Unstructured]));
    let mut events = failures(0, 4, "mallory", ago(30));
    events.extend((10..14).map(|n| login(n, "erin", "root", false, ago(30))));
    events.extend((20..30).map(|n| login(n, "dave", "", true, ago(30))));
    stage.auth.append(events);
    let mut settings = settings(&stage);
    settings.ingest.source = ev_config::Road::Unstructured;
    stage
        .run_settings_until(settings, async |stage| {
            stage.received(18).await;
            stage.auth.wait(|tally| tally.locks_set == 2).await;
        })
        .await;
    let expected = ["event-handler-auto-lock-erin-root", "event-handler-auto-lock-mallory-"];
    assert_eq!(names(&stage.auth.locks()), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_locked_unless_it_is_asked_for_nor_in_a_dry_run() {
    let stage = Stage::new("13.3.8");
    stage.auth.append(failures(0, 20, "mallory", ago(30)));
    let mut dry = settings(&stage);
    dry.dry_run = true;
    dry.ingest.exit_on_last_event = true;
    let stop = tokio_util::sync::CancellationToken::new();
    let run = ev_handler::start::start(dry, stop);
    let summary =
        tokio::time::timeout(crate::stage::PATIENCE, run).await.expect("it ends").unwrap();
    assert_eq!(summary.sent, 20);
    stage.run_until(async |stage| stage.received(20).await).await;
    assert!(!stage.auth.tally().methods.contains_key("UpsertLock"));
}
