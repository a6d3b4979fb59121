use std::process::{Command, Stdio};

use ev_test_support::CallFault;
use ev_test_support::data::Maker;

use crate::stage::{Stage, make, sorted, templates, texts};

/// The real binary, killed by the reaper if the test ends early.
pub(crate) struct Child(std::process::Child);

impl Child {
    pub(crate) fn start(stage: &Stage) -> Self {
        let config = stage.write_config(stage.auth.addr());
        let child = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
            .args(["start", "--config"])
            .arg(config)
            .current_dir(stage.dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Already gone in the ordinary case.
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_and_repeats_no_more_than_the_window() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(9), &templates("v13"), 5000, 60, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    // Answers take a while, so that the kill comes in the middle.
    stage.fluentd.set(|switches| switches.latency_ms = 5);
    for part in 1..=3 {
        let child = Child::start(&stage);
        stage.fluentd.wait(|tally| tally.events >= part * 1200).await;
        child.kill();
    }
    let child = Child::start(&stage);
    stage.received(5000).await;
    assert_eq!(child.terminate(), Some(0), "an orderly end");
    let mut bodies = sorted(stage.bodies()["events.log"].clone());
    let all = bodies.len();
    bodies.dedup();
    assert_eq!(bodies, sorted(texts(&made)));
    // For each kill: 2,000 events before a commit is forced, and what was in flight.
    let window = 3 * (2000 + 10 * 500);
    assert!(all - bodies.len() <= window, "{} repetitions", all - bodies.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_and_fluentd_may_go_and_come() {
    let stage = Stage::new("13.3.8");
    let vectors = templates("v13");
    let mut maker = Maker::new(10);
    let mut all = Vec::new();
    let mut add = |stage: &Stage| {
        let made = make(&mut maker, &vectors, 100, 0, 2);
        stage.auth.append(made.iter().map(|event| event.event()));
        all.extend(texts(&made));
    };
    add(&stage);
    let summary = stage
        .run_until(async |stage| {
            stage.received(100).await;
            stage.auth.stop().await;
            add(stage);
            stage.auth.start_again().await.unwrap();
            stage.received(200).await;

            stage.fluentd.stop().await;
            add(stage);
            stage.fluentd.start_again().await.unwrap();
            stage.received(300).await;

            let fault = CallFault { code: 14, count: Some(5), ..CallFault::default() };
            stage.auth.set(|switches| switches.fail.push(fault));
            add(stage);
            stage.received(400).await;

            // Only Ping fails: no reason to stop.
            let ping = CallFault { code: 13, method: "Ping".into(), ..CallFault::default() };
            stage.auth.set(|switches| switches.fail.push(ping));
            add(stage);
            stage.received(500).await;
        })
        .await;
    let mut bodies = sorted(stage.bodies()["events.log"].clone());
    bodies.dedup();
    assert_eq!(bodies, sorted(all));
    assert_eq!(summary.totals.delivered, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_500_is_tried_again() {
    let stage = Stage::new("13.3.8");
    let rule = ev_test_support::FailRule { status: 500, count: Some(4), ..Default::default() };
    stage.fluentd.set(|switches| switches.fail.push(rule));
    let made = make(&mut Maker::new(11), &templates("v13"), 50, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = stage.run_until(async |stage| stage.received(50).await).await;
    assert_eq!(summary.totals.delivered, 50);
    assert!(summary.retries >= 4, "{summary:?}");
    assert_eq!(stage.fluentd.tally().repeated, 0);
}
