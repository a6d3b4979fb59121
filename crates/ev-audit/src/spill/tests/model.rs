//! Random work against a simple model.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

const MAX_AGE: i64 = 80;

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Read(usize),
    Done(u64),
    Rewind,
    Sync,
    Reopen,
    Wait(i64),
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u64..12).prop_map(Step::Append),
        5 => (0_usize..200).prop_map(Step::Read),
        4 => (0_u64..15).prop_map(Step::Done),
        1 => Just(Step::Rewind),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
        2 => (0_i64..30).prop_map(Step::Wait),
        1 => Just(Step::Expire),
    ]
}

/// A frame in the model: its number and when it was appended.
type Frame = (u64, i64);

/// What the spill should hold.
#[derive(Debug, Default)]
struct Model {
    handed: VecDeque<Frame>,
    waiting: VecDeque<Frame>,
    next: u64,
    /// Number behind the last frame that was ever handed out.
    handed_to: u64,
}

impl Model {
    fn pending(&self) -> Amount {
        let all = self.handed.iter().chain(&self.waiting);
        let bytes = all.map(|(number, _)| frame(*number).len() as u64).sum();
        Amount { frames: (self.handed.len() + self.waiting.len()) as u64, bytes }
    }

    fn rewind(&mut self) {
        let handed = std::mem::take(&mut self.handed);
        self.waiting = handed.into_iter().chain(self.waiting.drain(..)).collect();
    }

    /// The oldest frames are gone because of their age, and none that should be is left.
    fn expire(&mut self, count: u64, now: i64) {
        for _ in 0..count {
            let (number, appended) = self.waiting.pop_front().expect("a frame that waits");
            assert!(now - appended > MAX_AGE, "frame {number} is {} s old", now - appended);
        }
        if let Some((number, appended)) = self.waiting.front() {
            assert!(now - appended <= MAX_AGE + MAX_AGE / 8, "frame {number} is too old");
        }
    }
}

fn run(steps: &[Step], segment_bytes: u64, max_bytes: u64) {
    let dir = tempfile::tempdir().unwrap();
    let max_age = Some(Duration::from_secs(MAX_AGE.unsigned_abs()));
    let settings = SpillSettings { max_bytes, max_age, ..settings(dir.path(), segment_bytes) };
    let time = Time::new();
    let mut model = Model::default();
    let (mut spill, _) = time.open(&settings).unwrap();
    for step in steps {
        match step {
            Step::Append(count) => {
                let taken = append(&mut spill, model.next..model.next + count).unwrap();
                assert!(taken.frames <= *count);
                let numbers = model.next..model.next + taken.frames;
                model.waiting.extend(numbers.map(|number| (number, time.now())));
                model.next += taken.frames;
            }
            Step::Read(limit) => {
                let numbers = read(&mut spill, *limit).unwrap();
                assert_eq!(numbers.is_empty(), model.waiting.is_empty());
                let bytes: usize = numbers.iter().map(|number| frame(*number).len()).sum();
                assert!(bytes <= *limit || numbers.len() == 1);
                for number in numbers {
                    let first = model.waiting.pop_front().expect("a frame that waits");
                    assert_eq!(number, first.0);
                    model.handed.push_back(first);
                    model.handed_to = model.handed_to.max(number + 1);
                }
            }
            Step::Done(count) => {
                let count = (*count).min(model.handed.len() as u64);
                spill.done(count);
                model.handed.drain(..usize::try_from(count).unwrap());
            }
            Step::Rewind => {
                spill.rewind();
                model.rewind();
            }
            Step::Sync => spill.sync().unwrap(),
            Step::Reopen => {
                drop(spill);
                let recovered;
                (spill, recovered) = time.open(&settings).unwrap();
                model.rewind();
                model.expire(recovered.expired.frames, time.now());
                assert_eq!(recovered.pending, model.pending());
                let first = model.waiting.front().map_or(model.next, |(number, _)| *number);
                let maybe = model.handed_to.saturating_sub(first);
                assert!(recovered.maybe_written >= maybe.min(recovered.pending.frames));
                assert_eq!((recovered.torn, recovered.set_aside), (Amount::default(), 0));
            }
            Step::Wait(seconds) => time.advance(*seconds),
            Step::Expire => {
                let expired = spill.expire();
                model.expire(expired.frames, time.now());
            }
        }
        assert_eq!(spill.pending(), model.pending(), "after {step:?}");
        assert!(spill.take_lost().is_none(), "after {step:?}");
    }
    // Everything that is left comes out.
    spill.rewind();
    model.rewind();
    let numbers: Vec<u64> = model.waiting.iter().map(|(number, _)| *number).collect();
    assert_eq!(read_all(&mut spill), numbers);
    spill.done(numbers.len() as u64);
    spill.sync().unwrap();
    assert!(spill.pending().is_none());
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 2, "lock and position");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_work_keeps_order_and_counts(
        steps in prop::collection::vec(step(), 1..60),
        segment_bytes in 100_u64..600,
        max_bytes in prop_oneof![Just(1_u64 << 20), 900_u64..5000],
    ) {
        run(&steps, segment_bytes, max_bytes);
    }
}
