//! How the receiver is spoken to: certificates that change, compressed bodies, the examination.

use std::process::Stdio;
use std::time::Duration;

use ev_test_support::certs::{Authority, Validity};
use ev_test_support::data::{Made, Maker};
use ev_test_support::{FakeFluentd, FluentdConfig, FluentdVersion, TlsVersions, server_config};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::stage::{Stage, make, sorted, templates, texts, write};

/// What a test waits for at most. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Events of the last hour.
fn some(seed: u32, count: usize) -> Vec<Made> {
    make(&mut Maker::new(seed), &templates("v13"), count, 1, 5)
}

/// Events of right now, as a log that is read already goes on with them.
fn live(seed: u32, count: usize) -> Vec<Made> {
    make(&mut Maker::new(seed), &templates("v13"), count, 0, 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_client_certificate_is_shown_without_a_restart() {
    let mut stage = Stage::new("13.3.8");
    stage.forward = r#"refresh-interval = "1s""#.to_owned();
    let first = some(30, 50);
    let mut second = Vec::new();
    stage.auth.append(first.iter().map(|event| event.event()));
    let mut bodies = Vec::new();
    let summary = stage
        .run_until(async |stage| {
            stage.received(50).await;

            // From now on only certificates of another CA are taken there.
            let clients = Authority::new("Other CA").unwrap();
            stage.fluentd.stop().await;
            let server = stage.fluentd_ca.issue_fluentd_server(Validity::Long).unwrap();
            let tls =
                server_config(&server, &[clients.cert_der()], TlsVersions::Only12, &[]).unwrap();
            let listener = std::net::TcpListener::bind(stage.fluentd.addr()).unwrap();
            let config = FluentdConfig { tls: Some(tls), ..FluentdConfig::default() };
            let strict = FakeFluentd::start(listener, config).unwrap();
            second = live(31, 50);
            stage.auth.append(second.iter().map(|event| event.event()));

            let client = clients.issue_fluentd_client(Validity::Long).unwrap();
            write(stage.dir.path(), "client.crt", &client.cert_pem);
            write(stage.dir.path(), "client.key", &client.key_pem);
            strict.wait(|tally| tally.events - tally.repeated >= 50).await;
            for event in strict.received() {
                bodies.push(String::from_utf8(event.body.to_vec()).unwrap());
            }
        })
        .await;
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies, sorted(texts(&second)));
    assert_eq!(summary.totals.delivered, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_arrive_compressed_and_hold_the_same_bytes() {
    let mut stage = Stage::new("13.3.8");
    stage.forward = r#"gzip = "always""#.to_owned();
    let made = some(32, 1000);
    stage.auth.append(made.iter().map(|event| event.event()));
    stage.run_until(async |stage| stage.received(1000).await).await;
    assert_eq!(sorted(stage.bodies()["events.log"].clone()), sorted(texts(&made)));
    let tally = stage.fluentd.tally();
    assert_eq!(tally.compressed, tally.requests, "{tally:?}");
    assert!(tally.wire_bytes * 2 < tally.bytes, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_are_compressed_when_nobody_says_otherwise() {
    for (line, compressed) in [("", true), (r#"gzip = "off""#, false)] {
        let mut stage = Stage::new("13.3.8");
        stage.forward = line.to_owned();
        let made = some(33, 1000);
        stage.auth.append(made.iter().map(|event| event.event()));
        stage.run_until(async |stage| stage.received(1000).await).await;
        let tally = stage.fluentd.tally();
        assert_eq!(tally.compressed > 0, compressed, "{tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_carry_ids_unless_told_otherwise() {
    for (line, carried) in [("", true), ("id-headers = false", false)] {
        let mut stage = Stage::new("13.3.8");
        stage.forward = line.to_owned();
        stage.auth.append(some(34, 20).iter().map(|event| event.event()));
        stage.run_until(async |stage| stage.received(20).await).await;
        for event in stage.fluentd.received() {
            assert_eq!(!event.batch_id.is_empty(), carried, "{}", event.batch_id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_within_the_limit_set_is_an_unknown_outcome() {
    let mut stage = Stage::new("13.3.8");
    stage.forward = r#"response-timeout = "500ms""#.to_owned();
    stage.fluentd.set(|switches| switches.hang = 1);
    let made = some(38, 50);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = stage
        .run_until(async |stage| {
            // Less than the limit that nobody set.
            let received = tokio::time::timeout(Duration::from_secs(20), stage.received(50));
            received.await.expect("sent again in time");
        })
        .await;
    assert!(summary.unknown_outcomes >= 1, "{summary:?}");
    assert_eq!(summary.totals.delivered, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_number_of_requests_is_under_way_before_the_first_answer() {
    let mut stage = Stage::new("13.3.8");
    stage.forward = "in-flight = \"fixed\"\nmax-connections = 6\nbatch-events = 10".to_owned();
    stage.fluentd.set(|switches| switches.hold_at = Some(1));
    let made = some(39, 200);
    stage.auth.append(made.iter().map(|event| event.event()));
    let summary = stage
        .run_until(async |stage| {
            let tally = stage.fluentd.wait(|tally| tally.in_flight >= 6).await;
            assert_eq!((tally.in_flight, tally.answers.len()), (6, 0), "{tally:?}");
            stage.fluentd.set(|switches| {
                switches.hold_at = None;
                switches.release += 1;
            });
            stage.received(200).await;
        })
        .await;
    assert_eq!(summary.totals.delivered, 200);
}

/// The real binary and its log, told to examine the receiver.
struct Examiner {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Examiner {
    fn start(stage: &mut Stage) -> Self {
        stage.extra = r#"log.format = "json""#.to_owned();
        stage.forward = "probe-receiver = true".to_owned();
        let config = stage.write_config(stage.auth.addr());
        let mut child = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
            .args(["start", "--config"])
            .arg(config)
            .current_dir(stage.dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// Reads the log up to a line of this level that has `part` in it.
    async fn says(&mut self, level: &str, part: &str) {
        let level = format!(r#""level":"{level}""#);
        let mut read = Vec::new();
        let found = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                if line.contains(&level) && line.contains(part) {
                    return true;
                }
                read.push(line);
            }
            false
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        assert_eq!(found, Ok(true), "`{part}` was not said: {read:#?}");
    }

    /// Waits for the 20 events, and reads on, so that the log never waits for us.
    async fn delivers(&mut self, stage: &Stage) {
        let mut read = Vec::new();
        let all = async {
            let received = stage.received(20);
            tokio::pin!(received);
            loop {
                tokio::select! {
                    () = &mut received => return,
                    line = self.log.next_line() => read.push(line.unwrap().expect("it runs on")),
                }
            }
        };
        let all = tokio::time::timeout(PATIENCE, all).await;
        assert_eq!(all, Ok(()), "no events: {read:#?}");
    }

    async fn terminate(mut self) {
        let pid = self.child.id().unwrap().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(told.success());
        // Read to its end, so that it never waits for us.
        while self.log.next_line().await.unwrap().is_some() {}
        assert_eq!(self.child.wait().await.unwrap().code(), Some(0), "an orderly end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_examination_tells_what_the_success_of_the_receiver_is_worth() {
    let mut stage = Stage::new("13.3.8");
    stage.fluentd.set(|switches| switches.version = FluentdVersion::V1_19);
    let mut examiner = Examiner::start(&mut stage);
    examiner.says("INFO", "valid until").await;
    examiner.says("INFO", "an empty array is taken").await;
    examiner.says("WARN", "success alone is no proof that something was stored").await;
    examiner.says("INFO", "whether a `<match>` takes the tags").await;
    assert_eq!(stage.fluentd.tally().events, 0, "nothing was stored for it");
    stage.auth.append(live(35, 20).iter().map(|event| event.event()));
    examiner.delivers(&stage).await;
    examiner.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_would_store_nothing_is_an_error_in_the_log_and_no_end() {
    let mut stage = Stage::new("13.3.8");
    stage.fluentd.set(|switches| switches.parse = false);
    let mut examiner = Examiner::start(&mut stage);
    examiner.says("ERROR", "the source has no `<parse>` section").await;
    // Somebody mends it, and the program is still there.
    stage.fluentd.set(|switches| switches.parse = true);
    stage.auth.append(live(36, 20).iter().map(|event| event.event()));
    examiner.delivers(&stage).await;
    examiner.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_there_does_not_hold_up_the_start() {
    let mut stage = Stage::new("13.3.8");
    stage.fluentd.stop().await;
    let mut examiner = Examiner::start(&mut stage);
    examiner.says("WARN", "Fluentd does not answer and is examined once it does").await;
    stage.auth.append(live(37, 20).iter().map(|event| event.event()));
    stage.fluentd.start_again().await.unwrap();
    examiner.delivers(&stage).await;
    examiner.terminate().await;
}
