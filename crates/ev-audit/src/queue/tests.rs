use proptest::prelude::*;

use super::*;

fn queue(bytes: usize, frames: usize) -> Queue {
    Queue::new(Bounds { bytes, frames }, 0)
}

/// The ledger balances, and what it says is pending is what lies around.
fn check(queue: &Queue) {
    let ledger = queue.ledger();
    assert!(ledger.is_balanced(), "{ledger:?}");
    let left = queue.left();
    let frames: usize = left.iter().map(|part| part.frames().count()).sum();
    let bytes: usize = left.iter().flat_map(Left::frames).map(<[u8]>::len).sum();
    assert_eq!((ledger.pending, ledger.pending_bytes), (frames as u64, bytes as u64));
    assert_eq!(ledger.spilled, queue.spilled.end - queue.spilled.start);
    assert_eq!(queue.is_drained(), frames == 0 && ledger.spilled == 0);
}

#[test]
fn bounds_are_by_count_and_by_bytes() {
    let mut by_count = queue(1_000_000, 2);
    by_count.push(&[0; 10], None);
    assert!(by_count.has_room(10));
    by_count.push(&[0; 10], None);
    assert!(!by_count.has_room(1));

    let mut by_bytes = queue(100, 1_000);
    by_bytes.push(&[0; 60], None);
    assert!(by_bytes.has_room(40));
    assert!(!by_bytes.has_room(41));
    assert!(by_bytes.is_half_full());
}

#[test]
fn what_is_in_flight_takes_room_until_it_is_written() {
    let mut queue = queue(100, 1_000);
    queue.push(&[0; 50], None);
    queue.push(&[0; 50], None);
    let chunk = queue.take(None).unwrap();
    assert!(!queue.has_room(1), "in flight");
    assert_eq!(queue.written(1), Some(1));
    assert!(queue.has_room(50));
    assert_eq!(queue.written(chunk.end()), Some(1));
    queue.land();
    assert!(queue.is_drained());
    check(&queue);
}

#[test]
fn what_is_in_flight_is_not_displaced() {
    let mut queue = queue(100, 1_000);
    queue.push(&[0; 90], None);
    queue.take(None).unwrap();
    assert!(!queue.make_room(20, |_| panic!("nothing to drop")));
    queue.push(&[1; 5], None);
    assert!(!queue.make_room(20, |_| panic!("it would be dropped for nothing")));
    let mut seen = Vec::new();
    assert!(queue.make_room(10, |frame| seen.push(frame.to_vec())));
    assert_eq!(seen, [[1; 5]]);
    check(&queue);
}

#[test]
fn nothing_is_displaced_when_too_many_are_in_flight() {
    let mut queue = queue(1_000_000, 3);
    for _ in 0..2 {
        queue.push(&[0; 40_000], None);
    }
    queue.take(None).unwrap();
    queue.push(&[0; 10], None);
    assert!(queue.make_room(10, |_| ()), "two are in memory");
    queue.push(&[1; 10], None);
    queue.push(&[1; 10], None);
    let chunk = Arc::new(Chunk::of(9, vec![0; 30], vec![10, 20, 30]));
    queue.in_flight = Some(InFlight { chunk, next: 0, source: Source::Memory });
    queue.pending_frames += 2;
    assert!(!queue.make_room(10, |_| panic!("three are in flight, and no more fit")));
}

#[test]
fn more_from_disk_than_is_known_to_be_there_is_not_counted() {
    let mut queue = Queue::new(Bounds { bytes: 1_000, frames: 10 }, 2);
    queue.fly(Arc::new(Chunk::of(0, vec![0; 3], vec![1, 2, 3])), Source::Spill);
    assert_eq!(queue.written(3), Some(2));
    let ledger = queue.ledger();
    assert_eq!((ledger.written, ledger.spilled), (2, 0));
    queue.land();
    check(&queue);
}

#[test]
fn a_look_at_what_is_left_copies_no_more_than_one_chunk() {
    let mut queue = queue(usize::MAX, usize::MAX);
    for byte in 0..200 {
        queue.push(&[byte; 40_000], None);
    }
    let counted = allocation_counter::measure(|| {
        let left = queue.left();
        let first: Vec<u8> = left.iter().flat_map(Left::frames).map(|frame| frame[0]).collect();
        assert_eq!(first, (0..200).collect::<Vec<u8>>());
    });
    assert!(counted.bytes_max < 100_000, "{counted:?}");
    // What comes later is not seen by whoever looked before.
    let left = queue.left();
    queue.push(&[200; 10], None);
    assert_eq!(left.iter().flat_map(Left::frames).count(), 200);
    check(&queue);
}

