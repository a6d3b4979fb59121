//! The connection: when it is made, what goes over it in which order, and what happens when it
//! breaks.

use std::time::Duration;

use ev_audit::{
    Client, ConnectionType, EventKind, ManualClock, Message, Plane, Retry, Stamp, State,
};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::rig::{Answer, FarEnd, ledger, pipes, record, send_all, seq, service, settle, start};

const PIPE: usize = 64 * 1024;

fn tags(messages: &[Message]) -> Vec<&'static str> {
    messages.iter().map(Message::tag).collect()
}

async fn messages(far: &mut FarEnd, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push(far.message().await.expect("a whole message"));
    }
    messages
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_follows_the_first_record_of_each_connection_and_then_every_half_hour() {
    let (transport, mut agent) = pipes(PIPE);
    let client = start(
        Client::builder(service(), transport)
            .os_version("6.1.0")
            .language("rust1.95")
            .clock(ManualClock::at(77)),
    );
    let mut far = agent.accept().await;
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    assert_eq!(ledger(&client).heartbeats, 0, "none before a record");

    send_all(&client, 0..3);
    let first = messages(&mut far, 4).await;
    assert_eq!(tags(&first), ["AsmAuditDP", "AsmAuditHB", "AsmAuditDP", "AsmAuditDP"]);
    let Message::Heartbeat { heartbeat, seconds } = &first[1] else { panic!("{first:?}") };
    assert_eq!(*seconds, 77);
    assert_eq!(heartbeat.service, service());
    assert_eq!(heartbeat.audit_version, "v.2.0.0");
    assert_eq!((&*heartbeat.os_version, &*heartbeat.language), ("6.1.0", "rust1.95"));
    assert_eq!(heartbeat.destination.to_string(), "UnixDomainSocket");

    let before = Instant::now();
    assert_eq!(tags(&messages(&mut far, 2).await), ["AsmAuditHB", "AsmAuditHB"]);
    assert_eq!(before.elapsed().as_secs(), 3600, "whatever the traffic");

    drop(far);
    let mut far = agent.accept().await;
    settle().await;
    send_all(&client, 3..5);
    assert_eq!(tags(&messages(&mut far, 3).await), ["AsmAuditDP", "AsmAuditHB", "AsmAuditDP"]);
    assert_eq!(ledger(&client).heartbeats, 4);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_fails_is_told_and_sent_on_the_next_connection() {
    let mut frame = Vec::new();
    ev_audit::wire::encode_record(&mut frame, Plane::Data, &record(0), &service(), 0);
    // The record fits, and a part of the heartbeat.
    let (transport, mut agent) = pipes(frame.len() + 10);
    let client = start(Client::builder(service(), transport));
    let events = client.events();
    let far = agent.accept().await;
    send_all(&client, 0..2);
    settle().await;
    assert_eq!(ledger(&client).written, 1);
    drop(far);
    let mut far = agent.accept().await;
    // The heartbeat is not queued again: it follows the next record, which is whole.
    assert_eq!(tags(&messages(&mut far, 2).await), ["AsmAuditDP", "AsmAuditHB"]);
    settle().await;
    let ledger = ledger(&client);
    assert_eq!((ledger.heartbeats, ledger.heartbeats_failed, ledger.written), (1, 1, 2));
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).map(|event| event.kind).collect();
    assert!(told.contains(&EventKind::HeartbeatFailed), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_comes_later_gets_everything() {
    let (transport, mut agent) = pipes(PIPE);
    agent.always(Answer::Refuse);
    let client = start(Client::builder(service(), transport));
    let mut state = client.state();
    send_all(&client, 0..500);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(state.state(), State::Degraded);
    let waiting = ledger(&client);
    assert_eq!((waiting.pending, waiting.dropped.total()), (500, 0));
    assert!(waiting.connect_failures >= 8, "{waiting:?}");

    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    assert!(state.until_wait(State::Up).await);
    assert_eq!(far.seqs(500).await, (0..500).collect::<Vec<_>>());
    let written = ledger(&client);
    assert_eq!((written.written, written.pending), (500, 0));
}

#[tokio::test(start_paused = true)]
async fn one_hundred_thousand_records_arrive_over_connections_that_die_every_thousand() {
    let (transport, mut agent) = pipes(PIPE);
    // More than the pipe holds, so that everything unread is sent again.
    let client = start(Client::builder(service(), transport).retain_bytes(512 * 1024));
    let producer = tokio::spawn({
        let client = client.clone();
        async move {
            for seq in 0..100_000 {
                client.send_wait(Plane::Data, record(seq)).await.unwrap();
            }
        }
    });
    let mut next = 0;
    let mut again = 0;
    while next < 100_000 {
        let mut far = agent.accept().await;
        let mut of_connection = 0;
        while of_connection < 1_000 && next < 100_000 {
            let seq = far.seqs(1).await[0];
            assert!(seq <= next, "{seq} is missing or out of order, want {next}");
            of_connection += 1;
            if seq == next {
                next += 1;
            } else {
                again += 1;
            }
        }
    }
    producer.await.unwrap();
    assert!(client.flush_wait_until(std::future::pending()).await.is_empty());
    let ledger = ledger(&client);
    assert_eq!((ledger.accepted, ledger.written), (100_000, 100_000));
    assert!(again <= ledger.resent, "{again} duplicates, {} told", ledger.resent);
}

#[tokio::test(start_paused = true)]
async fn the_frame_that_was_cut_goes_first_and_whole_on_the_next_connection() {
    let (transport, mut agent) = pipes(PIPE);
    let client = start(
        Client::builder(service(), transport)
            .retry(Retry { proven_after: Duration::ZERO, ..Retry::default() }),
    );
    let mut far = agent.accept().await;
    send_all(&client, 0..1);
    messages(&mut far, 2).await;
    // A pipe of 64 KiB takes the frames whole and a part of one.
    send_all(&client, 1..400);
    settle().await;
    let written = ledger(&client).written;
    assert!(written < 400);
    // What lies in the pipe is read behind the client's back, then the connection dies.
    let mut some = vec![0; PIPE];
    let count = far.pipe.read(&mut some).await.unwrap();
    drop(far);
    let (mut at, mut last) = (0, 0);
    while let Some((message, length)) = ev_audit::wire::decode(&some[at..count]).unwrap() {
        last = seq(message.record().unwrap());
        at += length;
    }
    assert!(at < count, "the frame behind it was cut");

    let mut far = agent.accept().await;
    let first = far.seqs(1).await[0];
    assert_eq!(first, last + 1, "the one that was cut");
    assert_eq!(first, written, "what was written whole is not repeated without a retain window");
    let last = far.seqs(usize::try_from(399 - first).unwrap()).await;
    assert_eq!(last.last(), Some(&399));
    let ledger = ledger(&client);
    assert_eq!((ledger.written, ledger.resent), (400, 0));
}

#[tokio::test(start_paused = true)]
async fn what_may_be_unread_is_counted_or_sent_again() {
    for (retain, resent, unconfirmed) in [(0, 0, 20), (PIPE, 20, 0)] {
        let (transport, mut agent) = pipes(PIPE);
        let client = start(Client::builder(service(), transport).retain_bytes(retain));
        let far = agent.accept().await;
        send_all(&client, 0..20);
        settle().await;
        assert_eq!(ledger(&client).written, 20, "as far as anybody can tell");
        drop(far);
        let mut far = agent.accept().await;
        settle().await;
        send_all(&client, 20..21);
        let first = if retain == 0 { 20 } else { 0 };
        let count = usize::try_from(21 - first).unwrap();
        assert_eq!(far.seqs(count).await, (first..21).collect::<Vec<_>>());
        settle().await;
        let ledger = ledger(&client);
        assert_eq!((ledger.resent, ledger.unconfirmed), (resent, unconfirmed));
        assert_eq!(ledger.written, 21, "each counted once");
    }
}

/// A window that covers a Unix socket is too small for TCP, and the ledger says so.
#[tokio::test(start_paused = true)]
async fn over_tcp_a_small_retain_window_leaves_some_unconfirmed() {
    const WINDOW: usize = 512 * 1024;
    for (destination, is_told) in
        [(ConnectionType::UNIX_DOMAIN_SOCKET, false), (ConnectionType::TCP, true)]
    {
        let (transport, mut agent) = pipes(2 << 20);
        let transport = transport.over(destination);
        let client = start(Client::builder(service(), transport).retain_bytes(WINDOW));
        let far = agent.accept().await;
        send_all(&client, 0..10_000);
        settle().await;
        let taken = ledger(&client).written;
        drop(far);
        let mut far = agent.accept().await;
        let first = far.seqs(1).await[0];
        assert!(first > 1_000, "the window holds the last ones");
        assert_eq!(far.rest_until(9_999).await, 10_000 - first - 1);
        settle().await;
        let ledger = ledger(&client);
        assert_eq!((ledger.written, ledger.resent), (10_000, taken - first));
        assert_eq!(ledger.unconfirmed, if is_told { first } else { 0 }, "{destination}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_again_is_kept_until_it_is_sent_again_once_more() {
    let (transport, mut agent) = pipes(PIPE);
    let client = start(Client::builder(service(), transport).retain_bytes(PIPE));
    send_all(&client, 0..30);
    for _ in 0..5 {
        let mut far = agent.accept().await;
        // Some are read, and lost with the agent.
        assert_eq!(far.seqs(3).await, [0, 1, 2]);
    }
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(30).await, (0..30).collect::<Vec<_>>());
    settle().await;
    assert_eq!(ledger(&client).written, 30);
}

/// An agent that breaks each connection is written to slowly, by bytes and not by writes: streams
/// that take little at once, as those over TLS, are no slower.
#[tokio::test(start_paused = true)]
async fn an_agent_that_breaks_connections_is_written_to_slowly_however_little_a_write_takes() {
    for pipe in [16 * 1024, PIPE] {
        let (transport, mut agent) = pipes(pipe);
        let client = start(Client::builder(service(), transport).retain_bytes(8 << 20));
        send_all(&client, 0..20_000);
        // The first takes all that there is to be sent again, the next ones a part of it.
        let mut far = agent.accept().await;
        far.seqs(15_000).await;
        for _ in 0..8 {
            drop(far);
            far = agent.accept().await;
            far.seqs(1_000).await;
        }
        let before = Instant::now();
        far.seqs(1_000).await;
        let took = before.elapsed();
        assert!(took >= Duration::from_millis(50), "{took:?} for 340 kB");
        assert!(took <= Duration::from_millis(150), "{took:?} for 340 kB");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_agent_is_noticed_without_any_send() {
    let (transport, mut agent) = pipes(PIPE);
    let client = start(Client::builder(service(), transport));
    let events = client.events();
    let far = agent.accept().await;
    settle().await;
    assert_eq!(events.try_next().map(|event| event.kind), Some(EventKind::Connected));
    let before = Instant::now();
    drop(far);
    let event = events.next_wait().await.unwrap();
    assert_eq!(event.kind, EventKind::Disconnected);
    assert_eq!(event.detail, "audit agent closed the connection");
    assert!(before.elapsed() < Duration::from_secs(1));
    agent.accept().await;
    assert_eq!(events.next_wait().await.map(|event| event.kind), Some(EventKind::Reconnected));
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_connection_is_replaced_or_kept_as_the_owner_wants() {
    for tolerate in [false, true] {
        let (transport, mut agent) = pipes(PIPE);
        let client = start(Client::builder(service(), transport).tolerate_half_close(tolerate));
        let mut far = agent.accept().await;
        settle().await;
        tokio::io::AsyncWriteExt::shutdown(&mut far.pipe).await.unwrap();
        settle().await;
        send_all(&client, 0..10);
        if !tolerate {
            far = agent.accept().await;
        }
        assert_eq!(far.seqs(10).await, (0..10).collect::<Vec<_>>());
        assert_eq!(ledger(&client).disconnects, u64::from(!tolerate));
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_takes_nothing_is_left_after_the_write_deadline() {
    let (transport, mut agent) = pipes(1_000);
    let client = start(Client::builder(service(), transport));
    let events = client.events();
    let _stuck = agent.accept().await;
    settle().await;
    while events.try_next().is_some() {}
    let before = Instant::now();
    send_all(&client, 0..100);
    assert_eq!(events.next_wait().await.map(|event| event.kind), Some(EventKind::Stalled));
    assert_eq!(before.elapsed().as_secs(), 15);
    let mut far = agent.accept().await;
    let first = far.seqs(1).await[0];
    assert!(first <= 2, "only what fitted into the pipe is gone: {first}");
    let rest = usize::try_from(99 - first).unwrap();
    assert_eq!(far.seqs(rest).await.last(), Some(&99));
    assert_eq!(ledger(&client).written, 100);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_slow_but_takes_something_is_never_left() {
    let (transport, mut agent) = pipes(64);
    let client = start(Client::builder(service(), transport));
    let mut far = agent.accept().await;
    send_all(&client, 0..20);
    let mut bytes = Vec::new();
    let started = Instant::now();
    while ledger(&client).pending > 0 {
        tokio::time::sleep(Duration::from_secs(14)).await;
        let mut some = [0; 64];
        let count = far.pipe.read(&mut some).await.unwrap();
        bytes.extend_from_slice(&some[..count]);
    }
    assert!(started.elapsed() > Duration::from_secs(600));
    let ledger = ledger(&client);
    assert_eq!((ledger.connections, ledger.disconnects, ledger.written), (1, 0, 20));
}

#[tokio::test(start_paused = true)]
async fn records_do_not_expire_while_the_agent_is_stalled() {
    let (transport, mut agent) = pipes(1_000);
    let client = start(Client::builder(service(), transport));
    send_all(&client, 0..50);
    let mut stuck = Vec::new();
    let until = Instant::now() + Duration::from_secs(300);
    while let Ok(far) = tokio::time::timeout_at(until, agent.accept()).await {
        stuck.push(far);
    }
    let stalled = ledger(&client);
    assert_eq!(stalled.dropped.total(), 0);
    assert!(stalled.pending >= 30, "{stalled:?}");
}

#[tokio::test(start_paused = true)]
async fn accept_and_close_makes_at_most_ten_attempts_in_a_second_and_soon_fewer() {
    let (transport, agent) = pipes(PIPE);
    agent.always(Answer::AcceptAndClose);
    let client = start(Client::builder(service(), transport));
    send_all(&client, 0..1_000);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let attempts = agent.attempts();
    for window in attempts.windows(11) {
        assert!(window[10] - window[0] >= Duration::from_secs(1));
    }
    assert!((8..30).contains(&attempts.len()), "{}", attempts.len());
    let ledger = ledger(&client);
    assert_eq!(ledger.pending, 1_000, "nothing is written to an agent that has gone");
}

#[tokio::test(start_paused = true)]
async fn gaps_between_attempts_double_up_to_a_minute() {
    let (transport, mut agent) = pipes(PIPE);
    let client = start(Client::builder(service(), transport));
    let mut far = agent.accept().await;
    send_all(&client, 0..1);
    far.seqs(1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    // It has proved itself: the first attempt after its end is made at once.
    agent.always(Answer::Refuse);
    let lost = Instant::now();
    drop(far);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let attempts = agent.attempts();
    let mut last = lost;
    let mut base = Duration::ZERO;
    for (index, attempt) in attempts[1..].iter().enumerate() {
        let gap = *attempt - last;
        // Timers have a grain of a millisecond.
        let grain = Duration::from_millis(2);
        assert!(gap + grain >= base / 2, "gap {index} is {gap:?} for {base:?}");
        assert!(
            gap <= (base * 3 / 2).max(Retry::SPACING) + grain,
            "gap {index} is {gap:?} for {base:?}"
        );
        last = *attempt;
        base = (base * 2).clamp(Duration::from_millis(100), Duration::from_secs(60));
    }
    assert!(attempts.len() > 15, "{}", attempts.len());
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_transport_asks_for_is_kept() {
    let (transport, agent) = pipes(PIPE);
    agent.next([Answer::RefuseFor(Duration::from_secs(30))]);
    let _client = start(Client::builder(service(), transport));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let attempts = agent.attempts();
    assert_eq!(attempts.len(), 2);
    assert!(attempts[1] - attempts[0] >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_given_up() {
    let (transport, mut agent) = pipes(PIPE);
    agent.next([Answer::Hang]);
    let client = start(Client::builder(service(), transport));
    let started = Instant::now();
    agent.accept().await;
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(10) && waited < Duration::from_secs(11), "{waited:?}");
    assert_eq!(ledger(&client).connect_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_closes_the_client_which_returns_what_was_pending() {
    let (transport, agent) = pipes(PIPE);
    agent.next([Answer::Refuse]);
    agent.always(Answer::Forbid);
    let client = start(Client::builder(service(), transport));
    send_all(&client, 0..10);
    let mut state = client.state();
    assert!(state.until_wait(State::Closed).await);
    let refused = client.send(Plane::Data, record(10)).unwrap_err();
    assert!(refused.is_unrecoverable());
    assert_eq!(seq(&refused.into_record()), 10);
    let left = client.close_wait_until(std::future::pending()).await;
    let seqs: Vec<u64> = left.records.iter().map(|unsent| seq(&unsent.record)).collect();
    assert_eq!(seqs, (0..10).collect::<Vec<_>>());
    assert_eq!(left.ledger.dropped.closed, 10);
    assert!(left.ledger.is_balanced());
    let events = client.events();
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    let closed = told.iter().find(|event| event.kind == EventKind::Closed).unwrap();
    assert_eq!(closed.count, 1);
    assert!(closed.detail.contains("impossible"), "{}", closed.detail);
}

#[tokio::test(start_paused = true)]
async fn a_reset_by_the_owner_makes_a_new_connection_and_keeps_the_queue() {
    let (transport, mut agent) = pipes(1_000);
    let client = start(Client::builder(service(), transport));
    let mut first = agent.accept().await;
    send_all(&client, 0..50);
    settle().await;
    client.reset();
    let mut second = agent.accept().await;
    let mut seqs = first.rest().await;
    let missing = 50 - seqs.len();
    seqs.extend(second.seqs(missing).await);
    assert_eq!(seqs, (0..50).collect::<Vec<_>>());
    let ledger = ledger(&client);
    assert_eq!((ledger.connections, ledger.disconnects, ledger.unconfirmed), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reset_during_an_attempt_is_fulfilled_by_it() {
    let (transport, mut agent) = pipes(PIPE);
    agent.next([Answer::AcceptAfter(Duration::from_secs(2))]);
    let client = start(Client::builder(service(), transport));
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.reset();
    let mut far = agent.accept().await;
    send_all(&client, 0..10);
    assert_eq!(far.seqs(10).await, (0..10).collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let ledger = ledger(&client);
    assert_eq!((ledger.connections, agent.attempts().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_goes_out_in_few_writes_and_a_single_record_at_once() {
    let (transport, mut agent) = pipes(1 << 20);
    agent.always(Answer::Refuse);
    let client = start(Client::builder(service(), transport));
    send_all(&client, 0..10_000);
    agent.always(Answer::Accept);
    let mut far = agent.accept().await;
    assert_eq!(far.seqs(10_000).await.len(), 10_000);
    settle().await;
    let before = ledger(&client);
    // The first record and the heartbeat go alone.
    assert!(before.writes <= 10_000 / 50, "{before:?}");

    let started = Instant::now();
    send_all(&client, 10_000..10_001);
    assert_eq!(far.seqs(1).await, [10_000]);
    assert_eq!(started.elapsed(), Duration::ZERO, "no timer stands between");
}

#[tokio::test(start_paused = true)]
async fn frames_carry_the_time_of_sending_or_of_writing() {
    for (stamp, first, second) in [(Stamp::Sent, 1_000, 1_000), (Stamp::Written, 1_060, 1_120)] {
        let (transport, mut agent) = pipes(400);
        agent.always(Answer::Refuse);
        let clock = std::sync::Arc::new(ManualClock::at(1_000));
        let client = start(Client::builder(service(), transport).stamp(stamp).clock(clock.clone()));
        send_all(&client, 0..2);
        settle().await;
        clock.advance(Duration::from_secs(60));
        agent.always(Answer::Accept);
        let mut far = agent.accept().await;
        let message = far.message().await.unwrap();
        assert_eq!(message.seconds(), first);
        settle().await;
        // The second one is in flight, and goes out whole only over the next connection.
        clock.advance(Duration::from_secs(60));
        drop(far);
        let mut far = agent.accept().await;
        let message = far.message().await.unwrap();
        assert_eq!((seq(message.record().unwrap()), message.seconds()), (1, second));
    }
}
