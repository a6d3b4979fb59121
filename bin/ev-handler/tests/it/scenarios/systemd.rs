//! What systemd is told, by somebody who listens where it would.

use std::time::Duration;

use rustix::process::Signal;
use tokio::net::UnixDatagram;

use super::program::Program;
use super::{PATIENCE, Scene};

/// Messages that came, until one says this; they with it.
async fn until(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let received = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await;
        let length = received.unwrap_or_else(|_| panic!("`{wanted}` comes, not only {all:#?}"));
        let message = std::str::from_utf8(&buffer[..length.unwrap()]).unwrap().to_owned();
        all.extend(message.lines().map(str::to_owned));
        if all.iter().any(|line| line.starts_with(wanted)) {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_of_everything_it_asks_for() {
    let scene = Scene::new(101, 100);
    let path = scene.stage.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let watchdog = Duration::from_secs(60).as_micros().to_string();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", &watchdog)];
    let program = Program::start_in(&scene.stage, &[], &environment);
    let first = until(&socket, "READY=1").await;
    assert!(!first.iter().any(|line| line.starts_with("STOPPING")), "{first:?}");
    until(&socket, "WATCHDOG=1").await;
    scene.stage.received(100).await;
    until(&socket, "STATUS=100 events delivered, 0 s behind, 0 parked").await;
    program.signal(Signal::HUP);
    let reload = until(&socket, "MONOTONIC_USEC=").await;
    assert!(reload.contains(&"RELOADING=1".to_owned()), "{reload:?}");
    until(&socket, "READY=1").await;
    program.signal(Signal::TERM);
    let last = until(&socket, "STOPPING=1").await;
    assert!(last.iter().all(|line| line != "RELOADING=1"), "{last:?}");
    assert_eq!(program.end(Signal::TERM).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_auth_is_away_it_is_ready_and_says_what_is_missing() {
    let scene = Scene::new(102, 10);
    scene.stage.auth.stop().await;
    let path = scene.stage.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let program = Program::start_in(&scene.stage, &[], &environment);
    until(&socket, "READY=1").await;
    let said = until(&socket, "STATUS=auth: ").await;
    assert!(said.iter().all(|line| line != "WATCHDOG=1"), "nobody asked for it: {said:?}");
    program.end(Signal::TERM).await;
}
