//! What is sent, compressed.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// A compressor holds about 300 KiB; so many are kept for their next use.
const MAX_KEPT: usize = 8;
/// The receiver's host has time to spend, this one has many events to send.
const LEVEL: u32 = 1;
/// RFC 1952, section 2.3: deflate, no name, no time, fastest, unknown system. Without a time the
/// same bytes give the same bytes.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// Least room that is made for more output.
const GROWTH: usize = 4 * 1024;

/// What is compressed with gzip, level 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gzip {
    /// Nothing.
    #[default]
    Off,
    /// What is larger than a bound, if it shrinks.
    Auto {
        /// The bound, in bytes before compression.
        above_bytes: usize,
    },
    /// Everything.
    Always,
}

/// Compresses as the setting says. Making a compressor costs several times as much as compressing
/// one event, so those that were used are kept.
pub struct Zipper {
    gzip: Gzip,
    free: Mutex<Vec<Compress>>,
}

impl Zipper {
    /// One that follows `gzip`.
    pub fn new(gzip: Gzip) -> Self {
        Self { gzip, free: Mutex::default() }
    }

    /// Whether compressing so many bytes is tried at all.
    pub fn is_tried(&self, plain_bytes: u64) -> bool {
        match self.gzip {
            Gzip::Off => false,
            Gzip::Auto { above_bytes } => plain_bytes > above_bytes as u64,
            Gzip::Always => true,
        }
    }

    /// All parts, joined, as one gzip member (RFC 1952); `None` when they are to be sent as they
    /// are.
    pub fn zip<'a>(&self, parts: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Vec<u8>> {
        let plain_bytes: usize = parts.clone().map(<[u8]>::len).sum();
        if !self.is_tried(plain_bytes as u64) {
            return None;
        }
        // Nothing in here can be left half done by a panic.
        let kept = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut compress = kept.unwrap_or_else(|| Compress::new(Compression::new(LEVEL), false));
        let zipped = member(&mut compress, parts, plain_bytes);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_KEPT {
            free.push(compress);
        }
        zipped.filter(|zipped| self.gzip == Gzip::Always || zipped.len() < plain_bytes)
    }
}

impl fmt::Debug for Zipper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zipper").field("gzip", &self.gzip).finish_non_exhaustive()
    }
}

/// `None` if the compressor fails, which it does for no input.
fn member<'a>(
    compress: &mut Compress,
    parts: impl Iterator<Item = &'a [u8]>,
    plain_bytes: usize,
) -> Option<Vec<u8>> {
    compress.reset();
    let mut crc = Crc::new();
    // Arrays of Teleport's events shrink to less than a third.
    let mut out = Vec::with_capacity(plain_bytes / 3 + GROWTH);
    out.extend_from_slice(&HEADER);
    for part in parts {
        crc.update(part);
        feed(compress, part, FlushCompress::None, &mut out)?;
    }
    feed(compress, &[], FlushCompress::Finish, &mut out)?;
    out.extend_from_slice(&crc.sum().to_le_bytes());
    // The length modulo 2^32, which is what the counter of `Crc` holds.
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Some(out)
}

fn feed(
    compress: &mut Compress,
    mut input: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> Option<()> {
    loop {
        if out.capacity() - out.len() < GROWTH {
            out.reserve(out.len().max(GROWTH));
        }
        let before = compress.total_in();
        let status = compress.compress_vec(input, out, flush).ok()?;
        let taken = usize::try_from(compress.total_in() - before).ok()?;
        input = input.get(taken..)?;
        let done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            _ => input.is_empty(),
        };
        if done {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let (mut plain, mut rest) = (Vec::new(), bytes);
        let mut decoder = GzDecoder::new(&mut rest);
        decoder.read_to_end(&mut plain).expect("a good member with a good checksum");
        assert_eq!(rest, b"", "nothing stands behind it");
        plain
    }

    /// Bytes that do not shrink, so that the output outgrows every guess; the same in each run.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let bytes = (0..count).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        bytes.collect()
    }

    #[test]
    fn anything_comes_out_as_it_went_in() {
        let text = br#"{"event":"user.login","uid":"0"}"#.repeat(2_000);
        let inputs: [Vec<Vec<u8>>; 6] = [
            vec![],
            vec![Vec::new()],
            vec![b"{}".to_vec()],
            vec![text.clone(), b"x".to_vec(), text],
            (0..300).map(noise).collect(),
            vec![noise(100_000)],
        ];
        let zipper = Zipper::new(Gzip::Always);
        // Twice, as a compressor is used again.
        for parts in inputs.iter().chain(&inputs) {
            let parts = parts.iter().map(Vec::as_slice);
            let zipped = zipper.zip(parts.clone()).expect("it never fails");
            assert_eq!(inflate(&zipped), parts.clone().flatten().copied().collect::<Vec<_>>());
            assert_eq!(zipper.zip(parts), Some(zipped), "the same bytes each time");
        }
        assert_eq!(zipper.free.lock().expect("whole").len(), 1);
    }

    #[test]
    fn the_setting_decides() {
        let is_zipped = |gzip, bytes: &[u8]| Zipper::new(gzip).zip([bytes].into_iter()).is_some();
        let text = [b'x'; 1001];
        assert!(!is_zipped(Gzip::Off, &text));
        assert!(is_zipped(Gzip::Always, b"{}"));
        let auto = Gzip::Auto { above_bytes: 1000 };
        assert!(!is_zipped(auto, &text[..1000]));
        assert!(is_zipped(auto, &text));
        // What does not shrink goes as it is.
        assert!(!is_zipped(auto, &noise(5000)));
        assert!(is_zipped(Gzip::Always, &noise(5000)));
    }
}
