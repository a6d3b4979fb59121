//! What the list of tests of the client that the format comes from asks for, and no other test
//! here shows.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ev_audit::transport::{MemoryTransport, NoopTransport};
use ev_audit::{
    Client, Event, EventKind, Heartbeat, Message, Overflow, Plane, Refused, State, wire,
};
use tokio::time::Instant;

use crate::rig::{Answer, ledger, pipes, record, send_all, seq, service, settle, start};

/// More than a test writes.
const PIPE: usize = 1 << 20;

fn kinds(client: &Client) -> Vec<(EventKind, u64)> {
    let events = client.events();
    std::iter::from_fn(|| events.try_next())
        .map(|Event { kind, count, .. }| (kind, count))
        .collect()
}

#[test]
fn records_and_heartbeats_have_the_service_under_keys_of_their_own() {
    let holds = |frame: &[u8], text: &str| {
        frame.windows(text.len()).any(|window| window == text.as_bytes())
    };
    for plane in [Plane::Data, Plane::Control] {
        let mut frame = Vec::new();
        wire::encode_record(&mut frame, plane, &record(0), &service(), 1);
        assert!(holds(&frame, "env_ikey") && holds(&frame, service().as_str()));
        assert!(!holds(&frame, "ServiceTreeID") && !holds(&frame, "AsmAuditServiceId"));
    }
    let mut frame = Vec::new();
    let heartbeat = Heartbeat { service: service(), ..Heartbeat::default() };
    wire::encode_heartbeat(&mut frame, &heartbeat, 1);
    assert!(holds(&frame, "AsmAuditServiceId") && holds(&frame, service().as_str()));
    assert!(!holds(&frame, "ServiceTreeID") && !holds(&frame, "env_ikey"));
}

