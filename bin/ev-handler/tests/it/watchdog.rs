//! The whole program, an engine of which hangs: in the middle of a line of its log.
//!
//! The thread that the program runs on has a log of the test's own, which blocks that thread, as
//! code that never comes back would. The engines run on that thread. All else has threads of its
//! own, unless the runtime has none.

use std::fmt::Debug;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ev_core::{BoxFuture, Env, Timestamp};
use ev_handler::start::control::Control;
use ev_handler::start::start_in;
use ev_pipeline::TokioEnv;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::stage::{PATIENCE, Stage};

/// Longer than anything may take that turns.
const TOO_LONG: u64 = 31;

/// The system's clock, with what was added to it by hand.
struct Ahead {
    clock: TokioEnv,
    seconds: Arc<AtomicU64>,
}

impl Env for Ahead {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic() + Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }
}

/// A log that does not come back from a line of the engine before it is told to.
struct Blocking {
    address: SyncSender<String>,
    hangs: SyncSender<()>,
    go_on: Mutex<Receiver<()>>,
}

#[derive(Default)]
struct Line {
    message: String,
    address: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "address" => self.address = format!("{value:?}"),
            _ => {}
        }
    }
}

impl Subscriber for Blocking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("ev_")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        match &*line.message {
            "serving metrics, health and status" => self.address.send(line.address).unwrap(),
            "decoder for this version of Auth" => {
                self.hangs.send(()).unwrap();
                self.go_on.lock().unwrap().recv().unwrap();
            }
            _ => {}
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Status and body.
fn health(address: SocketAddr) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Asks until `fits` holds, which takes until the next second at most.
async fn asked_until(address: SocketAddr, fits: impl Fn(u16, &str) -> bool) -> String {
    let asking = async {
        loop {
            let asked = tokio::task::spawn_blocking(move || health(address)).await;
            let (status, body) = asked.unwrap();
            if fits(status, &body) {
                return body;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("what is waited for is said in time")
}

/// What is said of the program while its engine hangs, once `fits` holds; it has to be well before
/// and behind that.
async fn while_it_hangs(
    mut runtime: tokio::runtime::Builder,
    fits: impl Fn(&str) -> bool,
) -> String {
    let stage = Stage::new("13.3.8");
    let mut settings = stage.settings();
    settings.diag_addr = Some("127.0.0.1:0".parse().unwrap());
    let (stop, ahead) = (CancellationToken::new(), Arc::<AtomicU64>::default());
    let ((address, addresses), (hangs, hanging)) = (sync_channel(1), sync_channel(1));
    let (release, go_on) = sync_channel(1);
    let log = Blocking { address, hangs, go_on: Mutex::new(go_on) };
    let (stopped, seconds) = (stop.clone(), Arc::clone(&ahead));
    let program = std::thread::spawn(move || {
        let _log = tracing::subscriber::set_default(log);
        runtime.enable_all().build().unwrap().block_on(async {
            let env = Ahead { clock: TokioEnv::new(), seconds };
            let (_controller, control) = Control::new();
            start_in(settings, stopped, control, Arc::new(env)).await
        })
    });
    let address = addresses.recv_timeout(PATIENCE).unwrap().parse().unwrap();
    hanging.recv_timeout(PATIENCE).unwrap();
    assert_eq!(health(address), (200, "ok\n".to_owned()), "it has only just begun to hang");

    ahead.fetch_add(TOO_LONG, Ordering::SeqCst);
    let said = asked_until(address, |status, body| status == 503 && fits(body)).await;
    release.send(()).unwrap();
    asked_until(address, |status, body| status == 200 && body == "ok\n").await;

    stop.cancel();
    let ended = tokio::task::spawn_blocking(move || program.join().unwrap());
    tokio::time::timeout(PATIENCE, ended).await.expect("it ends in time").unwrap().unwrap();
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_is_unhealthy_until_it_turns_again() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    // Until its next beat the runtime has not turned for so long either.
    let said = while_it_hangs(runtime, |body| !body.contains("the runtime")).await;
    let seconds = said.strip_prefix("an engine has not turned for ").unwrap();
    let seconds: u64 = seconds.strip_suffix(" s\n").unwrap().parse().unwrap();
    assert!(seconds >= TOO_LONG, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_hangs_is_unhealthy_until_it_turns_again() {
    // Nothing but what hangs would turn it.
    let said = while_it_hangs(tokio::runtime::Builder::new_current_thread(), |_| true).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("the runtime has not turned for 3"), "{said}");
    assert!(lines[1].starts_with("an engine has not turned for 3"), "{said}");
}
