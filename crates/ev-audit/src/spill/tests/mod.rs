//! What a spill promises, against truncated and altered files, deaths at every byte written, a
//! full disk, and a simple model.

mod crash;
mod damage;
pub(super) mod fault;
mod files;
mod model;
mod process;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{Amount, Recovered, Spill, SpillError, SpillSettings};

/// The time of all tests: 2026-06-01T00:00:00Z.
const NOW: i64 = 1_780_272_000;

/// A wall clock that is set by hand.
#[derive(Clone, Debug)]
struct Time(Arc<AtomicI64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(NOW)))
    }

    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn open(&self, settings: &SpillSettings) -> Result<(Spill, Recovered), SpillError> {
        let time = self.clone();
        Spill::open(settings, Box::new(move || time.now()))
    }
}

/// Settings with segments of at most `segment_bytes`.
fn settings(dir: &Path, segment_bytes: u64) -> SpillSettings {
    SpillSettings { segment_bytes, ..SpillSettings::new(dir) }
}

fn open(settings: &SpillSettings) -> (Spill, Recovered) {
    Time::new().open(settings).expect("the directory is ours")
}

/// Frame `number`: its number, and so much filling that lengths differ.
fn frame(number: u64) -> Vec<u8> {
    let mut frame = number.to_le_bytes().to_vec();
    let filling = usize::try_from(number % 7).expect("a small number");
    frame.resize(8 + filling, number.to_le_bytes()[0] ^ 0x55);
    frame
}

/// Frames with these numbers, one behind the other, and where each ends.
fn block(numbers: Range<u64>) -> (Vec<u8>, Vec<u32>) {
    let (mut frames, mut ends) = (Vec::new(), Vec::new());
    for number in numbers {
        frames.extend(frame(number));
        ends.push(u32::try_from(frames.len()).expect("a small block"));
    }
    (frames, ends)
}

fn append(spill: &mut Spill, numbers: Range<u64>) -> Result<Amount, SpillError> {
    let (frames, ends) = block(numbers);
    spill.append(&frames, &ends)
}

/// Appends all of them, and nothing goes wrong.
fn must_append(spill: &mut Spill, numbers: Range<u64>) {
    let count = numbers.end - numbers.start;
    assert_eq!(append(spill, numbers).expect("room").frames, count);
}

/// Reads once, and tells the numbers of the frames, whose content is right.
fn read(spill: &mut Spill, limit: usize) -> Result<Vec<u64>, SpillError> {
    // What is in the buffers before stays.
    let (mut out, mut ends) = (b"before".to_vec(), vec![6]);
    let count = spill.read(&mut out, &mut ends, limit)?;
    assert_eq!(ends.len(), count + 1);
    assert!(out.starts_with(b"before") && ends[0] == 6);
    let numbers = ends.windows(2).map(|pair| {
        let bytes = &out[pair[0] as usize..pair[1] as usize];
        let number = u64::from_le_bytes(*bytes.first_chunk().expect("a frame has its number"));
        assert_eq!(bytes, frame(number), "frame {number} is not as it was");
        number
    });
    Ok(numbers.collect())
}

/// Reads everything that was not handed out yet.
fn read_all(spill: &mut Spill) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let numbers = read(spill, 100).expect("files can be read");
        if numbers.is_empty() {
            return all;
        }
        all.extend(numbers);
    }
}
