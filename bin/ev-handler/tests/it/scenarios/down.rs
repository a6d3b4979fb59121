//! A receiver that fails, freezes or hangs up.

use ev_test_support::FailRule;

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_for_long_gets_everything_once_it_is_well() {
    let scene = Scene::new(60, 1500);
    let fluentd = &scene.stage.fluentd;
    fluentd.set(|switches| switches.latency_ms = 5);
    let program = scene.start();
    scene.received(300).await;
    let rule = FailRule { status: 500, ..FailRule::default() };
    fluentd.set(|switches| switches.fail.push(rule));
    let failures = |count| move |tally: &_| super::answers(tally, 500) >= count;
    let before = scene.until("a failure", failures(1)).await.events;
    let after = scene.until("more failures", failures(16)).await.events;
    // Nothing is taken meanwhile.
    assert_eq!(after, before);
    fluentd.set(|switches| switches.fail.clear());
    scene.received_all().await;
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert_eq!(scene.repeated(), 0, "a 500 stores nothing here");
    assert_eq!(ending.said("WARN", &["delivery failed"]), 1, "{:#?}", ending.log);
    assert_eq!(ending.said("INFO", &["delivery works again"]), 1, "{:#?}", ending.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_freezes_with_open_connections_goes_on_when_it_thaws() {
    let mut scene = Scene::new(61, 1500);
    scene.stage.forward += "response-timeout = \"1s\"\nhandshake-timeout = \"1s\"\n";
    let fluentd = &scene.stage.fluentd;
    fluentd.set(|switches| switches.latency_ms = 5);
    let program = scene.start();
    let connections = scene.received(300).await.connections;
    fluentd.set(|switches| switches.frozen = true);
    program.says("WARN", &["delivery failed"], 1).await;
    // Neither an answer on what was open, nor a handshake on what is new.
    let frozen = scene.until("new connections", |tally| tally.connections >= connections + 3).await;
    fluentd.set(|switches| switches.frozen = false);
    let tally = scene.received_all().await;
    assert!(tally.connections > frozen.connections, "{tally:?}");
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert!(ending.count("unknown_outcomes") > 0, "{:?}", ending.summary);
    ending.owns_up_to(&scene.stage.fluentd.tally());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_closes_what_it_accepted_gets_nothing_twice() {
    let scene = Scene::new(62, 1000);
    scene.stage.fluentd.set(|switches| switches.close_accepted = 5);
    let program = scene.start();
    scene.received_all().await;
    assert_eq!(scene.stage.fluentd.switches().close_accepted, 0);
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert_eq!((scene.repeated(), ending.count("possible_duplicates")), (0, 0));
    assert_eq!(ending.count("retries"), 5);
    assert_eq!(ending.said("WARN", &["delivery failed", "unreachable"]), 1, "{:#?}", ending.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_stores_and_hangs_up_gets_no_more_twice_than_was_owned_up_to() {
    let scene = Scene::new(63, 1500);
    let fluentd = &scene.stage.fluentd;
    fluentd.set(|switches| switches.latency_ms = 5);
    let program = scene.start();
    for part in 1..=3 {
        scene.received(part * 300).await;
        fluentd.set(|switches| switches.close_after_store = 2);
        scene.received(part * 300 + 100).await;
        fluentd.drop_connections().await;
    }
    let tally = scene.received_all().await;
    assert!(tally.repeated > 0, "{tally:?}");
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    ending.owns_up_to(&scene.stage.fluentd.tally());
}
