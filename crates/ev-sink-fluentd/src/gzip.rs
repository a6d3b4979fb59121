//! Compressed request bodies.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::Gzip;
use crate::body::Parts;

/// Bodies up to this size are compressed in place, in less than half a millisecond (5 µs for an
/// event of 1.1 KB); larger ones on a thread for blocking work, so that nothing else waits.
const IN_PLACE_BYTES: u64 = 32 * 1024;
/// A compressor holds about 300 KiB; so many are kept for the next request.
const MAX_KEPT: usize = 8;
/// Fluentd's host has time to spend, this one has many events to send.
const LEVEL: u32 = 1;
/// RFC 1952, section 2.3: deflate, no name, no time, fastest, unknown system. Without a time the
/// same events give the same bytes.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// Least room that is made for more output.
const GROWTH: usize = 4 * 1024;

/// Compresses bodies as the setting says.
pub(crate) struct Zipper {
    gzip: Gzip,
    /// Used before and free now; making one anew costs several times as much as compressing one
    /// event.
    free: Arc<Mutex<Vec<Compress>>>,
}

impl Zipper {
    pub(crate) fn new(gzip: Gzip) -> Self {
        Self { gzip, free: Arc::default() }
    }

    /// The compressed body; `None` when it is to be sent as it is. Joins nothing before.
    pub(crate) async fn zip(&self, body: &Parts) -> Option<Parts> {
        let plain = body.len();
        match self.gzip {
            Gzip::Off => return None,
            Gzip::Auto { above_bytes } if plain <= above_bytes as u64 => return None,
            Gzip::Auto { .. } | Gzip::Always => {}
        }
        let free = Arc::clone(&self.free);
        let zipped = if plain <= IN_PLACE_BYTES {
            zip(&free, body)
        } else {
            let body = body.clone();
            // A panic or the end of the runtime: then it goes as it is.
            tokio::task::spawn_blocking(move || zip(&free, &body)).await.ok().flatten()
        }?;
        let smaller = (zipped.len() as u64) < plain;
        (smaller || self.gzip == Gzip::Always).then(|| Parts::object(zipped))
    }
}

fn zip(free: &Mutex<Vec<Compress>>, body: &Parts) -> Option<Bytes> {
    // Nothing in here can be left half done by a panic.
    let kept = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut compress = kept.unwrap_or_else(|| Compress::new(Compression::new(LEVEL), false));
    let zipped = gzip(&mut compress, body);
    let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
    if free.len() < MAX_KEPT {
        free.push(compress);
    }
    zipped
}

/// A small body compressed, whatever the setting.
pub(crate) fn zipped(body: &Parts) -> Option<Bytes> {
    gzip(&mut Compress::new(Compression::new(LEVEL), false), body)
}

/// One gzip member (RFC 1952); `None` if the compressor fails, which it does for no input.
fn gzip(compress: &mut Compress, body: &Parts) -> Option<Bytes> {
    compress.reset();
    let mut crc = Crc::new();
    // Arrays of Teleport's events shrink to less than a third.
    let guess = usize::try_from(body.len() / 3).unwrap_or(0) + GROWTH;
    let mut out = Vec::with_capacity(guess);
    out.extend_from_slice(&HEADER);
    for part in body.iter() {
        crc.update(part);
        feed(compress, part, FlushCompress::None, &mut out)?;
    }
    feed(compress, &[], FlushCompress::Finish, &mut out)?;
    out.extend_from_slice(&crc.sum().to_le_bytes());
    // The length modulo 2^32, which is what the counter of `Crc` holds.
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Some(out.into())
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

    fn joined(body: &Parts) -> Vec<u8> {
        body.iter().flat_map(|part| part.to_vec()).collect()
    }

    /// Bytes that do not shrink, so that the output outgrows every guess; the same in each run.
    fn noise(count: usize) -> Bytes {
        let mut state = 1_u32;
        let bytes = (0..count).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        bytes.collect::<Vec<_>>().into()
    }

    #[test]
    fn any_body_comes_out_as_it_went_in() {
        let text = br#"{"event":"user.login","uid":"0"}"#.repeat(2_000);
        let bodies = [
            vec![],
            vec![Bytes::new()],
            vec![Bytes::from_static(b"{}")],
            vec![text.clone().into(), Bytes::from_static(b"x"), text.into()],
            (0..300).map(noise).collect(),
            vec![noise(100_000)],
        ];
        let free = Mutex::default();
        // Twice, as a compressor is used again.
        for stretches in bodies.iter().chain(&bodies) {
            let body = Parts::array(stretches.iter().cloned());
            let zipped = zip(&free, &body).expect("it never fails");
            assert_eq!(inflate(&zipped), joined(&body));
            assert_eq!(zip(&free, &body), Some(zipped), "the same bytes each time");
        }
        assert_eq!(free.lock().expect("whole").len(), 1);
    }

    #[tokio::test]
    async fn the_setting_decides() {
        let body = |bytes: usize| Parts::object(vec![b'x'; bytes].into());
        let zipped = async |gzip, bytes| Zipper::new(gzip).zip(&body(bytes)).await.is_some();
        assert!(!zipped(Gzip::Off, 100_000).await);
        assert!(zipped(Gzip::Always, 2).await);
        let auto = Gzip::Auto { above_bytes: 1000 };
        assert!(!zipped(auto, 1000).await);
        assert!(zipped(auto, 1001).await);
        // On another thread, and what does not shrink goes as it is.
        assert!(zipped(auto, 100_000).await);
        let noise = Parts::object(noise(5000));
        assert!(Zipper::new(Gzip::Always).zip(&noise).await.is_some_and(|z| z.len() > noise.len()));
        assert!(Zipper::new(auto).zip(&noise).await.is_none());
    }
}
