//! Records that go by way of the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ev_audit::{
    Client, ClientBuilder, DropReason, EventKind, ManualClock, Outcome, Overflow, Plane, Refused,
    SpillSettings,
};

use tokio::time::Instant;

use crate::rig::{
    Answer, PipeTransport, ledger, pipes, record, send_all, seq, service, settle, start,
};

const PIPE: usize = 64 * 1024;

/// A client that has room for few records in memory.
fn builder(transport: PipeTransport, settings: SpillSettings) -> ClientBuilder {
    Client::builder(service(), transport)
        .max_queue_bytes(64 * 1024)
        .overflow(Overflow::Spill(settings))
}

fn spill(dir: &Path) -> SpillSettings {
    SpillSettings::new(dir.join("spill"))
}

async fn send_waiting(client: &Client, seqs: std::ops::Range<u64>) {
    for seq in seqs {
        client.send_wait(Plane::Data, record(seq)).await.expect("there will be room");
    }
}

/// Waits until so many lie on disk.
async fn until_spilled(client: &Client, records: u64) {
    while ledger(client).spilled < records {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_goes_to_disk_and_comes_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, mut agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, spill(dir.path())));
    let receipt = client.send_with_receipt(Plane::Data, record(0)).unwrap();
    send_waiting(&client, 1..5_000).await;
    let away = ledger(&client);
    assert!(away.spilled > 4_500, "{away:?}");
    assert_eq!((away.accepted, away.dropped.total()), (5_000, 0));
    assert_eq!(receipt.outcome(), None);

    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    let reader = tokio::spawn(async move {
        let seqs = far.seqs(8_000).await;
        (far, seqs)
    });
    // New ones come while old ones are read back.
    send_waiting(&client, 5_000..8_000).await;
    let (_far, seqs) = reader.await.unwrap();
    assert_eq!(seqs, (0..8_000).collect::<Vec<_>>());
    assert_eq!(receipt.await, Outcome::Written);
    assert!(client.flush_wait_until(std::future::pending()).await.is_empty());
    let back = ledger(&client);
    assert_eq!((back.written, back.spilled, back.resent), (8_000, 0, 0));
    let events = client.events();
    let spilled =
        std::iter::from_fn(|| events.try_next()).find(|event| event.kind == EventKind::Spilled);
    assert!(spilled.is_some_and(|event| event.count >= away.spilled));
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_somebody_removed_takes_nothing_and_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, spill(dir.path())));
    send_waiting(&client, 0..1_000).await;
    until_spilled(&client, 800).await;
    std::fs::remove_dir_all(dir.path().join("spill")).unwrap();
    // Memory takes what it has room for, and then records come back.
    let mut seqs = 1_000..;
    let refused = loop {
        let limit = tokio::time::sleep(Duration::from_secs(5));
        let sent = client.send_wait_until(Plane::Data, record(seqs.next().unwrap()), limit).await;
        if let Err(refused) = sent {
            break refused;
        }
    };
    assert!(matches!(refused.reason(), Refused::TimedOut));
    let before = ledger(&client);
    let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(1))).await;
    assert!(before.pending > 0 && left.records.len() as u64 == before.pending, "{before:?}");
    assert_eq!(left.spilled, before.spilled, "nothing more was put there");
    let events = client.events();
    let failed =
        std::iter::from_fn(|| events.try_next()).find(|event| event.kind == EventKind::SpillFailed);
    assert!(failed.is_some_and(|event| event.detail.contains("was removed while it was in use")));
}

