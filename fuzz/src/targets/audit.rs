//! The frames that the audit receiver reads, one behind the other.

use std::ops::Range;

use ev_audit::wire::{self, DecodeError, Decoded, decode, decode_frame, frame_len};
use ev_audit::{Message, Rules};
use ev_oracle::{Choices, mutate};

/// The longest frame that is read here.
const MAX_FRAME: usize = 1 << 16;

pub(super) fn run(input: &[u8]) {
    let mut rest = input;
    while !rest.is_empty() {
        let len = frame_len(rest, MAX_FRAME);
        match decode_frame(rest, MAX_FRAME) {
            Ok(Some(decoded)) => {
                assert_eq!(len, Ok(Some(decoded.len)));
                whole(&rest[..decoded.len], &decoded);
            }
            Ok(None) => {
                assert_eq!(len, Ok(None), "what is waited for is not there");
            }
            Err(error) => wrong(rest, &error, &len),
        }
        // What cannot be read is passed over when its end can be found.
        let Ok(Some(len)) = len else { return };
        assert!(len > 0 && len <= rest.len());
        rest = &rest[len..];
    }
}

/// A frame that was read: nothing of it may be missing, and what it says can be written.
fn whole(frame: &[u8], decoded: &Decoded) {
    for end in [0, frame.len() / 3, frame.len() / 2, frame.len() - 1] {
        assert_eq!(decode_frame(&frame[..end], MAX_FRAME), Ok(None));
        assert_eq!(frame_len(&frame[..end], MAX_FRAME), Ok(None));
    }
    for departure in &decoded.departures {
        assert!(departure.offset < frame.len(), "{departure}");
    }
    if let [message] = &decoded.messages[..] {
        assert_eq!(decode(frame), Ok(Some((message.clone(), frame.len()))));
    }
    for message in &decoded.messages {
        message_again(message);
    }
    // What has nothing to be said about it has one form only.
    if let ([message], []) = (&decoded.messages[..], &decoded.departures[..]) {
        let mut again = Vec::new();
        wire::encode(&mut again, message);
        // Nested maps may stand in any order, and an absent service id has no other form.
        assert_eq!(again.len(), frame.len());
    }
}

/// What was read is written in one form, and that is read as the same.
fn message_again(message: &Message) {
    let mut frame = Vec::new();
    wire::encode(&mut frame, message);
    let read = decode_frame(&frame, usize::MAX).expect("what is written is a frame");
    let read = read.expect("all of it");
    assert_eq!(read.len, frame.len());
    let mut again = Vec::new();
    wire::encode(&mut again, &read.messages[0]);
    assert_eq!(again, frame);
    assert_eq!(wire::seconds(&frame), Some(message.seconds()));
    for rules in [Rules::default(), Rules::strict()] {
        let problems = message.problems(&rules);
        assert_eq!(message.validate(&rules).err(), problems.first().cloned());
        // Nothing that is accepted is longer than it may be.
        assert!(!problems.is_empty() || frame.len() <= rules.max_frame_bytes);
        assert!(problems.iter().all(|problem| !problem.to_string().is_empty()));
    }
}

/// A frame that cannot be read: it stays so, whatever follows.
fn wrong(bytes: &[u8], error: &DecodeError, len: &Result<Option<usize>, DecodeError>) {
    assert!(error.offset() <= bytes.len() && !error.to_string().is_empty());
    let more = [bytes, &[0; 80]].concat();
    assert_eq!(decode_frame(&more, MAX_FRAME).as_ref(), Err(error));
    if !error.is_skippable() {
        assert!(len.is_err(), "{error}");
    }
}

pub(super) fn make(inputs: &[Vec<u8>], choices: &mut Choices<'_>) -> Vec<u8> {
    const WORDS: [&[u8]; 28] = [
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\x05",
        b"\x80",
        b"\x90",
        b"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91",
        b"\x81\xc0",
        b"\xa0",
        b"\xa1\xff",
        b"\xd9\x01x",
        b"\xda\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xdc\x00\x01",
        b"\xdd\x00\xff\xff\xff",
        b"\xde\x00\x01",
        b"\xdf\x00\x7f\xff\xff",
        b"\xc4\x00",
        b"\xc6\x00\x00\x00\x01",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xd7\xff\xee\x6b\x28\x00\x00\x00\x00\x00",
        b"\xc7\x0c\xff\x00\x00\x00\x00",
        b"\xaaCustomData\x81\xa1k",
        b"\xa3UPN",
        b"OperationType(77)",
        b"\xacfe80::1%eth0",
        b"\xadOperationName",
        b"\x81\xaaTimeFormat\xa8DateTime",
    ];
    let mut input = choices.pick(inputs).clone();
    let is_damaged = choices.once_in(4);
    for _ in 0..1 + choices.below(3) {
        // A value in place of another keeps the rest readable.
        let place = if is_damaged {
            let at = choices.below(input.len() + 1);
            at..input.len().min(at + choices.below(12))
        } else {
            let values = values(&input);
            if values.is_empty() { 0..0 } else { choices.pick(&values).clone() }
        };
        let other = choices.pick::<Vec<u8>>(inputs);
        let values = values(other);
        let new = match choices.below(3) {
            0 => *choices.pick(&WORDS),
            _ if values.is_empty() => &[],
            _ => &other[choices.pick(&values).clone()],
        };
        input.splice(place, new.iter().copied());
    }
    if choices.once_in(6) {
        mutate(&mut input, inputs, choices);
    }
    input
}

/// Where the values of a stream stand, those within others too.
fn values(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut values = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at) {
        let Ok(Some(len)) = frame_len(&bytes[at..], MAX_FRAME) else { break };
        values.push(at..at + len);
        // What is in a container stands behind its header.
        at += match head {
            0x80..=0x9f => 1,
            0xdc | 0xde => 3,
            0xdd | 0xdf => 5,
            _ => len,
        };
    }
    values
}
