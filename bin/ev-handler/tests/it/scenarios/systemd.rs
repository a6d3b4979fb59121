//! What systemd is told, by somebody who listens where it would.

use std::time::Duration;

use ev_test_support::CallFault;
use rustix::process::Signal;
use tokio::net::UnixDatagram;

use super::program::Program;
use super::{PATIENCE, Scene};

/// The next message, if one comes.
async fn next(socket: &UnixDatagram) -> Option<String> {
    let mut buffer = [0; 65_536];
    let length = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.ok()?.unwrap();
    Some(std::str::from_utf8(&buffer[..length]).unwrap().to_owned())
}

/// Messages that came, until one says this; they with it.
async fn until(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let received = next(socket).await;
        let message = received.unwrap_or_else(|| panic!("`{wanted}` comes, not only {all:#?}"));
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

/// Each line of a message is an order: one of them ends the process, another names it anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_cannot_give_orders_to_it() {
    let scene = Scene::new(103, 10);
    scene.stage.auth.set(|switches| {
        let message = format!("denied\nWATCHDOG=trigger\nMAINPID=1\n{}", "x".repeat(2_000));
        let method = "GetEvents".to_owned();
        switches.fail.push(CallFault { code: 7, method, message, ..CallFault::default() });
    });
    let path = scene.stage.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let program = Program::start_in(&scene.stage, &[], &environment);
    let told = loop {
        let message = next(&socket).await.expect("it tells what Auth says");
        assert!(!message.contains("\nWATCHDOG") && !message.contains("\nMAINPID"), "{message:?}");
        if message.contains("denied") {
            break message;
        }
    };
    let line = told.strip_suffix('\n').unwrap();
    assert!(line.starts_with("STATUS=auth: ") && line.ends_with("x…"), "{line:?}");
    assert!(line.contains("denied\\u{a}WATCHDOG=trigger\\u{a}MAINPID=1\\u{a}xxx"), "{line:?}");
    assert_eq!((line.lines().count(), line.len() <= 1_007), (1, true), "{line:?}");
    program.end(Signal::TERM).await;
}
