//! The low-level sender.

use std::sync::Arc;
use std::time::Duration;

use ev_audit::transport::{Connected, MemoryTransport, Transport as _};
use ev_audit::{
    ConnectionType, DirectError, DirectSender, Heartbeat, ManualClock, Message, Plane, Problem,
    Rules,
};
use tokio::io::AsyncReadExt as _;

use crate::rig::{record, seq, service};

async fn messages(pipe: &mut tokio::io::DuplexStream) -> Vec<Message> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).await.expect("pipes end well");
    let mut messages = Vec::new();
    let mut at = 0;
    while let Some((message, length)) = ev_audit::wire::decode(&bytes[at..]).expect("whole frames")
    {
        messages.push(message);
        at += length;
    }
    messages
}

fn pipe(bytes: usize) -> (Connected, tokio::io::DuplexStream) {
    let (near, far) = tokio::io::duplex(bytes);
    (Connected::new(near, ConnectionType::TCP, "pipe"), far)
}

#[tokio::test]
async fn records_go_out_at_once_with_a_heartbeat_behind_the_first_of_each_connection() {
    let clock = Arc::new(ManualClock::at(9));
    let heartbeat = Heartbeat { audit_version: "v.9".to_owned(), ..Heartbeat::default() };
    let (first, mut far) = pipe(1 << 16);
    let mut sender = DirectSender::new(service(), first)
        .with_clock(clock.clone())
        .with_heartbeat(heartbeat, Duration::from_secs(60));
    sender.send(Plane::Data, &record(0)).await.unwrap();
    sender.send(Plane::Control, &record(1)).await.unwrap();
    clock.advance(Duration::from_secs(60));
    sender.send(Plane::Data, &record(2)).await.unwrap();
    let (second, mut far_too) = pipe(1 << 16);
    sender.reset(second);
    sender.send(Plane::Data, &record(3)).await.unwrap();
    sender.close().await.unwrap();

    let first = messages(&mut far).await;
    let tags: Vec<_> = first.iter().map(Message::tag).collect();
    assert_eq!(tags, ["AsmAuditDP", "AsmAuditHB", "AsmAuditCP", "AsmAuditDP", "AsmAuditHB"]);
    let Message::Heartbeat { heartbeat, seconds: 9 } = &first[1] else { panic!("{first:?}") };
    assert_eq!((heartbeat.service, &*heartbeat.audit_version), (service(), "v.9"));
    assert_eq!(heartbeat.destination, ConnectionType::TCP);
    let tags: Vec<_> = messages(&mut far_too).await.iter().map(Message::tag).collect();
    assert_eq!(tags, ["AsmAuditDP", "AsmAuditHB"]);
}

#[tokio::test]
async fn an_invalid_record_does_not_touch_the_connection() {
    let (mut transport, audited) = MemoryTransport::new();
    let mut sender = DirectSender::new(service(), transport.connect().await.unwrap())
        .with_rules(Rules::strict());
    let mut blank = record(0);
    blank.operation_name = " ".to_owned();
    let refused = sender.send(Plane::Data, &blank).await.unwrap_err();
    assert!(matches!(refused, DirectError::Invalid(Problem::Blank { .. })), "{refused}");
    assert!(!refused.is_unrecoverable() && !sender.is_broken());
    sender.send(Plane::Data, &record(1)).await.unwrap();
    assert_eq!(seq(&audited.records()[0].record), 1);
}

#[tokio::test]
async fn a_frame_that_was_cut_is_never_continued() {
    let (first, mut far) = pipe(100);
    let mut sender = DirectSender::new(service(), first);
    {
        let large = record(0);
        let send = sender.send(Plane::Data, &large);
        tokio::pin!(send);
        // Dropped in the middle: the pipe holds less than the frame.
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(send.as_mut().poll(cx).is_pending()))
                .await
        );
    }
    assert!(sender.is_broken());
    let refused = sender.send(Plane::Data, &record(1)).await.unwrap_err();
    assert!(matches!(refused, DirectError::Broken) && refused.is_unrecoverable());
    let (second, mut far_too) = pipe(1 << 16);
    sender.reset(second);
    let mut cut = Vec::new();
    far.read_to_end(&mut cut).await.unwrap();
    assert_eq!(cut.len(), 100);
    sender.send(Plane::Data, &record(2)).await.unwrap();
    drop(sender);
    let messages = messages(&mut far_too).await;
    assert_eq!(seq(messages[0].record().unwrap()), 2);
}

#[tokio::test]
async fn a_failed_write_is_told_with_its_cause() {
    let (first, far) = pipe(100);
    drop(far);
    let mut sender = DirectSender::new(service(), first);
    let failed = sender.send(Plane::Data, &record(0)).await.unwrap_err();
    assert!(
        matches!(&failed, DirectError::Write(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe)
    );
    assert!(sender.is_broken());
}
