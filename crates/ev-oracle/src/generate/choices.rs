//! Where a generator takes its decisions from.

/// A stream of decisions: endless from a seed, or read from bytes and zero behind them. The same
/// seed or bytes always give the same decisions.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    source: Source<'a>,
}

#[derive(Clone, Debug)]
enum Source<'a> {
    Seed(u64),
    Bytes(&'a [u8]),
}

impl<'a> Choices<'a> {
    /// Endless decisions that look random.
    pub fn seeded(seed: u64) -> Self {
        Self { source: Source::Seed(seed) }
    }

    /// The decisions that a fuzzer wrote down.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self { source: Source::Bytes(bytes) }
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        match &mut self.source {
            Source::Seed(state) => {
                // SplitMix64 (Steele, Lea, Flood 2014).
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
            Source::Bytes(bytes) => take(bytes, 8),
        }
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end < 2 {
            return 0;
        }
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        let bits = match &mut self.source {
            Source::Seed(_) => self.bits(),
            // A fuzzer's bytes are few: no more than needed for the number.
            Source::Bytes(bytes) if end <= 256 => take(bytes, 1),
            Source::Bytes(bytes) => take(bytes, 4),
        };
        usize::try_from(bits % end).unwrap_or_default()
    }

    /// True once in so many times; false when the bytes are used up.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    /// One of the items.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<'b, T>(&mut self, items: &'b [T]) -> &'b T {
        &items[self.below(items.len())]
    }
}

fn take(bytes: &mut &[u8], len: usize) -> u64 {
    let (taken, rest) = bytes.split_at(len.min(bytes.len()));
    *bytes = rest;
    taken.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}
