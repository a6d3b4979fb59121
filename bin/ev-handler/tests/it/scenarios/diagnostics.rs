//! What the address for diagnostics says while things go well and while they do not.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ev_core::ParkReason;
use ev_diag::{Light, Part, Readiness, Snapshot};
use ev_test_support::{CallFault, FailRule};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::program::Program;
use super::{PATIENCE, Scene};

/// A program whose address for diagnostics is known.
struct Watched {
    program: Program,
    address: SocketAddr,
}

impl Watched {
    async fn start(scene: &Scene) -> Self {
        let program = Program::start(&scene.stage, &["--diag-addr", "127.0.0.1:0"]);
        let line = program.line("serving metrics, health and status").await;
        Self { program, address: line["address"].as_str().unwrap().parse().unwrap() }
    }

    /// Status and body.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200, "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        samples.map(sample).collect()
    }

    async fn snapshot(&self) -> Snapshot {
        serde_json::from_str(&self.get("/status.json").await.1).unwrap()
    }

    /// Asks for readiness until `fits` holds.
    async fn readiness(&self, what: &str, fits: impl Fn(&Readiness) -> bool) -> Readiness {
        let asking = async {
            loop {
                let (status, body) = self.get("/readyz").await;
                let readiness: Readiness = serde_json::from_str(&body).unwrap();
                assert_eq!(status, if readiness.ready { 200 } else { 503 }, "{body}");
                if fits(&readiness) {
                    return readiness;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what}"))
    }

    async fn is_ready(&self) -> Readiness {
        self.readiness("it is ready", |readiness| readiness.ready).await
    }

    /// Waits until that part is down; why, in words.
    async fn is_down(&self, name: &str) -> String {
        let is = |part: &&Part| part.name == name && part.light == Light::Down;
        let down = |readiness: &Readiness| readiness.parts.iter().any(|part| is(&part));
        let readiness = self.readiness(name, down).await;
        assert_eq!(self.get("/healthz").await, (200, "ok\n".to_owned()), "it turns all the same");
        readiness.parts.iter().find(is).unwrap().reason.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_every_moment_add_up() {
    const EVENTS: f64 = 3000.0;
    let scene = Scene::new(96, 3000);
    scene.stage.fluentd.set(|switches| switches.latency_ms = 5);
    let watched = Watched::start(&scene).await;
    let (mut scrapes, mut busy) = (0, 0);
    loop {
        let metrics = watched.metrics().await;
        let of = |name: &str| {
            metrics.get(&format!("{name}{{sink=\"fluentd\"}}")).copied().unwrap_or_default()
        };
        let settled = ["repeated", "delivered", "filtered", "parked", "given_up", "reread"]
            .map(|how| of(&format!("ev_events_{how}_total")));
        let in_flight = of("ev_events_in_flight");
        let sum = settled.iter().sum::<f64>() + in_flight;
        assert_eq!(of("ev_events_read_total"), sum, "{metrics:#?}");
        scrapes += 1;
        busy += u32::from(in_flight > 0.0);
        if of("ev_events_delivered_total") >= EVENTS {
            assert_eq!(of("ev_events_sent_total"), EVENTS);
            assert!(of("ev_requests_total") >= EVENTS / 20.0);
            let answered = metrics["ev_responses_total{sink=\"fluentd\",status=\"2xx\"}"];
            assert_eq!(of("ev_round_trip_seconds_count"), answered);
            assert_eq!(metrics["ev_ready"], 1.0);
            for reason in ParkReason::ALL {
                // An alert on growth needs a figure to grow from.
                let parked =
                    format!("ev_parked_events{{sink=\"fluentd\",reason=\"{}\"}}", reason.as_str());
                assert_eq!(metrics.get(&parked), Some(&0.0), "{parked}: {metrics:#?}");
            }
            break;
        }
        assert!(scrapes < 100_000, "it comes to an end");
    }
    assert!(busy > 3, "{busy} of {scrapes} scrapes saw events under way");
    let ending = watched.program.terminate().await;
    scene.all_is_delivered(&ending);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_away_makes_it_unready_and_never_unhealthy() {
    let mut scene = Scene::new(97, 200);
    scene.stage.auth.stop().await;
    let watched = Watched::start(&scene).await;
    let reason = watched.is_down("auth").await;
    assert!(reason.contains("was not reached yet"), "{reason}");
    scene.stage.auth.start_again().await.unwrap();
    watched.is_ready().await;
    scene.received_all().await;

    let rule = FailRule { status: 503, ..FailRule::default() };
    scene.stage.fluentd.set(|switches| switches.fail.push(rule));
    scene.go_on(20);
    let reason = watched.is_down("sink fluentd").await;
    assert!(reason.contains("are not delivered for") && reason.contains("503"), "{reason}");
    let snapshot = watched.snapshot().await;
    let told = |text: &str| snapshot.troubles.iter().any(|told| told.text.contains(text));
    assert!(told("delivery failed, trying again"), "{:#?}", snapshot.troubles);
    scene.stage.fluentd.set(|switches| switches.fail.clear());
    watched.is_ready().await;
    scene.received_all().await;

    scene.stage.auth.stop().await;
    let reason = watched.is_down("auth").await;
    assert!(reason.starts_with("no connection to"), "{reason}");
    let snapshot = watched.snapshot().await;
    assert_eq!(snapshot.auth.reconnects.lost, 1);
    let failed = async {
        let name = "ev_auth_reconnects_total{reason=\"failed\"}";
        while watched.metrics().await[name] < 1.0 {}
    };
    tokio::time::timeout(PATIENCE, failed).await.expect("a failed attempt is counted");
    scene.stage.auth.start_again().await.unwrap();
    watched.is_ready().await;
    watched.program.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_read_keeps_it_from_being_ready() {
    let mut scene = Scene::new(104, 100);
    let watched = Watched::start(&scene).await;
    scene.received_all().await;
    watched.is_ready().await;
    scene.stage.auth.set(|switches| {
        let fault = CallFault { code: 7, method: "GetEvents".into(), ..CallFault::default() };
        switches.fail.push(fault);
    });
    let reason = watched.is_down("auth").await;
    assert!(reason.contains("PermissionDenied"), "{reason}");
    scene.stage.auth.set(|switches| switches.fail.clear());
    scene.go_on(20);
    watched.is_ready().await;
    scene.received_all().await;
    watched.program.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_that_may_not_be_read_are_named() {
    let scene = Scene::new(105, 100);
    scene.stage.auth.set(|switches| {
        for method in ["StreamSessionEvents", "StreamUnstructuredSessionEvents"] {
            let fault = CallFault { code: 7, method: method.into(), ..CallFault::default() };
            switches.fail.push(fault);
        }
    });
    let watched = Watched::start(&scene).await;
    let is = |part: &Part| part.light == Light::Warning && part.reason.contains("are refused or");
    let named = |readiness: &Readiness| readiness.ready && readiness.parts.iter().any(is);
    let readiness = watched.readiness("recordings are named", named).await;
    let part = readiness.parts.iter().find(|part| is(part)).unwrap();
    assert_eq!(part.name, "sink fluentd", "{part:?}");
    assert!(watched.metrics().await["ev_sessions_unreadable{sink=\"fluentd\"}"] >= 1.0);
    watched.program.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_no_reason_to_be_restarted() {
    let mut scene = Scene::new(98, 100);
    let watched = Watched::start(&scene).await;
    scene.received_all().await;
    watched.program.limit_files(Some(0));
    scene.go_on(50);
    let reason = watched.is_down("state").await;
    assert!(reason.contains("it cannot be written"), "{reason}");
    assert_eq!(watched.metrics().await["ev_state_usable"], 0.0);
    watched.program.limit_files(None);
    watched.is_ready().await;
    scene.received_all().await;
    watched.program.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_removed_while_it_is_used_is_named() {
    let mut scene = Scene::new(107, 50);
    let watched = Watched::start(&scene).await;
    scene.received_all().await;
    watched.is_ready().await;
    std::fs::rename(scene.stage.path("storage"), scene.stage.path("moved")).unwrap();
    let reason = watched.is_down("state").await;
    assert!(reason.contains("removed or replaced while they were in use"), "{reason}");
    // Put back it is the same as before, and goes on to be used.
    std::fs::rename(scene.stage.path("moved"), scene.stage.path("storage")).unwrap();
    watched.is_ready().await;
    scene.go_on(20);
    scene.received_all().await;
    let ending = watched.program.terminate().await;
    scene.all_is_delivered(&ending);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_stops_it_is_not_ready() {
    let scene = Scene::new(99, 100);
    scene.stage.fluentd.set(|switches| switches.latency_ms = 600_000);
    let watched = Watched::start(&scene).await;
    scene.stage.fluentd.wait(|tally| tally.most_in_flight > 0).await;
    watched.program.signal(Signal::TERM);
    let reason = watched.is_down("run").await;
    assert_eq!(reason, "stopping: finishing what is under way");
    watched.program.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_events_or_keys_is_shown() {
    let scene = Scene::new(100, 300);
    let watched = Watched::start(&scene).await;
    scene.received_all().await;
    for path in ["/", "/status.json", "/metrics", "/readyz", "/healthz"] {
        let (status, body) = watched.get(path).await;
        assert_eq!(status, 200, "{path}");
        assert!(!body.contains("PRIVATE KEY") && !body.contains("BEGIN "), "{path}");
        for event in &scene.log {
            let (_, rest) = event.split_once("\"uid\":\"").unwrap();
            let (uid, _) = rest.split_once('"').unwrap();
            assert!(uid.is_empty() || !body.contains(uid), "{path}");
        }
    }
    watched.program.terminate().await;
}

/// What `ev-handler status` prints and how it ends.
async fn status(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .arg("status")
        .args(args)
        .current_dir(scene.stage.dir.path())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &errors)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_printed_from_the_address_and_from_the_state() {
    let scene = Scene::new(103, 100);
    let watched = Watched::start(&scene).await;
    scene.received_all().await;
    watched.is_ready().await;
    let address = watched.address.to_string();
    let (code, text) = status(&scene, &["--address", &address]).await;
    assert_eq!(code, Some(0), "{text}");
    for said in ["ready", "auth           ok", "sink fluentd   ok", "100 read"] {
        assert!(text.contains(said), "`{said}` is not in {text}");
    }
    let (code, text) = status(&scene, &["--address", &address, "--json"]).await;
    let read: Snapshot = serde_json::from_str(&text).unwrap();
    assert_eq!((code, read.sinks[0].counters.read), (Some(0), 100));
    scene.stage.auth.stop().await;
    watched.is_down("auth").await;
    let (code, text) = status(&scene, &["--address", &address]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("not ready") && text.contains("auth           DOWN"), "{text}");
    // With a mistake in the file it is found all the same.
    let mut file = std::fs::read_to_string(scene.stage.path("handler.toml")).unwrap();
    file = format!("diag-addr = \"{address}\"\nconcurrency = 0\n{file}");
    std::fs::write(scene.stage.path("wrong.toml"), file).unwrap();
    let (_, text) = status(&scene, &["--config", "wrong.toml"]).await;
    assert!(text.contains("not ready") && text.contains("auth           DOWN"), "{text}");
    // Nobody is asked, so that is all that can be said of it.
    let (code, text) = status(&scene, &["--storage", "storage"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot be asked: this is what its state says"), "{text}");
    assert!(text.contains("run            LOOK a process has the state open"), "{text}");
    watched.program.terminate().await;

    let (code, text) = status(&scene, &["--address", &address]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("no handler answers at {address}")), "{text}");
    let (code, text) = status(&scene, &["--storage", "storage"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("not running") && text.contains("100 passed: 100 delivered"), "{text}");
    assert!(text.contains("sink fluentd   ok   100 events delivered so far"), "{text}");
    for unknown in ["credentials", "decoder", "nothing was read yet"] {
        assert!(!text.contains(unknown), "the state does not know that: {text}");
    }
}

/// A supervisor does not start again what ends with 78, the status of a wrong configuration.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_another_has_ends_the_start_so_that_it_is_tried_again() {
    let scene = Scene::new(106, 10);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let program = Program::start(&scene.stage, &["--diag-addr", &address]);
    let ending = program.ended().await;
    let is_last = |line: &&Value| line["message"] == "terminating with a fatal error";
    let error = ending.log.iter().find(is_last).unwrap()["error"].as_str().unwrap();
    assert!(error.contains("`diag-addr`") && error.contains(&address), "{error}");
    assert_eq!(ending.code, Some(1));
}
