//! What callers meet: acceptance, refusal, overflow, hooks, receipts, events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ev_audit::transport::{MemoryTransport, NoopTransport};
use ev_audit::{
    BuildError, Client, DropReason, EventKind, ManualClock, Outcome, Overflow, Plane, Problem,
    Record, Refused, Retry, Rules, ServiceId, SpillSettings,
};

use crate::rig::{Answer, ledger, pipes, record, send_all, seq, service, settle, start};

/// A client whose agent never comes, with room for `records`.
fn full_after(records: usize, overflow: Overflow) -> (Client, crate::rig::Agent) {
    let (transport, agent) = pipes(1_000);
    agent.always(Answer::Refuse);
    let builder = Client::builder(service(), transport).max_queue_records(records);
    (start(builder.overflow(overflow)), agent)
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_gives_the_record_back_at_once() {
    let (client, _agent) = full_after(1, Overflow::Reject);
    let events = client.events();
    send_all(&client, 0..1);
    for number in 1..10_000 {
        let refused = client.send(Plane::Data, record(number)).unwrap_err();
        assert!(matches!(refused.reason(), Refused::QueueFull), "{refused:?}");
        assert!(refused.reason().is_retryable() && !refused.is_unrecoverable());
        assert_eq!((refused.plane(), seq(refused.record())), (Plane::Data, number));
        assert_eq!(refused.into_record(), record(number));
    }
    let ledger = ledger(&client);
    assert_eq!((ledger.accepted, ledger.pending, ledger.refused.queue_full), (1, 1, 9_999));
    let full = std::iter::from_fn(|| events.try_next())
        .find(|event| event.kind == EventKind::QueueFull)
        .unwrap();
    assert_eq!(full.count, 9_999, "told once, with the count");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_by_bytes_too() {
    let (transport, agent) = pipes(1_000);
    agent.always(Answer::Refuse);
    let client = start(Client::builder(service(), transport).max_queue_bytes(10_000));
    let accepted =
        (0..1_000).take_while(|number| client.send(Plane::Data, record(*number)).is_ok());
    let accepted = accepted.count() as u64;
    let ledger = ledger(&client);
    assert_eq!(ledger.pending, accepted);
    assert!((9_000..=10_000).contains(&ledger.pending_bytes), "{ledger:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_longer_than_the_queue_is_refused_and_disturbs_nothing() {
    let (transport, mut agent) = pipes(1 << 20);
    let client = start(Client::builder(service(), transport).max_queue_bytes(10_000));
    let mut far = agent.accept().await;
    let mut large = record(1);
    large.operation_name = "x".repeat(20_000);
    send_all(&client, 0..1);
    let refused = client.send(Plane::Data, large.clone()).unwrap_err();
    assert!(matches!(refused.reason(), Refused::TooLarge { limit: 10_000, .. }), "{refused:?}");
    assert!(!refused.reason().is_retryable());
    assert_eq!(refused.into_record(), large);
    send_all(&client, 2..3);
    assert_eq!(far.seqs(2).await, [0, 2]);
    let ledger = ledger(&client);
    assert_eq!((ledger.connections, ledger.disconnects, ledger.refused.invalid), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_record_comes_back_with_the_first_problem_or_all() {
    for all in [false, true] {
        let (client, driver) = Client::builder(service(), NoopTransport::new())
            .report_all_problems(all)
            .build_detached()
            .unwrap();
        let mut bad = record(0);
        bad.operation_name.clear();
        bad.caller_agent.clear();
        let refused = client.send(Plane::Control, bad.clone()).unwrap_err();
        let Refused::Invalid(problems) = refused.reason() else { panic!("{refused:?}") };
        let wanted: &[Problem] = &[Problem::OperationName, Problem::CallerAgent];
        assert_eq!(problems, if all { wanted } else { &wanted[..1] });
        assert!(refused.to_string().ends_with(if all {
            "operation name is required, caller agent is required"
        } else {
            ": operation name is required"
        }));
        assert_eq!(refused.into_record(), bad);
        assert_eq!(client.ledger().refused.invalid, 1);
        drop(driver);
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_make_room_and_are_handed_to_the_handler() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (transport, mut agent) = pipes(1 << 20);
    agent.always(Answer::Refuse);
    let handler = seen.clone();
    let client = start(
        Client::builder(service(), transport)
            .max_queue_records(10)
            .overflow(Overflow::DropOldest)
            .on_overflow(move |_, record: &Record| handler.lock().unwrap().push(seq(record))),
    );
    let events = client.events();
    send_all(&client, 0..25);
    assert_eq!(*seen.lock().unwrap(), (0..15).collect::<Vec<_>>());
    let full = ledger(&client);
    assert_eq!((full.pending, full.dropped.displaced), (10, 15));
    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(10).await, (15..25).collect::<Vec<_>>());
    let told = std::iter::from_fn(|| events.try_next())
        .find(|event| event.kind == EventKind::Dropped(DropReason::Displaced));
    assert_eq!(told.map(|event| event.count), Some(15));
}

#[tokio::test(start_paused = true)]
async fn the_overflow_handler_sees_what_goes_back_and_its_panic_is_contained() {
    let (transport, agent) = pipes(1_000);
    agent.always(Answer::Refuse);
    let seen = Arc::new(AtomicU64::new(0));
    let handler = seen.clone();
    let client = start(Client::builder(service(), transport).max_queue_records(1).on_overflow(
        move |plane, record: &Record| {
            assert_eq!(plane, Plane::Control);
            handler.fetch_add(seq(record), Ordering::Relaxed);
            panic!("a handler that cannot cope");
        },
    ));
    send_all(&client, 0..1);
    for number in [5, 6] {
        let refused = client.send(Plane::Control, record(number)).unwrap_err();
        assert!(matches!(refused.reason(), Refused::QueueFull));
    }
    assert_eq!(seen.load(Ordering::Relaxed), 11);
    let events = client.events();
    let told = std::iter::from_fn(|| events.try_next())
        .find(|event| event.kind == EventKind::HookPanicked);
    assert_eq!(told.map(|event| event.count), Some(2));
}

#[test]
fn a_caller_may_block_for_a_while_and_gets_the_record_back() {
    let (transport, agent) = pipes(1_000);
    agent.always(Answer::Refuse);
    let client = Client::builder(service(), transport)
        .max_queue_records(1)
        .overflow(Overflow::Block(Duration::from_millis(20)))
        .build()
        .unwrap();
    send_all(&client, 0..1);
    let by_policy = client.send(Plane::Data, record(1)).unwrap_err();
    let by_call =
        client.send_timeout(Plane::Data, record(2), Duration::from_millis(1)).unwrap_err();
    for (refused, number) in [(by_policy, 1), (by_call, 2)] {
        assert!(matches!(refused.reason(), Refused::TimedOut), "{refused:?}");
        assert_eq!(seq(&refused.into_record()), number);
    }
    let ledger = ledger(&client);
    assert_eq!((ledger.refused.timed_out, ledger.dropped.total()), (2, 0), "returned, not dropped");
    assert_eq!(client.close(Duration::ZERO).records.len(), 1);
}

#[test]
fn a_blocked_caller_goes_on_when_there_is_room() {
    let (transport, audited) = MemoryTransport::new();
    let client = Client::builder(service(), transport).max_queue_records(1).build().unwrap();
    for number in 0..500 {
        client.send_timeout(Plane::Data, record(number), Duration::from_secs(60)).unwrap();
    }
    let records = audited.wait_for(500, Duration::from_secs(60));
    let seqs: Vec<u64> = records.iter().map(|audited| seq(&audited.record)).collect();
    assert_eq!(seqs, (0..500).collect::<Vec<_>>());
    assert_eq!(audited.heartbeats(), 1);
    assert!(client.close(Duration::from_secs(60)).is_empty());
}

#[test]
fn a_blocked_caller_is_let_go_when_the_client_closes() {
    let (transport, agent) = pipes(1_000);
    agent.always(Answer::Refuse);
    let client = Client::builder(service(), transport).max_queue_records(1).build().unwrap();
    send_all(&client, 0..1);
    let blocked = std::thread::spawn({
        let client = client.clone();
        move || client.send_timeout(Plane::Data, record(1), Duration::from_secs(600))
    });
    assert_eq!(client.close(Duration::ZERO).records.len(), 1);
    let refused = blocked.join().unwrap().unwrap_err();
    assert!(matches!(refused.reason(), Refused::Closed), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn an_async_caller_waits_for_room_or_until_its_limit() {
    let (client, mut agent) = full_after(1, Overflow::Reject);
    send_all(&client, 0..1);
    let limit = tokio::time::sleep(Duration::from_secs(5));
    let refused = client.send_wait_until(Plane::Data, record(1), limit).await.unwrap_err();
    assert!(matches!(refused.reason(), Refused::TimedOut));
    assert_eq!(seq(&refused.into_record()), 1);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.send_wait(Plane::Data, record(2)).await }
    });
    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(2).await, [0, 2]);
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_an_async_send_takes_nothing_back_and_disturbs_no_connection() {
    let (transport, mut agent) = pipes(1_000);
    let client = start(Client::builder(service(), transport).max_queue_records(4));
    let mut far = agent.accept().await;
    // A storm of callers that give up: some before there was room, some behind it.
    for number in 0..200 {
        let send = client.send_wait(Plane::Data, record(number));
        drop(tokio::time::timeout(Duration::from_millis(1), send).await);
    }
    let stalled = ledger(&client);
    assert!(stalled.accepted >= 4 && stalled.accepted < 200, "{stalled:?}");
    let accepted = usize::try_from(stalled.accepted).unwrap();
    assert_eq!(far.seqs(accepted).await, (0..stalled.accepted).collect::<Vec<_>>());
    settle().await;
    let ledger = ledger(&client);
    assert_eq!((ledger.written, ledger.connections, ledger.disconnects), (stalled.accepted, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn hooks_fill_in_before_validation_and_redact_before_encoding() {
    let (transport, mut agent) = pipes(1 << 16);
    let observed = Arc::new(Mutex::new(Vec::new()));
    let log = observed.clone();
    let client = start(
        Client::builder(service(), transport)
            .enrich(|_, record| {
                if record.operation_name == "refuse me" {
                    return Err("not this one".into());
                }
                record.caller_agent = "filled in".to_owned();
                Ok(())
            })
            .redact(|_, record| {
                for identities in record.caller_identities.values_mut() {
                    for identity in identities.iter_mut() {
                        identity.identity = "redacted".to_owned();
                    }
                }
            })
            .observe(move |plane, record: &Record| {
                log.lock().unwrap().push((plane, record.caller_agent.clone()));
            }),
    );
    let mut far = agent.accept().await;
    let mut bare = record(0);
    bare.caller_agent.clear();
    client.send(Plane::Data, bare.clone()).unwrap();
    client.send_ref(Plane::Control, &bare).unwrap();
    assert!(bare.caller_agent.is_empty(), "the caller's own is not touched");

    let mut refused = record(1);
    refused.operation_name = "refuse me".to_owned();
    let refused = client.send(Plane::Data, refused).unwrap_err();
    let Refused::Hook(cause) = refused.reason() else { panic!("{refused:?}") };
    assert_eq!(cause.to_string(), "not this one");

    for plane in ["AsmAuditDP", "AsmAuditHB", "AsmAuditCP"] {
        let message = far.message().await.unwrap();
        assert_eq!(message.tag(), plane);
        if let Some(record) = message.record() {
            assert_eq!(record.caller_agent, "filled in");
            let mut identities = record.caller_identities.values().flat_map(|all| all.iter());
            assert!(identities.all(|identity| identity.identity == "redacted"));
        }
    }
    let filled = || "filled in".to_owned();
    assert_eq!(*observed.lock().unwrap(), [(Plane::Data, filled()), (Plane::Control, filled())]);
    assert_eq!(ledger(&client).refused.hook, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_hook_is_contained_and_nothing_of_the_record_leaves() {
    let (transport, mut agent) = pipes(1 << 16);
    let client = start(
        Client::builder(service(), transport)
            .redact(|_, record| assert_ne!(seq(record), 1, "a hook that cannot cope"))
            .observe(|_, record: &Record| assert_ne!(seq(record), 2, "likewise")),
    );
    let mut far = agent.accept().await;
    send_all(&client, 0..1);
    let refused = client.send(Plane::Data, record(1)).unwrap_err();
    assert!(matches!(refused.reason(), Refused::HookPanicked), "{refused:?}");
    assert_eq!(seq(&refused.into_record()), 1);
    send_all(&client, 2..4);
    assert_eq!(far.seqs(3).await, [0, 2, 3]);
    assert_eq!(ledger(&client).accepted, 3);
    let events = client.events();
    let told = std::iter::from_fn(|| events.try_next())
        .find(|event| event.kind == EventKind::HookPanicked);
    assert_eq!(told.map(|event| event.count), Some(2));
}

#[tokio::test(start_paused = true)]
async fn receipts_tell_what_became_of_each_record() {
    let (transport, mut agent) = pipes(1 << 16);
    agent.always(Answer::Refuse);
    let client = start(
        Client::builder(service(), transport).max_queue_records(2).overflow(Overflow::DropOldest),
    );
    let displaced = client.send_with_receipt(Plane::Data, record(0)).unwrap();
    let written = client.send_with_receipt(Plane::Data, record(1)).unwrap();
    send_all(&client, 2..3);
    assert_eq!(displaced.await, Outcome::Dropped(DropReason::Displaced));
    assert_eq!(written.outcome(), None);
    agent.always(Answer::Accept);
    let far = agent.accept().await;
    assert_eq!(written.await, Outcome::Written);
    agent.always(Answer::Refuse);
    drop(far);
    settle().await;
    let left = client.send_with_receipt(Plane::Data, record(3)).unwrap();
    assert_eq!(client.close_wait_until(std::future::ready(())).await.records.len(), 1);
    assert_eq!(left.await, Outcome::Dropped(DropReason::Closed));
    client.send_with_receipt(Plane::Data, record(4)).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_the_record_after_send_changes_nothing() {
    let (transport, mut agent) = pipes(1 << 16);
    agent.always(Answer::Refuse);
    let client = start(Client::builder(service(), transport).clock(ManualClock::at(5)));
    let mut kept = record(0);
    // Lists with duplicates, which are sorted and compacted on the wire.
    let levels = ["b", "a", "b", "a"].map(str::to_owned);
    kept.caller_access_levels = levels.clone().into();
    let before = kept.clone();
    client.send_ref(Plane::Data, &kept).unwrap();
    assert_eq!(kept, before);
    kept.operation_name = "changed later".to_owned();
    kept.caller_access_levels = Vec::new().into();
    agent.always(Answer::Accept);
    for _ in 0..3 {
        // Each connection begins with a record that was sent before it was opened: whichever it
        // is, it is as it was at its send.
        client.send_ref(Plane::Data, &before).unwrap();
        let mut far = agent.accept().await;
        let message = far.message().await.unwrap();
        let record = message.record().unwrap();
        assert_eq!(record.operation_name, "Operation");
        assert_eq!(record.caller_access_levels.iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}

#[test]
fn a_send_allocates_nothing_but_the_memory_of_the_queue() {
    let (transport, agent) = pipes(1_000);
    agent.always(Answer::Refuse);
    let client = Client::builder(service(), transport).build().unwrap();
    let record = record(0);
    // The first ones make the buffer of this thread and the first chunk.
    for _ in 0..10 {
        client.send_ref(Plane::Data, &record).unwrap();
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            client.send_ref(Plane::Data, &record).unwrap();
        }
    });
    // Every hundredth record or so begins a chunk of 64 KiB: its bytes, its ends, its count.
    assert!(counted.count_total <= 120, "{counted:?} for 1,000 sends");
    let ledger = ledger(&client);
    assert!(counted.bytes_total < ledger.pending_bytes * 3 / 2, "{counted:?}, {ledger:?}");
    assert_eq!(client.close(Duration::ZERO).records.len(), 1_010);
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_range_are_refused_by_name() {
    let builder = || Client::builder(service(), NoopTransport::new());
    let name = |error: BuildError| match error {
        BuildError::Setting { setting, .. } => setting,
        other => panic!("{other}"),
    };
    let wrong = [
        ("max_queue_bytes", builder().max_queue_bytes(0)),
        ("max_queue_records", builder().max_queue_records(0)),
        ("connect_timeout", builder().connect_timeout(Duration::ZERO)),
        ("write_deadline", builder().write_deadline(Duration::ZERO)),
        ("heartbeat_interval", builder().heartbeat_interval(Duration::from_millis(999))),
        ("retry.first", builder().retry(Retry { first: Duration::ZERO, ..Retry::default() })),
        ("retry.longest", builder().retry(Retry { longest: Duration::ZERO, ..Retry::default() })),
    ];
    for (setting, builder) in wrong {
        assert_eq!(name(builder.build_detached().unwrap_err()), setting);
    }
    // A directory that could never take anything, or keep it, is not even made.
    let dir = tempfile::tempdir().unwrap();
    let spill = || SpillSettings::new(dir.path().join("spill"));
    let (mut no_room, mut no_segment, mut no_time) = (spill(), spill(), spill());
    no_room.max_bytes = 0;
    no_segment.segment_bytes = 0;
    no_time.max_age = Some(Duration::ZERO);
    for (setting, settings) in [
        ("spill.max_bytes", no_room),
        ("spill.segment_bytes", no_segment),
        ("spill.max_age", no_time),
    ] {
        let builder = builder().overflow(Overflow::Spill(settings));
        assert_eq!(name(builder.build_detached().unwrap_err()), setting);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let year = Duration::from_secs(365 * 24 * 3600);
    let longer = year + Duration::from_nanos(1);
    let lasting = |longest| Retry { longest, ..Retry::default() };
    for (setting, too_long, longest) in [
        ("connect_timeout", builder().connect_timeout(longer), builder().connect_timeout(year)),
        ("write_deadline", builder().write_deadline(longer), builder().write_deadline(year)),
        (
            "heartbeat_interval",
            builder().heartbeat_interval(Duration::MAX),
            builder().heartbeat_interval(year),
        ),
        ("retry.longest", builder().retry(lasting(longer)), builder().retry(lasting(year))),
        ("linger", builder().linger(longer), builder().linger(year)),
    ] {
        match too_long.build_detached().unwrap_err() {
            BuildError::TooLong { setting: named, longest } => {
                assert_eq!((named, longest), (setting, year));
            }
            other => panic!("{setting}: {other}"),
        }
        assert!(longest.build_detached().is_ok(), "{setting}");
    }
    // The least of each, none at all, and what is set when nothing is.
    let least = Duration::from_nanos(1);
    let smallest = builder()
        .max_queue_bytes(1)
        .max_queue_records(1)
        .connect_timeout(least)
        .write_deadline(least)
        .heartbeat_interval(Duration::from_secs(1))
        .linger(Duration::ZERO)
        .retry(Retry { first: least, longest: least, ..Retry::default() });
    assert!(smallest.build_detached().is_ok());
    assert!(builder().build_detached().is_ok());
    let nobody = Client::builder(ServiceId::default(), NoopTransport::new());
    assert!(matches!(nobody.build().unwrap_err(), BuildError::NoServiceId));
}

#[tokio::test(start_paused = true)]
async fn rules_are_those_of_the_client() {
    let client = start(Client::builder(service(), NoopTransport::new()).rules(Rules::strict()));
    let mut local = record(0);
    local.caller_ip = Some("127.0.0.1".parse().unwrap());
    client.send(Plane::Data, local.clone()).unwrap_err();
    let rules = Rules::strict().with_loopback();
    let client = start(Client::builder(service(), NoopTransport::new()).rules(rules));
    client.send(Plane::Data, local).unwrap();
}
