//! Flush, close, and ends that nobody asked for.

use std::time::Duration;

use ev_audit::transport::{MemoryTransport, NoopTransport, Transport};
use ev_audit::{Client, DropReason, EventKind, Plane, Refused, State};
use tokio::time::Instant;

use crate::rig::{Answer, ledger, pipes, record, send_all, seq, service, settle, start};

fn seqs(left: &ev_audit::Remainder) -> Vec<u64> {
    left.records.iter().map(|unsent| seq(&unsent.record)).collect()
}

#[tokio::test(start_paused = true)]
async fn close_ends_at_its_deadline_with_exactly_what_is_left() {
    let (transport, mut agent) = pipes(2_000);
    let client = start(Client::builder(service(), transport));
    let mut far = agent.accept().await;
    send_all(&client, 0..100);
    let started = Instant::now();
    let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(3))).await;
    assert_eq!(started.elapsed().as_secs(), 3);
    let read = far.rest().await;
    assert_eq!(left.ledger.written, read.len() as u64, "whole frames, and no others");
    let mut all = read;
    all.extend(seqs(&left));
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    assert_eq!(left.ledger.dropped.closed, left.records.len() as u64);
    assert!(left.ledger.is_balanced() && left.ledger.pending == 0);
    assert!(agent.is_left(), "the sender is gone");

    assert!(client.close_wait_until(std::future::pending()).await.records.is_empty(), "once");
    let refused = client.send(Plane::Data, record(100)).unwrap_err();
    assert!(matches!(refused.reason(), Refused::Closed));
    assert_eq!(client.state().state(), State::Closed);
}

#[test]
fn close_blocks_no_longer_than_its_deadline() {
    let (transport, agent) = pipes(2_000);
    agent.always(Answer::Hang);
    let client = Client::builder(service(), transport).build().unwrap();
    send_all(&client, 0..100);
    let left = client.close(Duration::from_millis(50));
    assert_eq!(seqs(&left), (0..100).collect::<Vec<_>>());
    assert!(client.close(Duration::from_secs(600)).is_empty());
    assert!(client.flush(Duration::from_secs(600)).is_empty());
    assert!(agent.is_left());
}

#[test]
fn close_comes_back_even_from_a_transport_that_blocks_its_thread() {
    struct Stuck(std::sync::mpsc::Receiver<()>);
    impl Transport for Stuck {
        fn connect(&mut self) -> ev_audit::transport::Connecting<'_> {
            let released = self.0.recv();
            Box::pin(async move { panic!("released: {released:?}") })
        }
    }
    let (release, blocked) = std::sync::mpsc::sync_channel(0);
    let client = Client::builder(service(), Stuck(blocked)).build().unwrap();
    send_all(&client, 0..10);
    assert_eq!(seqs(&client.close(Duration::ZERO)), (0..10).collect::<Vec<_>>());
    drop(release);
}

/// The caller's runtime goes on meanwhile, and lets go of the transport here.
#[test]
fn an_async_close_does_not_block_the_runtime_of_its_caller() {
    struct Stuck(std::sync::mpsc::Receiver<()>, std::sync::mpsc::SyncSender<()>);
    impl Transport for Stuck {
        fn connect(&mut self) -> ev_audit::transport::Connecting<'_> {
            self.1.send(()).ok();
            self.0.recv().ok();
            Box::pin(std::future::pending())
        }
    }
    let (release, blocked) = std::sync::mpsc::sync_channel(1);
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let client = Client::builder(service(), Stuck(blocked, tell)).build().unwrap();
    send_all(&client, 0..10);
    told.recv().expect("it connects");
    // A runtime without timers.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let released = std::cell::Cell::new(false);
    let left = runtime.block_on(async {
        let closing = async {
            let left = client.close_wait_until(std::future::ready(())).await;
            assert!(released.get(), "something else ran while it waited");
            left
        };
        let other = async {
            release.send(()).expect("it is blocked");
            released.set(true);
        };
        tokio::join!(closing, other).0
    });
    assert_eq!(seqs(&left), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_transport_that_panics_closes_the_client_and_loses_nothing() {
    struct Broken;
    impl Transport for Broken {
        fn connect(&mut self) -> ev_audit::transport::Connecting<'_> {
            panic!("a transport that cannot cope")
        }
    }
    let client = Client::builder(service(), Broken).build().unwrap();
    let events = client.events();
    let closed = std::iter::from_fn(|| events.next_timeout(Duration::from_secs(60)))
        .find(|event| event.kind == EventKind::Closed);
    assert!(closed.is_some());
    client.send(Plane::Data, record(0)).unwrap_err();
    assert!(client.close(Duration::from_secs(60)).is_empty());
}