#[tokio::test(start_paused = true)]
async fn what_lies_on_disk_when_the_process_dies_goes_first_in_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let (client, driver) = builder(transport, spill(dir.path())).build_detached().unwrap();
    let running = tokio::spawn(driver);
    send_waiting(&client, 0..1_000).await;
    until_spilled(&client, 800).await;
    // Its end without a word: neither close nor drop has a say.
    running.abort();
    running.await.unwrap_err();
    let spilled = ledger(&client).spilled;

    let (transport, mut agent) = pipes(PIPE);
    let client = start(builder(transport, spill(dir.path())));
    let found = ledger(&client);
    assert_eq!((found.accepted, found.recovered, found.spilled), (spilled, spilled, spilled));
    send_all(&client, 5_000..5_010);
    let mut far = agent.accept().await;
    let mut wanted: Vec<u64> = (0..spilled).collect();
    wanted.extend(5_000..5_010);
    assert_eq!(far.seqs(wanted.len()).await, wanted);
    assert!(client.flush_wait_until(std::future::pending()).await.is_empty());
    let ledger = ledger(&client);
    assert_eq!((ledger.written, ledger.resent), (spilled + 10, 0), "none was handed out before");
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_after_a_crash_is_counted_as_resent() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, mut agent) = pipes(1_000);
    agent.always(Answer::Refuse);
    let (client, driver) = builder(transport, spill(dir.path())).build_detached().unwrap();
    let running = tokio::spawn(driver);
    send_waiting(&client, 0..1_000).await;
    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    let mut before = far.seqs(300).await;
    assert_eq!(before, (0..300).collect::<Vec<_>>());
    running.abort();
    running.await.unwrap_err();
    before.extend(far.rest().await);
    let spilled = ledger(&client).spilled;

    let (transport, mut agent) = pipes(PIPE);
    let client = start(builder(transport, spill(dir.path())));
    let mut far = agent.accept().await;
    let recovered = ledger(&client).recovered;
    let after = far.seqs(usize::try_from(recovered).unwrap()).await;
    assert!(client.flush_wait_until(std::future::pending()).await.is_empty());
    let twice = before.iter().filter(|seq| after.contains(seq)).count() as u64;
    let ledger = ledger(&client);
    assert!(twice <= ledger.resent, "{twice} came twice, {} told", ledger.resent);
    assert!(ledger.resent <= 150, "about one write at most: {}", ledger.resent);
    let last = before.last().unwrap();
    assert!(after[0] <= last + 1, "nothing between is missing");
    assert!(after.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order");
    assert!(recovered >= spilled);
}

#[tokio::test(start_paused = true)]
async fn close_puts_away_what_the_agent_does_not_take() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, spill(dir.path())));
    let receipt = client.send_with_receipt(Plane::Data, record(0)).unwrap();
    send_waiting(&client, 1..700).await;
    let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(5))).await;
    assert!(left.records.is_empty());
    assert_eq!((left.spilled, left.ledger.spilled), (700, 700));
    assert!(left.ledger.is_balanced() && !left.is_empty());
    assert_eq!(receipt.await, Outcome::LeftInSpill);

    let (transport, mut agent) = pipes(PIPE);
    let client = start(builder(transport, spill(dir.path())));
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(700).await, (0..700).collect::<Vec<_>>());
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_directory_at_its_limit_refuses_but_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = spill(dir.path());
    settings.max_bytes = 512 * 1024;
    let (transport, mut agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, settings));
    let mut accepted = Vec::new();
    for seq in 0..3_000 {
        let limit = tokio::time::sleep(Duration::from_millis(500));
        match client.send_wait_until(Plane::Data, record(seq), limit).await {
            Ok(()) => accepted.push(seq),
            Err(refused) => {
                assert!(matches!(refused.reason(), Refused::TimedOut));
                if ledger(&client).refused.timed_out >= 5 {
                    break;
                }
            }
        }
    }
    let full = ledger(&client);
    assert!(full.spilled > 0 && full.spilled < 1_600, "{full:?}");
    let events = client.events();
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).map(|event| event.kind).collect();
    assert!(told.contains(&EventKind::SpillFull), "{told:?}");
    assert!(told.contains(&EventKind::QueueFull), "{told:?}");

    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(accepted.len()).await, accepted);
    assert!(client.flush_wait_until(std::future::pending()).await.is_empty());
    assert_eq!(ledger(&client).written, accepted.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_dropped_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = spill(dir.path());
    settings.max_age = Some(Duration::from_secs(3_600));
    let clock = Arc::new(ManualClock::at(1_700_000_000));
    let (transport, mut agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, settings).clock(clock.clone()));
    let old = client.send_with_receipt(Plane::Data, record(0)).unwrap();
    send_waiting(&client, 1..1_000).await;
    let away = ledger(&client);
    clock.advance(Duration::from_secs(5_000));
    // It is looked at once for each attempt to connect.
    tokio::time::sleep(Duration::from_secs(200)).await;
    let later = ledger(&client);
    assert_eq!((later.spilled, later.dropped.expired), (0, away.spilled));
    assert_eq!(old.await, Outcome::Dropped(DropReason::Expired));
    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    let pending = usize::try_from(later.pending).unwrap();
    assert_eq!(far.seqs(pending).await, (away.spilled..1_000).collect::<Vec<_>>());
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("spill")).expect("a directory");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let mut segments: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|name| name == "seg")).collect();
    segments.sort();
    segments
}