#[test]
fn closing_returns_exactly_what_was_not_written() {
    let mut queue = queue(1_000_000, 1_000);
    for byte in 0..4 {
        queue.push(&[byte; 40_000], None);
    }
    queue.take(None).unwrap();
    queue.written(1);
    queue.land();
    queue.take(None).unwrap();
    let left: Vec<u8> = queue.close().iter().flat_map(Left::frames).map(|frame| frame[0]).collect();
    assert_eq!(left, [1, 2, 3]);
    assert_eq!(queue.written(1), None, "the sender comes too late");
    let ledger = queue.ledger();
    assert_eq!((ledger.written, ledger.dropped.closed, ledger.pending), (1, 3, 0));
    check(&queue);
}

#[test]
fn closing_resolves_receipts_by_where_the_record_is() {
    let mut queue = queue(1_000_000, 1_000);
    let mut receipts = Vec::new();
    for _ in 0..3 {
        let (ticket, receipt) = Ticket::new();
        queue.push(&[0; 40_000], Some(ticket));
        receipts.push(receipt);
    }
    assert_eq!(queue.take_for_spill(1).len(), 1);
    assert!(queue.spilled(1));
    assert_eq!(receipts[0].outcome(), None);
    queue.close();
    let outcomes: Vec<_> = receipts.iter().map(|receipt| receipt.outcome().unwrap()).collect();
    let closed = Outcome::Dropped(DropReason::Closed);
    assert_eq!(outcomes, [Outcome::LeftInSpill, closed, closed]);
    check(&queue);
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Displace(usize),
    Take,
    Write(usize),
    TakeBack,
    Spill(usize),
    SpillDone(usize),
    Replay(usize),
    Expire(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..30_000_usize).prop_map(Step::Push),
        1 => (1..30_000_usize).prop_map(Step::Displace),
        2 => Just(Step::Take),
        3 => (0..6_usize).prop_map(Step::Write),
        1 => Just(Step::TakeBack),
        1 => (1..100_000_usize).prop_map(Step::Spill),
        1 => (0..6_usize).prop_map(Step::SpillDone),
        1 => (1..6_usize).prop_map(Step::Replay),
        1 => (1..4_u64).prop_map(Step::Expire),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    /// Whatever happens in whatever order: the ledger balances, and frames are written in their
    /// order.
    #[test]
    fn the_ledger_balances_at_every_moment(steps in steps()) {
        let mut queue = queue(300_000, 40);
        let mut last = None;
        for step in steps {
            match step {
                Step::Push(length) if queue.has_room(length) => {
                    queue.push(&vec![0; length], None);
                }
                // Only a queue without a spill displaces: on disk there would be gaps.
                Step::Displace(length) if !queue.disk_goes_first() => {
                    queue.make_room(length, |_| ());
                }
                Step::Take if queue.in_flight.is_none() && !queue.disk_goes_first() => {
                    queue.take(None);
                }
                Step::Write(frames) => {
                    if let Some(flight) = &queue.in_flight {
                        let until = (flight.next + frames).min(flight.chunk.end());
                        let whole = until == flight.chunk.end();
                        if until > flight.next {
                            let first = flight.chunk.number(flight.next);
                            prop_assert!(last.is_none_or(|last| first > last));
                            last = Some(flight.chunk.number(until - 1));
                        }
                        queue.written(until);
                        if whole {
                            queue.land();
                        }
                    }
                }
                Step::Spill(bytes) if queue.transit.is_empty() => {
                    queue.take_for_spill(bytes);
                }
                Step::SpillDone(frames) => {
                    let there = queue.transit.iter().map(|chunk| chunk.frames()).sum();
                    queue.spilled(frames.min(there));
                }
                Step::TakeBack => {
                    queue.take_back();
                }
                Step::Replay(frames) if queue.in_flight.is_none() && !queue.spilled.is_empty() => {
                    let there = usize::try_from(queue.spilled.end - queue.spilled.start).unwrap();
                    let frames = frames.min(there);
                    let ends = (1..=u32::try_from(frames).unwrap()).collect();
                    let chunk = Chunk::of(queue.spilled.start, vec![0; frames], ends);
                    queue.fly(Arc::new(chunk), Source::Spill);
                }
                Step::Expire(frames) if queue.in_flight.is_none() => {
                    queue.lost_from_spill(frames, DropReason::Expired);
                }
                _ => {}
            }
            check(&queue);
        }
        let spilled = queue.ledger().spilled;
        let there: usize = queue.take_to_put_away().iter().map(|part| part.frames().count()).sum();
        check(&queue);
        queue.put_away(there / 2);
        let ledger = queue.ledger();
        prop_assert!(ledger.is_balanced());
        prop_assert_eq!(ledger.spilled, spilled + there as u64 / 2);
        let left: usize = queue.close().iter().map(|part| part.frames().count()).sum();
        prop_assert_eq!(left, there - there / 2);
        prop_assert!(queue.ledger().is_balanced());
        prop_assert_eq!(queue.ledger().pending, 0);
    }
}
