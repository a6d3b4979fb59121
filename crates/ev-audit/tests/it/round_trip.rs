//! What is written is read back, whatever it is, wherever it is cut.

use ev_audit::wire::{
    self, DecodeErrorKind, Message, decode, decode_frame, encode_record, encode_records, frame_len,
};
use ev_audit::{Plane, Record, Rules};
use proptest::prelude::*;

use crate::data::hex;
use crate::strategies::{in_order, plane, record, service};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_record_is_read_back_as_it_was(
        record in record(),
        plane in plane(),
        service in service(),
        seconds: i64,
    ) {
        let given = record.clone();
        let mut frame = Vec::new();
        encode_record(&mut frame, plane, &record, &service, seconds);
        // Writing changed nothing.
        prop_assert!(record == given);

        let (message, len) = decode(&frame).unwrap().unwrap();
        prop_assert_eq!(len, frame.len());
        let wanted = Message::Record { plane, service, seconds, record: Box::new(in_order(record)) };
        prop_assert!(message == wanted);
        prop_assert_eq!(frame_len(&frame, len), Ok(Some(len)));
        prop_assert_eq!((wire::seconds(&frame), message.seconds()), (Some(seconds), seconds));

        // It is as it should be, and the same bytes again.
        let decoded = decode_frame(&frame, len).unwrap().unwrap();
        let of_time = usize::from(!(0..=253_402_300_799).contains(&seconds));
        prop_assert_eq!(decoded.departures.len(), of_time, "{:?}", decoded.departures);
        let mut again = Vec::new();
        wire::encode(&mut again, &message);
        prop_assert_eq!(hex(&again), hex(&frame));
    }

    #[test]
    fn the_length_of_a_frame_is_known_before(record in record(), service in service()) {
        let record = in_order(record);
        let mut frame = Vec::new();
        encode_record(&mut frame, Plane::Data, &record, &service, 0);
        let refused = |max_frame_bytes| {
            let rules = Rules { max_frame_bytes, ..Rules::default() };
            let problems = record.problems(&rules);
            problems.iter().any(|it| matches!(it, ev_audit::Problem::FrameTooLarge { .. }))
        };
        // Without a service the frame is shorter, but no such frame is sent.
        let len = frame.len() + if service.is_set() { 0 } else { 37 };
        prop_assert!(!refused(len));
        prop_assert!(refused(len - 1));
    }

    #[test]
    fn a_frame_that_is_cut_is_waited_for(
        record in record(),
        service in service(),
        cut: prop::sample::Index,
    ) {
        let mut frame = Vec::new();
        encode_record(&mut frame, Plane::Data, &record, &service, 0);
        let end = cut.index(frame.len());
        prop_assert_eq!(decode(&frame[..end]), Ok(None));
        prop_assert_eq!(decode_frame(&frame[..end], frame.len()), Ok(None));
        prop_assert_eq!(frame_len(&frame[..end], frame.len()), Ok(None));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn frames_stand_one_behind_the_other(records in prop::collection::vec(record(), 1..6)) {
        let service = crate::data::service();
        let mut stream = Vec::new();
        for (place, record) in (0..).zip(&records) {
            encode_record(&mut stream, Plane::Control, record, &service, place);
        }
        let mut rest = &stream[..];
        for (place, record) in (0..).zip(records) {
            let (message, len) = decode(rest).unwrap().unwrap();
            prop_assert_eq!(message.seconds(), place);
            prop_assert!(message.record() == Some(&in_order(record)));
            rest = &rest[len..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn several_entries_are_read_back(
        records in prop::collection::vec((record(), any::<u32>()), 0..6),
        plane in plane(),
    ) {
        let service = crate::data::service();
        let entries: Vec<(&Record, i64)> =
            records.iter().map(|(record, seconds)| (record, i64::from(*seconds))).collect();
        let mut frame = Vec::new();
        encode_records(&mut frame, plane, &entries, &service);
        if records.is_empty() {
            prop_assert!(frame.is_empty());
            return Ok(());
        }
        let decoded = decode_frame(&frame, frame.len()).unwrap().unwrap();
        prop_assert_eq!(decoded.len, frame.len());
        prop_assert!(decoded.departures.is_empty());
        prop_assert_eq!(decoded.messages.len(), records.len());
        for (message, (record, seconds)) in decoded.messages.iter().zip(&records) {
            prop_assert_eq!(message.seconds(), i64::from(*seconds));
            prop_assert!(message.record() == Some(&in_order(record.clone())));
        }
        let count = records.len();
        match decode(&frame) {
            Ok(Some((message, len))) => {
                prop_assert_eq!((count, len), (1, frame.len()));
                prop_assert!(message.record() == Some(&in_order(records[0].0.clone())));
                // One entry is what a client sends.
                let mut alone = Vec::new();
                encode_record(&mut alone, plane, &records[0].0, &service, records[0].1.into());
                prop_assert_eq!(hex(&alone), hex(&frame));
            }
            Ok(None) => prop_assert!(false, "all of it is there"),
            Err(error) => prop_assert_eq!(
                error.kind(),
                &DecodeErrorKind::Count { what: "the list of entries", count, wanted: 1 }
            ),
        }
    }
}