#[tokio::test(start_paused = true)]
async fn segments_that_somebody_removed_hold_up_neither_what_is_behind_nor_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, mut agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, spill(dir.path())));
    send_waiting(&client, 0..1_000).await;
    until_spilled(&client, 800).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let away = ledger(&client);
    for segment in segments(dir.path()) {
        std::fs::remove_file(segment).unwrap();
    }
    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    let memory: Vec<u64> = (away.spilled..1_000).collect();
    let limit = Duration::from_secs(60);
    let seqs = tokio::time::timeout(limit, far.seqs(memory.len())).await;
    assert_eq!(seqs.expect("nobody waits for what is gone"), memory);
    assert_eq!(ledger(&client).dropped.unreadable, away.spilled);

    // The same with nothing in memory behind it, and a client that ends.
    send_all(&client, 1_000..1_001);
    assert_eq!(far.seqs(1).await, [1_000]);
    let left = client.close_wait_until(tokio::time::sleep(limit)).await;
    assert!(left.is_empty() && left.ledger.is_balanced());
}

/// A directory in which a client that is gone left records `0..700`.
async fn left_behind(dir: &Path, settings: SpillSettings) {
    let (transport, agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, settings));
    send_waiting(&client, 0..700).await;
    let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(5))).await;
    assert_eq!(left.spilled, 700);
    assert!(!segments(dir).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_records_on_disk_are_all_gone_closes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    left_behind(dir.path(), spill(dir.path())).await;
    let (transport, mut agent) = pipes(PIPE);
    agent.next([Answer::AcceptAfter(Duration::from_secs(5))]);
    let client = start(builder(transport, spill(dir.path())));
    for segment in segments(dir.path()) {
        std::fs::remove_file(segment).unwrap();
    }
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close_wait_until(tokio::time::sleep(Duration::from_secs(600))).await }
    });
    let started = Instant::now();
    let far = agent.accept().await;
    let left = closing.await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert!(left.is_empty() && left.ledger.is_balanced());
    assert_eq!(left.ledger.dropped.unreadable, 700);
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_what_has_expired() {
    for connected in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = spill(dir.path());
        settings.max_age = Some(Duration::from_secs(3_600));
        let clock = Arc::new(ManualClock::at(1_700_000_000));
        {
            let (transport, agent) = pipes(PIPE);
            agent.always(Answer::Refuse);
            let client = start(builder(transport, settings.clone()).clock(clock.clone()));
            send_waiting(&client, 0..700).await;
            let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(5))).await;
            assert_eq!(left.spilled, 700);
        }
        let (transport, mut agent) = pipes(PIPE);
        agent.next([Answer::AcceptAfter(Duration::from_secs(5))]);
        if !connected {
            agent.next([Answer::Refuse; 50]);
        }
        let client = start(builder(transport, settings).clock(clock.clone()));
        let flush = tokio::spawn({
            let client = client.clone();
            let limit = tokio::time::sleep(Duration::from_secs(100_000));
            async move { client.flush_wait_until(limit).await }
        });
        settle().await;
        clock.advance(Duration::from_secs(5_000));
        let started = Instant::now();
        let far = agent.accept().await;
        let left = flush.await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(200), "{:?}", started.elapsed());
        assert!(left.is_empty());
        assert_eq!(ledger(&client).dropped.expired, 700);
        drop(far);
    }
}

