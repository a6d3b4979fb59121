//! A server, and one who asks it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ev_core::{BoxFuture, Env, Timestamp};
use ev_diag::{Pulse, Server, Snapshot, Views, Watchdog};
use tokio::sync::watch;

/// A clock that is set by hand, and whoever sleeps by it with it.
pub(crate) struct Clock(watch::Sender<Duration>);

impl Default for Clock {
    fn default() -> Self {
        Self(watch::Sender::new(Duration::ZERO))
    }
}

impl Clock {
    pub(crate) fn set(&self, second: u64) {
        self.0.send_replace(Duration::from_secs(second));
    }
}

impl Env for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (mut time, end) = (self.0.subscribe(), self.monotonic() + duration);
        Box::pin(async move {
            // The clock lives as long as whoever sleeps by it.
            drop(time.wait_for(|now| *now >= end).await);
        })
    }

    fn random(&self) -> u64 {
        0
    }
}

pub(crate) struct Shown {
    pub(crate) snapshot: Mutex<Snapshot>,
    pub(crate) pulse: Pulse,
    pub(crate) clock: Clock,
    watchdog: Watchdog,
}

impl Views for Shown {
    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        Box::pin(async { self.snapshot.lock().unwrap().clone() })
    }

    fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    fn env(&self) -> &dyn Env {
        &self.clock
    }
}

pub(crate) struct Rig {
    pub(crate) shown: Arc<Shown>,
    server: Server,
}

/// An answer: its status, its head in small letters, its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Rig {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let pulse = Pulse::default();
        let watched = pulse.clone();
        let watchdog = Watchdog::new(Duration::from_secs(30))
            .watch("engine", move || vec![("it".to_owned(), watched.beats())]);
        let snapshot = Mutex::new(snapshot);
        let shown = Arc::new(Shown { snapshot, pulse, clock: Clock::default(), watchdog });
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(any, Arc::clone(&shown) as _).unwrap();
        Self { shown, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path)
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_with(method, path, "Host: localhost\r\nConnection: close\r\n")
    }

    /// The same with these lines in its head.
    pub(crate) fn ask_with(&self, method: &str, path: &str, head: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}
