//! By which calls the log is read, and what happens when that changes.

use std::collections::BTreeSet;

use ev_test_support::data::{Made, Maker};
use ev_test_support::{Api, AuthTally};

use crate::stage::{Stage, make, with_json};

pub(crate) const ALL: [Api; 3] = [Api::Typed, Api::Unstructured, Api::Export];

/// A stage whose handler chooses by itself.
pub(crate) fn choosing(version: &str, offered: &[Api]) -> Stage {
    let mut stage = Stage::new(version);
    stage.source = "auto";
    stage.auth.set(|switches| switches.offer_only(offered));
    stage
}

pub(crate) fn add(stage: &Stage, made: &[Made]) {
    stage.auth.append(made.iter().map(Made::event));
}

pub(crate) fn events(tally: &AuthTally, method: &str) -> u64 {
    tally.methods.get(method).map_or(0, |method| method.events)
}

/// Every event came, and once.
fn all_came_once(stage: &Stage, made: &[&[Made]]) {
    let expected: BTreeSet<&str> = made.iter().copied().flatten().map(|made| &*made.uid).collect();
    let bodies = stage.bodies().remove("events.log").unwrap_or_default();
    let uid = |body: &String| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["uid"].as_str().unwrap().to_owned()
    };
    let came: Vec<String> = bodies.iter().map(uid).collect();
    let different: BTreeSet<&str> = came.iter().map(|uid| &**uid).collect();
    assert_eq!(different, expected);
    assert_eq!(came.len(), expected.len(), "{} came twice", came.len() - different.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_road_that_is_offered_is_taken() {
    let check = async |version: &str, offered: &[Api], method: &str| {
        let stage = choosing(version, offered);
        let made = make(&mut Maker::new(400), &with_json("v13"), 50, 2, 5);
        add(&stage, &made);
        stage.run_until(async |stage| stage.received(50).await).await;
        all_came_once(&stage, &[&made]);
        for api in ALL {
            let [search, export] = api.methods();
            let came =
                events(&stage.auth.tally(), if api == Api::Export { export } else { search });
            let is_taken = api.methods().contains(&method);
            assert_eq!(came > 0, is_taken, "{version}, {offered:?}: {came} by {api:?}");
        }
    };
    // What is decoded exactly is taken as protobuf, whatever else there is.
    check("13.3.8", &ALL, "GetEvents").await;
    check("13.3.8", &[Api::Unstructured], "GetUnstructuredEvents").await;
    check("13.3.8", &[Api::Export, Api::Unstructured], "ExportUnstructuredEvents").await;
    // Of a version that nobody can decode, the JSON is taken that Auth makes itself.
    check("13.9.9", &ALL, "ExportUnstructuredEvents").await;
    check("13.9.9", &[Api::Typed, Api::Unstructured], "GetUnstructuredEvents").await;
    check("13.9.9", &[Api::Typed], "GetEvents").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_auth_offers_keeps_the_typed_road() {
    let stage = choosing("18.0.0-dev", &ALL);
    stage.auth.offer(stage.module("v18dev"));
    let made = make(&mut Maker::new(401), &with_json("v18dev"), 200, 2, 5);
    add(&stage, &made);
    let summary = stage.run_until(async |stage| stage.received(200).await).await;
    all_came_once(&stage, &[&made]);
    assert_eq!(summary.totals.by_module, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_and_downgrades_of_auth_change_the_road_without_loss_or_repetition() {
    for other in [&[Api::Typed, Api::Unstructured][..], &ALL] {
        let mut stage = choosing("13.3.8", other);
        // The form that all roads have.
        stage.extra = "json-flavour = \"struct\"".to_owned();
        let mut maker = Maker::new(402);
        let (old, new) = (with_json("v13"), with_json("v18dev"));
        let first = make(&mut maker, &old, 300, 20, 60);
        add(&stage, &first);
        let mut rest = Vec::new();
        stage
            .run_until(async |stage| {
                stage.received(300).await;
                let mut count = 300;
                for round in 0..2 {
                    // Nothing decodes these, and the table that is built in does not know them all.
                    stage.auth.upgrade("18.0.0-dev").await;
                    let made = make(&mut maker, &new, 60, 0, 1);
                    add(stage, &made);
                    count += 60;
                    stage.received(count).await;
                    rest.push(made);

                    stage.auth.upgrade("13.3.8").await;
                    let made = make(&mut maker, &old, 40, 0, 1);
                    add(stage, &made);
                    count += 40;
                    stage.received(count).await;
                    rest.push(made);
                    assert!(round < 2);
                }
            })
            .await;
        let all: Vec<&[Made]> = std::iter::once(&first).chain(&rest).map(Vec::as_slice).collect();
        all_came_once(&stage, &all);
        let tally = stage.auth.tally();
        assert!(events(&tally, "GetEvents") > 300, "{tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_road_is_taken_when_auth_sends_what_is_beyond_its_exact_table() {
    for offered in [&[Api::Typed, Api::Unstructured][..], &ALL] {
        let mut stage = choosing("13.3.8", offered);
        stage.extra = "json-flavour = \"struct\"".to_owned();
        let mut maker = Maker::new(404);
        let first = make(&mut maker, &with_json("v13"), 100, 2, 5);
        add(&stage, &first);
        stage
            .run_until(async |stage| {
                stage.received(100).await;
                // All calls so far were for protobuf.
                assert_eq!(events(&stage.auth.tally(), "GetUnstructuredEvents"), 0);
                assert_eq!(events(&stage.auth.tally(), "ExportUnstructuredEvents"), 0);
                let beyond = make(&mut maker, &with_json("v18dev"), 141, 0, 1);
                add(stage, &beyond);
                let methods = offered.last().expect("some").methods();
                stage
                    .auth
                    .wait(|tally| methods.iter().any(|method| events(tally, method) > 0))
                    .await;
                // From here on there is nothing that is not known.
                let sent = stage.fluentd.tally().events - stage.fluentd.tally().repeated;
                let later = make(&mut maker, &with_json("v18dev"), 141, 0, 1);
                add(stage, &later);
                let wanted: BTreeSet<String> = later.iter().map(|made| made.uid.clone()).collect();
                stage.received(usize::try_from(sent).unwrap() + 141).await;
                let bodies = stage.bodies().remove("events.log").unwrap_or_default();
                let whole = bodies.iter().filter(|body| {
                    !body.contains("ev_incomplete")
                        && wanted.iter().any(|uid| body.contains(uid.as_str()))
                });
                assert_eq!(whole.count(), 141);
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_road_after_a_restart_sends_nothing_of_the_day_again() {
    let orders: [[&[Api]; 4]; 2] = [
        [&[Api::Typed], &[Api::Unstructured], &[Api::Export], &[Api::Typed]],
        [&[Api::Export], &[Api::Typed], &[Api::Unstructured], &[Api::Export]],
    ];
    for order in orders {
        let mut stage = choosing("13.3.8", &ALL);
        stage.extra = "json-flavour = \"struct\"".to_owned();
        let mut maker = Maker::new(403);
        let vectors = with_json("v13");
        let mut all = Vec::new();
        for (life, offered) in order.into_iter().enumerate() {
            stage.auth.set(|switches| switches.offer_only(offered));
            // Some of them lie in the days before, as events that were stored late do.
            let hours = if life == 0 { 40 } else { 0 };
            let made = make(&mut maker, &vectors, 100, hours, 1);
            add(&stage, &made);
            all.push(made);
            stage.run_until(async |stage| stage.received((life + 1) * 100).await).await;
        }
        let all: Vec<&[Made]> = all.iter().map(Vec::as_slice).collect();
        all_came_once(&stage, &all);
    }
}