#[tokio::test(start_paused = true)]
async fn flush_waits_for_what_was_queued_before_and_leaves_the_rest_queued() {
    let (transport, mut agent) = pipes(2_000);
    let client = start(Client::builder(service(), transport));
    let mut far = agent.accept().await;
    send_all(&client, 0..50);
    let left = client.flush_wait_until(tokio::time::sleep(Duration::from_secs(1))).await;
    let written = left.ledger.written;
    assert!(written < 50);
    assert_eq!(seqs(&left), (written..50).collect::<Vec<_>>());
    assert_eq!(left.ledger.pending, 50 - written, "still queued");
    let flush = tokio::spawn({
        let client = client.clone();
        async move { client.flush_wait_until(std::future::pending()).await }
    });
    assert_eq!(far.seqs(50).await, (0..50).collect::<Vec<_>>());
    assert!(flush.await.unwrap().is_empty());
    assert_eq!(ledger(&client).written, 50);
}

#[test]
fn close_writes_what_is_queued() {
    let (transport, audited) = MemoryTransport::new();
    let client = Client::builder(service(), transport).build().unwrap();
    send_all(&client, 0..5_001);
    let left = client.close(Duration::from_secs(60));
    assert!(left.is_empty());
    assert_eq!(left.ledger.written, 5_001);
    let records = audited.take();
    for (number, audited) in records.iter().enumerate() {
        assert_eq!(audited.record, record(number as u64));
    }
    assert_eq!(records.len(), 5_001);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_neither_hangs_nor_forgets() {
    let (transport, mut agent) = pipes(2_000);
    let client = start(Client::builder(service(), transport));
    let events = client.events();
    let mut far = agent.accept().await;
    send_all(&client, 0..100);
    let other = client.clone();
    drop(client);
    settle().await;
    assert!(!agent.is_left(), "one handle is left");
    drop(other);
    // It stays for a second in case the agent takes something.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(agent.is_left());
    let read = far.rest().await.len() as u64;
    let mut told = Vec::new();
    while let Some(event) = events.next_wait().await {
        told.push((event.kind, event.count));
    }
    assert!(told.contains(&(EventKind::Dropped(DropReason::Closed), 100 - read)), "{told:?}");
    assert!(told.contains(&(EventKind::Closed, 1)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_agent_takes_in_time_is_written_after_the_last_handle_is_gone() {
    let (transport, mut agent) = pipes(2_000);
    let client = start(Client::builder(service(), transport));
    let events = client.events();
    let mut far = agent.accept().await;
    send_all(&client, 0..100);
    drop(client);
    assert_eq!(far.rest().await, (0..100).collect::<Vec<_>>());
    assert!(agent.is_left());
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).map(|event| event.kind).collect();
    assert!(!told.contains(&EventKind::Dropped(DropReason::Closed)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_leaves_everything_to_close() {
    let (transport, _agent) = pipes(2_000);
    let (client, driver) = Client::builder(service(), transport).build_detached().unwrap();
    send_all(&client, 0..10);
    drop(driver);
    client.send(Plane::Data, record(10)).unwrap_err();
    let left = client.close_wait_until(std::future::pending()).await;
    assert_eq!(seqs(&left), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_wakes_for_heartbeats_only() {
    let (transport, mut agent) = pipes(1 << 16);
    let (client, driver) = Client::builder(service(), transport).build_detached().unwrap();
    let polls = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = polls.clone();
    let mut driver = Box::pin(driver);
    tokio::spawn(std::future::poll_fn(move |cx| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        driver.as_mut().poll(cx)
    }));
    let mut far = agent.accept().await;
    send_all(&client, 0..1);
    far.message().await.unwrap();
    far.message().await.unwrap();
    settle().await;
    let before = polls.load(std::sync::atomic::Ordering::Relaxed);
    // Read as they come: an agent that never reads would be seen as stalled at some time.
    let reader = tokio::spawn(async move { far.rest().await });
    tokio::time::sleep(Duration::from_secs(24 * 3600 + 1)).await;
    let woken = polls.load(std::sync::atomic::Ordering::Relaxed) - before;
    assert_eq!(ledger(&client).heartbeats, 1 + 48);
    assert!(woken <= 49, "woken {woken} times in a day");
    drop(client);
    reader.await.unwrap();
}

#[test]
fn the_way_to_nowhere_counts_everything_as_written() {
    let client = Client::builder(service(), NoopTransport::new()).build().unwrap();
    send_all(&client, 0..1_000);
    let left = client.close(Duration::from_secs(60));
    assert!(left.is_empty());
    assert_eq!((left.ledger.written, left.ledger.heartbeats), (1_000, 1));
}

#[tokio::test(start_paused = true)]
async fn what_the_agent_breaks_while_the_client_closes_is_sent_again() {
    let (transport, mut agent) = pipes(64 * 1024);
    let client = start(Client::builder(service(), transport).retain_bytes(64 * 1024));
    send_all(&client, 0..20);
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close_wait_until(tokio::time::sleep(Duration::from_secs(30))).await }
    });
    // All is written, and the agent dies over it.
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(5).await, (0..5).collect::<Vec<_>>());
    settle().await;
    assert!(!closing.is_finished(), "the agent is watched");
    drop(far);
    // The next one reads to the end, and closes when it is told that no more comes.
    let mut far = agent.accept().await;
    assert_eq!(far.rest().await, (0..20).collect::<Vec<_>>());
    drop(far);
    let left = closing.await.unwrap();
    assert!(left.is_empty() && left.ledger.is_balanced());
    assert_eq!((left.ledger.written, left.ledger.resent), (20, 20));
    assert_eq!(left.ledger.unconfirmed, 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_again_at_the_end_is_told() {
    let (transport, mut agent) = pipes(64 * 1024);
    // As much as a socket may hold, so that nothing is given up before.
    let client = start(Client::builder(service(), transport).retain_bytes(512 * 1024));
    send_all(&client, 0..20);
    let far = agent.accept().await;
    settle().await;
    agent.always(Answer::Refuse);
    drop(far);
    let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(5))).await;
    assert!(left.is_empty() && left.ledger.is_balanced());
    let ledger = left.ledger;
    assert_eq!((ledger.written, ledger.resent, ledger.unconfirmed), (20, 0, 20));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_again_because_there_is_no_way_any_more_is_told() {
    let (transport, mut agent) = pipes(64 * 1024);
    let client = start(Client::builder(service(), transport).retain_bytes(512 * 1024));
    send_all(&client, 0..20);
    let far = agent.accept().await;
    settle().await;
    agent.always(Answer::Forbid);
    drop(far);
    assert!(client.state().until_wait(State::Closed).await);
    let ledger = ledger(&client);
    assert_eq!((ledger.written, ledger.resent, ledger.unconfirmed), (20, 0, 20));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_stays_holds_nobody_up() {
    let (transport, mut agent) = pipes(64 * 1024);
    let client = start(Client::builder(service(), transport).retain_bytes(64 * 1024));
    send_all(&client, 0..20);
    let _far = agent.accept().await;
    let started = Instant::now();
    let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(30))).await;
    assert!(left.is_empty());
    assert!(started.elapsed() <= Duration::from_millis(1_200), "{:?}", started.elapsed());
}