#[test]
fn a_clean_run_tells_of_its_beginning_and_its_end_only() {
    let (transport, _audited) = MemoryTransport::new();
    let client = Client::builder(service(), transport).build().unwrap();
    send_all(&client, 0..10);
    assert!(client.close(Duration::from_secs(60)).is_empty());
    assert_eq!(kinds(&client), [(EventKind::Connected, 1), (EventKind::Closed, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_and_a_failed_attempt_are_told_once_each() {
    let (transport, mut agent) = pipes(PIPE);
    agent.next([Answer::Accept, Answer::Refuse, Answer::Accept]);
    let client = start(Client::builder(service(), transport));
    send_all(&client, 0..1);
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(1).await, [0]);
    assert_eq!(kinds(&client), [(EventKind::Connected, 1)]);

    drop(far);
    let mut far = agent.accept().await;
    send_all(&client, 1..2);
    assert_eq!(far.seqs(1).await, [1]);
    assert_eq!(
        kinds(&client),
        [(EventKind::Disconnected, 1), (EventKind::ConnectFailed, 1), (EventKind::Reconnected, 1)]
    );
    assert_eq!(client.state().state(), State::Up);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_at_a_reconnect_closes_the_client_and_keeps_what_is_pending() {
    let (transport, mut agent) = pipes(PIPE);
    agent.next([Answer::Accept, Answer::Refuse, Answer::Forbid]);
    let client = start(Client::builder(service(), transport));
    let mut state = client.state();
    send_all(&client, 0..1);
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(1).await, [0]);
    drop(far);
    settle().await;
    send_all(&client, 1..4);
    assert!(state.until_wait(State::Closed).await);
    let refused = client.send(Plane::Data, record(4)).unwrap_err();
    assert!(matches!(refused.reason(), Refused::Closed) && refused.is_unrecoverable());
    let told = kinds(&client);
    assert_eq!(
        told.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [
            EventKind::Connected,
            EventKind::Disconnected,
            EventKind::ConnectFailed,
            EventKind::Closed
        ]
    );
    let left = client.close_wait_until(std::future::ready(())).await;
    assert_eq!(
        left.records.iter().map(|unsent| seq(&unsent.record)).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_stands_behind_the_first_record_whatever_its_plane() {
    let (transport, mut agent) = pipes(PIPE);
    let client = start(Client::builder(service(), transport));
    client.send(Plane::Control, record(0)).unwrap();
    client.send(Plane::Data, record(1)).unwrap();
    let mut far = agent.accept().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(match far.message().await.unwrap() {
            Message::Record { plane, .. } => format!("{plane:?}"),
            other => other.tag().to_owned(),
        });
    }
    assert_eq!(seen, ["Control", "AsmAuditHB", "Data"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_into_a_full_queue_drops_nothing() {
    let (transport, mut agent) = pipes(64);
    let client = start(Client::builder(service(), transport).max_queue_records(5));
    send_all(&client, 0..5);
    // The first frame is on its way, cut; there is no room to put it back.
    let far = agent.accept().await;
    settle().await;
    let refused = client.send(Plane::Data, record(5)).unwrap_err();
    assert!(matches!(refused.reason(), Refused::QueueFull));
    drop(far);
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(5).await, [0, 1, 2, 3, 4]);
    settle().await;
    let ledger = ledger(&client);
    assert_eq!((ledger.accepted, ledger.written, ledger.dropped.total()), (5, 5, 0));
    assert_eq!(ledger.refused.queue_full, 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_sends_into_a_queue_of_one_do_not_wait() {
    let (transport, mut agent) = pipes(16);
    let client = start(Client::builder(service(), transport).max_queue_records(1));
    let _never_reads = agent.accept().await;
    let before = Instant::now();
    let mut full = 0;
    for number in 0..10_000 {
        // Nothing else runs here between two sends: one that waited would wait for ever.
        match client.send(Plane::Data, record(number)) {
            Ok(()) => {}
            Err(refused) => {
                assert!(matches!(refused.reason(), Refused::QueueFull), "{refused}");
                assert_eq!(seq(refused.record()), number);
                full += 1;
            }
        }
    }
    assert_eq!((full, before.elapsed()), (9_999, Duration::ZERO));
    assert_eq!(kinds(&client).last(), Some(&(EventKind::QueueFull, 9_999)));
    assert_eq!(ledger(&client).accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_at_once_gets_its_record_back_from_a_full_queue() {
    let (transport, _agent) = pipes(16);
    let client = start(Client::builder(service(), transport).max_queue_records(1));
    send_all(&client, 0..1);
    let given_up = std::future::ready(());
    let refused = client.send_wait_until(Plane::Data, record(1), given_up).await.unwrap_err();
    assert!(matches!(refused.reason(), Refused::TimedOut));
    assert_eq!((seq(refused.record()), ledger(&client).accepted), (1, 1));
}

#[test]
fn hooks_may_use_the_client() {
    let own = Arc::new(OnceLock::<Client>::new());
    let of_hooks = own.clone();
    let builder = Client::builder(service(), NoopTransport::new());
    let client = builder
        .enrich(move |_, record| {
            // A hook that held a lock of the client would stand still here.
            let client = of_hooks.get().expect("set below");
            if seq(record) == 0 {
                send_all(client, 1..3);
            }
            record.caller_agent = format!("behind {}", client.ledger().accepted);
            Ok(())
        })
        .overflow(Overflow::Block(Duration::from_secs(60)))
        .build()
        .unwrap();
    own.set(client.clone()).expect("set once");
    send_all(&client, 0..1);
    let left = client.close(Duration::from_secs(60));
    assert!(left.is_empty());
    assert_eq!(left.ledger.accepted, 3);
}

/// By default the crate needs a runtime, system calls, a checksum and its own messages; neither
/// OpenTelemetry nor anything of a cluster comes along, features or not.
#[test]
fn dependencies_are_few() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (dependencies, _) = rest.split_once("\n\n").unwrap();
    let names = |optional: bool| -> Vec<&str> {
        let lines = dependencies.lines().filter(|line| line.contains("optional") == optional);
        lines.map(|line| line.split(['.', ' ']).next().unwrap()).collect()
    };
    assert_eq!(names(false), ["crc32fast", "rustix", "thiserror", "tokio", "tracing"]);
    assert_eq!(
        names(true),
        [
            "ev-tls",
            "log",
            "metrics",
            "prost",
            "rustls",
            "serde",
            "tokio-rustls",
            "tracing-subscriber"
        ]
    );
    assert!(!manifest.contains("\ndefault = "), "no feature is on by default");
}

/// Nobody acknowledges anything, so nobody here says more than *queued* and *written*.
#[test]
fn no_word_promises_what_the_protocol_does_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    let mut files = vec![root.join("../../docs/audit-client.md"), root.join("Cargo.toml")];
    let mut folders = vec![root.join("src"), root.join("examples")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let known = if path.is_dir() { &mut folders } else { &mut files };
            known.push(path);
        }
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap().to_lowercase();
        assert!(!text.contains("deliver"), "{}", file.display());
        seen += 1;
    }
    assert!(seen > 50, "{seen} files");
}

/// Those of the client say so in their name, all others at least in their documentation.
#[test]
fn only_functions_that_say_so_wait() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let (mut of_client, mut others) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let mut documentation = String::new();
            for line in text.lines().map(str::trim) {
                if let Some(words) = line.strip_prefix("///") {
                    documentation.push_str(words);
                    continue;
                }
                let waits = line.strip_prefix("pub async fn ").or_else(|| {
                    let rest = line.strip_prefix("pub fn ")?;
                    rest.contains("Future<").then_some(rest)
                });
                if let Some(rest) = waits {
                    let name = rest.split(['(', '<']).next().unwrap();
                    let says = |text: &str| text.to_lowercase().contains("wait");
                    if path.starts_with(root.join("client")) {
                        of_client += 1;
                        assert!(says(name), "`{name}` waits and does not say so");
                    } else {
                        others.push(name.to_owned());
                        assert!(says(&documentation), "`{name}` waits, in {}", path.display());
                    }
                }
                // Attributes may stand between.
                if !line.starts_with("#[") {
                    documentation.clear();
                }
            }
        }
    }
    others.sort_unstable();
    assert_eq!(others, ["close", "open", "open", "send", "send_heartbeat", "until"]);
    assert!(of_client >= 7, "{of_client}");
}
