use ev_core::Source;
use ev_source::Reconnects;
use ev_test_support::CallFault;

use crate::env::NOW;
use crate::rig::{CLUSTER, POLL, Rig, events, names};

fn versions(reader: &crate::rig::Reader) -> Vec<&str> {
    reader.versions.iter().map(ev_core::AuthVersion::as_str).collect()
}

#[tokio::test]
async fn auth_says_who_it_is() {
    let rig = Rig::new();
    let mut source = rig.source(rig.config());
    let survey = source.survey().await.expect("an answer");
    assert_eq!((survey.cluster.as_str(), survey.version.as_str()), (CLUSTER, "13.3.8"));
    assert_eq!(rig.auth.tally().connections, 1);
    source.survey().await.expect("an answer");
    assert_eq!(rig.calls("Ping"), 1, "known already");
}

#[tokio::test]
async fn auth_that_is_not_there_yet_is_waited_for() {
    let rig = Rig::new();
    rig.auth.stop().await;
    let mut source = rig.source(rig.config());
    let survey = {
        let survey = source.survey();
        tokio::pin!(survey);
        // Some attempts come to nothing.
        for _ in 0..100 {
            tokio::select! {
                biased;
                _ = &mut survey => panic!("nobody is there"),
                () = tokio::task::yield_now() => {}
            }
        }
        rig.auth.start_again().await.expect("the same port");
        survey.await.expect("an answer")
    };
    assert_eq!(survey.version.as_str(), "13.3.8");
}

#[tokio::test]
async fn another_version_after_a_reconnect_is_told_before_its_pages() {
    let rig = Rig::new();
    rig.auth.append(events("old", NOW - 60, 1, 40));
    rig.auth.set(|switches| switches.page_cap = 10);
    let mut reader = rig.reader(rig.config(), NOW - 90);
    reader.read_to_the_tip().await;
    assert_eq!(versions(&reader), ["13.3.8"]);
    let old = reader.pages.len();

    rig.auth.upgrade("15.0.0-dev").await;
    rig.auth.append(events("new", NOW - 10, 0, 25));
    rig.env.advance(POLL);
    reader.read_until(|reader| reader.ids().len() == 65).await;
    assert_eq!(versions(&reader), ["13.3.8", "15.0.0-dev"]);
    let (before, after) = reader.pages.split_at(old);
    assert!(before.iter().all(|page| page.version.as_str() == "13.3.8"));
    assert!(after.iter().all(|page| page.version.as_str() == "15.0.0-dev"));
    assert!(after[0].repeats);
}

#[tokio::test]
async fn every_connection_is_told_also_with_the_same_version() {
    let rig = Rig::new();
    let mut reader = rig.reader(rig.config(), NOW);
    reader.read_to_the_tip().await;
    rig.auth.drop_connections().await;
    reader.read_until(|reader| reader.versions.len() == 2).await;
    assert_eq!(versions(&reader), ["13.3.8", "13.3.8"]);
    assert_eq!(rig.auth.tally().connections, 2);
}

#[tokio::test]
async fn another_version_on_a_living_connection_is_noticed_by_ping() {
    let rig = Rig::new();
    let config = rig.config();
    let ping = config.ping_interval;
    let mut reader = rig.reader(config, NOW);
    reader.read_to_the_tip().await;
    rig.auth.set(|switches| switches.version = "18.0.0-dev".to_owned());
    rig.env.advance(ping);
    reader.read_until(|reader| reader.versions.len() == 2).await;
    assert_eq!(versions(&reader), ["13.3.8", "18.0.0-dev"]);
    rig.auth.append(events("e", NOW + 60, 0, 2));
    reader.read_to_the_tip().await;
    rig.env.advance(POLL);
    reader.read_until(|reader| reader.ids().len() == 2).await;
    assert_eq!(reader.pages[0].version.as_str(), "18.0.0-dev");
    assert_eq!(rig.auth.tally().connections, 1);
}

