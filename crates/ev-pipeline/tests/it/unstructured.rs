//! Events that Auth has made JSON of.

use std::sync::atomic::Ordering;

use ev_core::{Choice, DecoderKind, Form, ParkReason, ParkedQuery, RawEvent, SinkId, StateStore};

use crate::rig::{Rig, TinyDecoder, digest, lock, login, opened, page, uids, upstream};

const ALL: ParkedQuery = ParkedQuery { after: None, limit: 1000, max_bytes: usize::MAX };

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// An event at second 1000 with that id, whose JSON has one more member `k` of that value.
pub(crate) fn with(id: &[u8], uid: Option<&[u8]>, value: &[u8]) -> RawEvent {
    let member = |key: &[u8], value: &[u8]| field(1, &[field(1, key), field(2, value)].concat());
    let uid = uid.map(|uid| member(b"uid", &field(3, uid))).unwrap_or_default();
    let body = [member(b"k", value), uid].concat();
    let time = field(3, &[8, 0xe8, 7]);
    let bytes = [field(1, b"user.login"), field(2, id), time, field(5, &body)].concat();
    RawEvent { form: Form::Unstructured, bytes: bytes.into() }
}

pub(crate) fn unstructured(uid: &str) -> RawEvent {
    with(uid.as_bytes(), Some(uid.as_bytes()), &[4 << 3, 1])
}

fn parked(rig: &Rig) -> Vec<ev_core::ParkedEvent> {
    rig.store.parked(&SinkId("test".into()), &ALL).unwrap()
}

#[tokio::test(start_paused = true)]
async fn they_are_decoded_whatever_the_version_and_wait_for_no_module() {
    let rig = Rig::new();
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(upstream("1.0.0"));
    rig.feed.push(opened());
    rig.feed.push(page(vec![unstructured("a"), unstructured("b")], "end"));
    let summary = rig.run_until(|rig| lock(&rig.sink.stored).len() == 2).await;
    let bodies = |rig: &Rig| -> Vec<String> {
        lock(&rig.sink.stored).iter().map(|(_, body)| body.clone()).collect()
    };
    assert_eq!(bodies(&rig), [r#"{"k":true,"uid":"a"}"#, r#"{"k":true,"uid":"b"}"#]);
    assert_eq!((summary.totals.delivered, summary.totals.inexact), (2, 0));
    assert_eq!(rig.decoders.failures.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_printed_is_parked_and_tried_again_only_when_told_to() {
    let mut rig = Rig::new();
    rig.decoders.set("1.0.0", Choice::Pending);
    rig.feed.push(opened());
    let bad = [with(b"no-kind", Some(b"no-kind"), b""), with(b"no-text", None, &field(3, b"\xff"))];
    let [no_kind, no_text] = bad;
    rig.feed.push(page(vec![no_kind, unstructured("good"), no_text, login("typed")], "end"));
    // A page of one form has one way; a typed event among them is no event of that way.
    let first = |rig: &Rig| lock(&rig.sink.stored).len() == 1;
    let summary = rig.run_until(first).await;
    assert_eq!((summary.totals.delivered, summary.totals.parked), (1, 3));
    let facts = |rig: &Rig| -> Vec<_> {
        let row = |row: ev_core::ParkedEvent| {
            (row.event.reason, row.event.detail, row.event.form, row.attempts, row.event.digest)
        };
        parked(rig).into_iter().map(row).collect()
    };
    let before = facts(&rig);
    assert_eq!(before[0].0, ParkReason::Unprintable);
    assert!(before[0].1.starts_with("value without a kind in 5.1 at byte "), "{before:?}");
    assert_eq!(before[0].4, digest("no-kind"));
    assert_eq!(before[1].0, ParkReason::Malformed);
    assert_eq!(before[1].4, digest("no-text"), "the id that Auth gave it");
    assert_eq!((before[2].0, before[2].2), (ParkReason::DecoderFailed, Form::OneOf));

    // The next decoder of typed events takes what is its own; the others are not tried by it.
    rig.restart();
    let decoder = TinyDecoder::knowing(2, DecoderKind::Native);
    rig.decoders.set("1.0.0", Choice::Exact(decoder));
    let summary = rig.run_until(|rig| lock(&rig.sink.stored).len() == 2).await;
    assert_eq!((summary.totals.parked, summary.totals.resolved), (2, 1));
    assert_eq!(lock(&rig.sink.stored)[1].1, r#"{"event":"user.login","uid":"typed"}"#);
    assert!(facts(&rig).iter().all(|(.., attempts, _)| *attempts == 0), "{:?}", facts(&rig));
    assert!(summary.totals.balances());
}

#[tokio::test(start_paused = true)]
async fn t13_an_event_of_the_other_road_is_the_same_event() {
    let mut rig = Rig::new();
    rig.decoders.set("1.0.0", Choice::Exact(TinyDecoder::knowing(2, DecoderKind::Native)));
    rig.feed.push(opened());
    rig.feed.push(page(uids(0..20), "end"));
    rig.run_until(|rig| lock(&rig.sink.stored).len() == 20).await;

    // Read by time again, in the other form, with something new.
    rig.restart();
    let mut again: Vec<RawEvent> = (0..20).map(|n| unstructured(&format!("u{n:04}"))).collect();
    again.push(unstructured("new"));
    let ev_core::SourceEvent::Page(mut repeated) = page(again, "later") else { unreachable!() };
    repeated.repeats = true;
    rig.feed.push(ev_core::SourceEvent::Page(repeated));
    let summary = rig.run_until(|rig| lock(&rig.sink.stored).len() == 21).await;
    assert_eq!((summary.sent, summary.repeated), (1, 20));
    assert_eq!(summary.totals.delivered, 21);
}