#[tokio::test(start_paused = true)]
async fn damage_in_the_middle_costs_the_receipts_of_what_was_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, mut agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, spill(dir.path())));
    let mut receipts = Vec::new();
    for seq in 0..1_000 {
        receipts.push(loop {
            match client.send_with_receipt(Plane::Data, record(seq)) {
                Ok(receipt) => break receipt,
                // There will be room as soon as some lie on disk.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        });
    }
    until_spilled(&client, 800).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let segment = segments(dir.path()).swap_remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    // The heartbeat apart, everything that is left comes.
    let mut seqs = Vec::new();
    while seqs.last() != Some(&999) {
        seqs.extend(far.seqs(1).await);
    }
    let lost = ledger(&client).dropped.unreadable;
    assert!(lost > 0 && lost < 500);
    assert_eq!(seqs.len() as u64 + lost, 1_000);
    for (seq, receipt) in (0..).zip(receipts) {
        let wanted = match seqs.binary_search(&seq) {
            Ok(_) => Outcome::Written,
            Err(_) => Outcome::Dropped(DropReason::Unreadable),
        };
        assert_eq!(receipt.await, wanted, "{seq}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_wrong_with_the_directory_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    left_behind(dir.path(), spill(dir.path())).await;
    let segment = segments(dir.path()).pop().unwrap();
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    std::fs::remove_file(dir.path().join("spill").join("position")).unwrap();
    let (transport, _agent) = pipes(PIPE);
    let client = start(builder(transport, spill(dir.path())));
    let events = client.events();
    let told = std::iter::from_fn(|| events.try_next())
        .find(|event| event.kind == EventKind::SpillDamaged)
        .expect("it is told");
    assert_eq!(told.count, 2);
    let place = dir.path().join("spill").display().to_string();
    assert!(told.detail.contains(&place), "{}", told.detail);
    assert!(told.detail.contains("torn end") && told.detail.contains("position"));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_dies_while_old_records_are_read_back_gets_all_of_them_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, mut agent) = pipes(2_000);
    agent.always(Answer::Refuse);
    let client = start(builder(transport, spill(dir.path())).retain_bytes(256 * 1024));
    // Fewer records than the retain window holds are taken by each connection.
    send_waiting(&client, 0..2_000).await;
    agent.always(Answer::Accept);
    let mut next = 0;
    let mut again = 0;
    while next < 2_000 {
        let mut far = agent.accept().await;
        let mut here = 0;
        while here < 230 && next < 2_000 {
            let seq = far.seqs(1).await[0];
            assert!(seq <= next, "{seq} is missing or out of order, want {next}");
            here += 1;
            if seq == next {
                next += 1;
            } else {
                again += 1;
            }
        }
    }
    assert!(client.flush_wait_until(std::future::pending()).await.is_empty());
    let ledger = ledger(&client);
    assert_eq!((ledger.written, ledger.spilled), (2_000, 0));
    assert!(again > 0 && again <= ledger.resent, "{again} came twice, {} told", ledger.resent);
    let events = client.events();
    let told = std::iter::from_fn(|| events.try_next())
        .find(|event| event.kind == EventKind::Resent)
        .expect("what may come twice is told");
    assert!(told.count >= ledger.resent, "{} told, {} resent", told.count, ledger.resent);
}

#[tokio::test(start_paused = true)]
async fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, _agent) = pipes(PIPE);
    let _first = start(builder(transport, spill(dir.path())));
    let (transport, _agent) = pipes(PIPE);
    let refused = builder(transport, spill(dir.path())).build_detached().unwrap_err();
    assert!(matches!(refused, ev_audit::BuildError::Spill(_)), "{refused}");
}

#[test]
fn with_a_thread_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (transport, agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = builder(transport, spill(dir.path())).build().unwrap();
    for number in 0..3_000 {
        client.send_timeout(Plane::Data, record(number), Duration::from_secs(60)).unwrap();
    }
    let left = client.close(Duration::ZERO);
    assert_eq!((left.records.len(), left.spilled), (0, 3_000));

    let (transport, audited) = ev_audit::transport::MemoryTransport::new();
    let client = Client::builder(service(), transport)
        .overflow(Overflow::Spill(spill(dir.path())))
        .build()
        .unwrap();
    assert!(client.close(Duration::from_secs(60)).is_empty());
    let seqs: Vec<u64> = audited.take().iter().map(|audited| seq(&audited.record)).collect();
    assert_eq!(seqs, (0..3_000).collect::<Vec<_>>());
}

/// Where the process that is killed puts its records.
const DIR: &str = "EV_AUDIT_TEST_SPILL_DIR";

/// Not a test of its own: the process that the next one kills. It sends for ever and says how
/// many records are on disk.
#[test]
#[ignore = "runs for ever, for another test to kill"]
fn a_process_that_spills_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (transport, agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = builder(transport, spill(Path::new(&dir))).build().unwrap();
    for number in 0.. {
        client.send_timeout(Plane::Data, record(number), Duration::from_secs(60)).unwrap();
        if number % 50 == 0 {
            println!("\nspilled {}", client.ledger().spilled);
        }
    }
}

#[test]
fn nothing_that_was_spilled_is_lost_with_a_process_that_is_killed() {
    use std::io::BufRead as _;

    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "spilling::a_process_that_spills_until_it_is_killed"])
        .args(["--ignored", "--nocapture"])
        .env(DIR, dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("spilled ")?.parse::<u64>().ok())
        .find(|spilled| *spilled >= 2_000);
    child.kill().unwrap();
    child.wait().unwrap();
    let said = said.expect("it spills");

    let (transport, audited) = ev_audit::transport::MemoryTransport::new();
    let client = Client::builder(service(), transport)
        .overflow(Overflow::Spill(spill(dir.path())))
        .build()
        .unwrap();
    let recovered = client.ledger().recovered;
    assert!(recovered >= said, "{recovered} of {said}");
    let left = client.close(Duration::from_secs(60));
    assert!(left.is_empty() && left.ledger.is_balanced());
    assert_eq!((left.ledger.written, left.ledger.resent), (recovered, 0));
    let seqs: Vec<u64> = audited.take().iter().map(|audited| seq(&audited.record)).collect();
    assert_eq!(seqs, (0..recovered).collect::<Vec<_>>());
}