#[tokio::test]
async fn a_failing_ping_is_no_outage() {
    let rig = Rig::new();
    let config = rig.config();
    let ping = config.ping_interval;
    let mut reader = rig.reader(config, NOW);
    reader.read_to_the_tip().await;
    let fault = CallFault { code: 13, method: "Ping".into(), ..CallFault::default() };
    rig.auth.set(|switches| switches.fail.push(fault));
    rig.auth.append(events("e", NOW + 1, 0, 2));
    rig.env.advance(ping);
    reader.read_until(|reader| reader.ids().len() == 2).await;
    tokio::select! {
        // The tip has nothing more to tell.
        () = reader.read_until(|_| false) => {}
        _ = rig.auth.wait(|tally| tally.methods["Ping"].errors == 1) => {}
    }
    assert_eq!(reader.versions.len(), 1);
    assert_eq!(rig.auth.tally().connections, 1);
}

#[tokio::test]
async fn a_connection_that_dies_under_a_page_loses_nothing() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 50, 1, 30));
    rig.auth.set(|switches| switches.page_cap = 10);
    let mut reader = rig.reader(rig.config(), NOW - 60);
    reader.read_until(|reader| reader.pages.len() == 1).await;
    let calls = rig.calls("GetEvents");
    // The next answer would take for ever.
    rig.auth.set(|switches| switches.latency_ms = 3_600_000);
    tokio::select! {
        () = reader.next(1) => panic!("nothing comes any more"),
        _ = rig.auth.wait(|tally| tally.methods["GetEvents"].calls > calls) => {}
    }
    rig.auth.set(|switches| switches.latency_ms = 0);
    assert_eq!(rig.auth.drop_connections().await, 1);
    reader.read_to_the_tip().await;
    assert_eq!(reader.ids(), names("e", 30));
    assert_eq!(reader.events.len(), 30, "and brings nothing twice");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_asked_for_again() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 20, 1, 5));
    let config = rig.config();
    let patience = config.request_timeout;
    let mut reader = rig.reader(config, NOW - 30);
    reader.read_until(|reader| reader.versions.len() == 1).await;
    rig.auth.set(|switches| switches.latency_ms = 3_600_000);
    reader.read_while_not_sleeping(1, patience).await;
    tokio::select! {
        () = reader.next(1) => panic!("nothing comes any more"),
        _ = rig.auth.wait(|tally| tally.methods.contains_key("GetEvents")) => {}
    }
    rig.auth.set(|switches| switches.latency_ms = 0);
    rig.env.advance(patience);
    reader.read_to_the_tip().await;
    assert_eq!(reader.ids(), names("e", 5));
}

#[tokio::test]
async fn every_call_tells_the_version_of_the_api_and_the_program() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 10, 1, 3));
    let mut reader = rig.reader(rig.config(), NOW - 30);
    reader.read_to_the_tip().await;
    let heads = rig.auth.heads();
    // The first call cannot know what Auth has; all later ones speak its own version.
    assert_eq!(heads[0].path, "/proto.AuthService/Ping");
    assert_eq!(heads[0].metadata["version"], "18.0.0");
    let later: Vec<_> = heads[1..].iter().map(|head| head.metadata["version"].as_str()).collect();
    assert!(!later.is_empty() && later.iter().all(|version| *version == "13.3.8"), "{later:?}");
    let agent = concat!("ev-handler/", env!("CARGO_PKG_VERSION"));
    assert!(heads.iter().all(|head| head.metadata["user-agent"] == agent));
}

/// Each source has the connection that it made; what belongs to none takes any that lives.
#[tokio::test]
async fn two_sources_of_one_program_have_a_connection_each() {
    let rig = Rig::new();
    let first = rig.source(rig.config());
    let presence = first.presence();
    let (mut one, mut other) = (first.again(), first.again());
    let version = || presence.version().map(|version| version.to_string());
    assert_eq!(version(), None);
    one.survey().await.expect("auth is there");
    other.survey().await.expect("auth is there");
    assert_eq!(rig.auth.tally().connections, 2);
    assert_eq!(version().as_deref(), Some("13.3.8"));
    // One ends, as at a change of the road: the other one goes on.
    drop(other);
    assert_eq!(version().as_deref(), Some("13.3.8"));
    assert_eq!((presence.lost_at(), presence.reconnects()), (None, Reconnects::default()));
    drop(one);
    assert_eq!(version(), None);
}
