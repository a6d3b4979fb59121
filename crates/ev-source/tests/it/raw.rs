use bytes::Bytes;
use ev_test_support::{Event, Unstructured, UtcTime};

use crate::env::NOW;
use crate::rig::{Rig, padded};

#[tokio::test]
async fn every_event_is_a_slice_of_the_receive_buffer() {
    let rig = Rig::new();
    let sent: Vec<Event> =
        (0..300).map(|n| padded(&format!("e{n}"), NOW - 4500 + n, 0, 1000)).collect();
    let bytes: Vec<Bytes> = sent.iter().map(|event| event.oneof.clone()).collect();
    rig.auth.append(sent);
    let mut reader = rig.reader(rig.config(), NOW - 4600);
    reader.read_until(|reader| reader.ended.len() == 1).await;
    let page = reader.pages.iter().max_by_key(|page| page.events.len()).expect("a page");
    assert!(page.events.len() > 200);
    for (got, sent) in page.events.iter().zip(&bytes) {
        assert_eq!(got.bytes, sent);
    }
    // Copied out one by one, they would not lie side by side with tag and length between them.
    for pair in page.events.windows(2) {
        let end = pair[0].bytes.as_ptr() as usize + pair[0].bytes.len();
        let gap = (pair[1].bytes.as_ptr() as usize).wrapping_sub(end);
        assert!((2..=4).contains(&gap), "{gap} bytes between neighbours");
    }
}

#[tokio::test]
async fn what_is_no_event_is_passed_on_too() {
    let rig = Rig::new();
    let odd = |bytes: &'static [u8]| Event {
        oneof: Bytes::from_static(bytes),
        time: UtcTime::from_seconds(NOW - 10),
        kind: "odd".to_owned(),
        index: 0,
        unstructured: Unstructured::Message(Bytes::from_static(bytes)),
    };
    let all: [&[u8]; 3] = [b"", b"\xff\xff\xff", b"\x0a\x05\x01"];
    rig.auth.append(all.map(odd));
    let mut reader = rig.reader(rig.config(), NOW - 20);
    reader.read_to_the_tip().await;
    let got: Vec<&[u8]> = reader.events.iter().map(|(_, event)| &event.bytes[..]).collect();
    assert_eq!(got, all);
}
