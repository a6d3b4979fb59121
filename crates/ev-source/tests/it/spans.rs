//! Stretches of the past, read beside the lanes.

use std::collections::BTreeSet;

use ev_core::{Credit, Source, SpanPage, SpanQuery, SpanReader};
use futures_util::FutureExt;

use crate::env::NOW;
use crate::rig::{Reader, Rig, event, events, id, names, padded};

fn query(from: i64, to: i64) -> SpanQuery {
    SpanQuery { from, to, types: Vec::new() }
}

fn ids(pages: &[SpanPage]) -> BTreeSet<String> {
    pages.iter().flat_map(|page| &page.events).map(id).collect()
}

/// Reads the span to its end while the source goes on beside it.
async fn read(reader: &mut Reader, span: &mut dyn SpanReader) -> Vec<SpanPage> {
    let mut pages = Vec::new();
    loop {
        tokio::select! {
            biased;
            page = span.next() => match page.expect("nothing for an operator") {
                Some(page) => pages.push(page),
                None => return pages,
            },
            event = reader.source().next(Credit { pages: 3 }) => {
                event.expect("nothing for an operator");
            }
        }
    }
}

#[tokio::test]
async fn a_stretch_is_read_beside_the_lanes() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 1000, 10, 100));
    rig.auth.set(|switches| switches.page_cap = 7);
    let mut reader = rig.reader(rig.config(), NOW - 5);
    reader.read_to_the_tip().await;
    let mut span = reader.source().span(query(NOW - 800, NOW - 500));
    let pages = read(&mut reader, &mut *span).await;
    let came = ids(&pages);
    let wanted: BTreeSet<_> = (20..50).map(|n| format!("e{n}")).collect();
    assert!(came.is_superset(&wanted) && came.len() <= 32, "{came:?}");
    assert!(pages.len() > 4);
    drop(span);
    let mut none = reader.source().span(query(NOW, NOW));
    assert!(none.next().await.expect("nothing for an operator").is_none());
}

#[tokio::test]
async fn other_types_may_be_asked_for() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 100, 1, 10));
    let mut odd = event("odd", NOW - 95, 0);
    odd.kind = "other".to_owned();
    rig.auth.append([odd]);
    let mut reader = rig.reader(rig.config(), NOW - 5);
    reader.read_to_the_tip().await;
    let types = vec!["other".to_owned()];
    let mut span = reader.source().span(SpanQuery { types, ..query(NOW - 200, NOW) });
    assert_eq!(ids(&read(&mut reader, &mut *span).await), ["odd".to_owned()].into());
}

#[tokio::test]
async fn a_span_passes_over_what_is_too_large_and_says_so() {
    let rig = Rig::new();
    let size = |n: i64| if n == 4 { 30_000 } else { 20 };
    rig.auth.append((0..9).map(|n| padded(&format!("e{n}"), NOW - 100 + n * 3, 0, size(n))));
    rig.auth.set(|switches| switches.page_bytes = 20_000);
    let mut reader = rig.reader(rig.config(), NOW - 5);
    reader.read_to_the_tip().await;
    let mut span = reader.source().span(query(NOW - 200, NOW));
    let pages = read(&mut reader, &mut *span).await;
    let gaps: Vec<_> = pages.iter().flat_map(|page| &page.gaps).map(|gap| gap.from).collect();
    assert_eq!(gaps, [NOW - 88]);
    let mut wanted = names("e", 9);
    wanted.remove("e4");
    assert_eq!(ids(&pages), wanted);
}

#[tokio::test]
async fn a_span_passes_over_what_auth_cannot_read_and_says_so() {
    let rig = Rig::new();
    rig.auth.append((0..9).map(|n| padded(&format!("e{n}"), NOW - 100 + n * 3, 0, 20)));
    rig.auth.set(|switches| switches.bad_seconds = vec![NOW - 88]);
    let mut reader = rig.reader(rig.config(), NOW - 5);
    reader.read_to_the_tip().await;
    let mut span = reader.source().span(query(NOW - 200, NOW));
    let pages = read(&mut reader, &mut *span).await;
    let gaps: Vec<_> = pages.iter().flat_map(|page| &page.gaps).map(|gap| gap.from).collect();
    assert_eq!(gaps, [NOW - 88]);
    let mut wanted = names("e", 9);
    wanted.remove("e4");
    assert_eq!(ids(&pages), wanted);
}

#[tokio::test]
async fn a_dropped_future_of_a_span_loses_nothing() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 1000, 10, 100));
    rig.auth.set(|switches| switches.page_cap = 7);
    let mut reader = rig.reader(rig.config(), NOW - 5);
    reader.read_to_the_tip().await;
    let mut span = reader.source().span(query(NOW - 1000, NOW));
    let mut pages = Vec::new();
    for polls in (0..).map(|n| n % 5) {
        // Given up after so many chances.
        let chances = async {
            for _ in 0..polls {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            page = span.next() => match page.expect("nothing for an operator") {
                Some(page) => pages.push(page),
                None => break,
            },
            () = chances, if polls < 4 => {}
        }
    }
    assert_eq!(ids(&pages), names("e", 100));
}

#[tokio::test]
async fn a_span_waits_for_auth_and_for_room() {
    let rig = Rig::new();
    rig.auth.append(events("e", NOW - 100, 1, 50));
    let mut reader = rig.reader(rig.config(), NOW - 5);
    let mut span = reader.source().span(query(NOW - 200, NOW));
    assert!(span.next().now_or_never().is_none(), "nobody has connected yet");
    reader.read_to_the_tip().await;
    let fault = ev_test_support::CallFault {
        code: 8,
        count: Some(5),
        method: "GetEvents".into(),
        message: "rate limit exceeded".into(),
    };
    rig.auth.set(|switches| switches.fail.push(fault));
    let pages = read(&mut reader, &mut *span).await;
    assert_eq!(ids(&pages), names("e", 50));
    assert_eq!(rig.auth.tally().methods["GetEvents"].errors, 5);
}
