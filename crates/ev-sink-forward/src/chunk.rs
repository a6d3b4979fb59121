//! A batch as one message: head, entries, options.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ev_core::{Batch, Timestamp};
use ev_dial::Zipper;

use crate::Gzip;
use crate::msgpack::{array, binary, event_time, map, text, unsigned};
use crate::record::Converter;

/// Batches up to this size are turned into chunks in place; larger ones on a thread for blocking
/// work, so that nothing else waits.
const IN_PLACE_BYTES: usize = 16 * 1024;
/// So many converters are kept for the next chunk.
const MAX_KEPT: usize = 8;

/// A message that can be sent.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    /// Bytes of its entries before and behind compression, if they were compressed.
    pub(crate) zipped: Option<(usize, usize)>,
}

/// Why a batch cannot become a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// This entry is no JSON object.
    Entry { index: usize, at: usize },
    /// It is larger than the format can say, or the process is about to end.
    Whole,
}

/// What a chunk is made of beside its batch.
pub(crate) struct Label {
    pub(crate) tag: String,
    pub(crate) id: String,
    /// The time of events that have none.
    pub(crate) now: Timestamp,
}

/// Makes chunks.
pub(crate) struct Maker(Arc<Tools>);

struct Tools {
    /// Costly to make anew.
    converters: Mutex<Vec<Converter>>,
    zipper: Zipper,
}

impl Maker {
    pub(crate) fn new(gzip: Gzip) -> Self {
        Self(Arc::new(Tools { converters: Mutex::default(), zipper: Zipper::new(gzip) }))
    }

    pub(crate) async fn make(&self, batch: &Batch, label: Label) -> Result<Chunk, Unfit> {
        let tools = Arc::clone(&self.0);
        let size: usize = batch.entries.iter().map(|entry| entry.json.len()).sum();
        if size <= IN_PLACE_BYTES {
            return tools.make(batch, &label);
        }
        // Its bytes are shared; what is copied is where the entries stand.
        let batch = batch.clone();
        let made = tokio::task::spawn_blocking(move || tools.make(&batch, &label)).await;
        // A panic or the end of the runtime.
        made.unwrap_or(Err(Unfit::Whole))
    }
}

impl Tools {
    fn make(&self, batch: &Batch, label: &Label) -> Result<Chunk, Unfit> {
        let entries = self.entries(batch, label.now)?;
        let zipped = self.zipper.zip(std::iter::once(&*entries));
        let sizes = zipped.as_ref().map(|zipped| (entries.len(), zipped.len()));
        let entries = zipped.unwrap_or(entries);
        let mut bytes = Vec::with_capacity(entries.len() + label.tag.len() + 128);
        write(&mut bytes, &entries, sizes.is_some(), batch.entries.len(), label)
            .ok_or(Unfit::Whole)?;
        Ok(Chunk { bytes, zipped: sizes })
    }

    fn entries(&self, batch: &Batch, now: Timestamp) -> Result<Vec<u8>, Unfit> {
        // Nothing in here can be left half done by a panic.
        let kept = self.converters.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut converter = kept.unwrap_or_default();
        let entries = entries(&mut converter, batch, now);
        let mut free = self.converters.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_KEPT {
            free.push(converter);
        }
        entries
    }
}

fn entries(converter: &mut Converter, batch: &Batch, now: Timestamp) -> Result<Vec<u8>, Unfit> {
    let mut out = Vec::with_capacity(batch.body.len());
    for (index, entry) in batch.entries.iter().enumerate() {
        array(&mut out, 2);
        let time_at = out.len();
        event_time(&mut out, 0, 0);
        let json: Bytes = batch.body.slice(entry.json.start as usize..entry.json.end as usize);
        let time = converter.convert(&json, &mut out);
        let time = time.map_err(|error| Unfit::Entry { index, at: error.at })?;
        let (seconds, nanos) = fit(time).or_else(|| fit(Some(now))).unwrap_or_default();
        out[time_at + 2..time_at + 6].copy_from_slice(&seconds.to_be_bytes());
        out[time_at + 6..time_at + 10].copy_from_slice(&nanos.to_be_bytes());
    }
    Ok(out)
}

/// The time as the format can hold it. Zero seconds mean "now" to a receiver, so they are left
/// out.
fn fit(time: Option<Timestamp>) -> Option<(u32, u32)> {
    let time = time?;
    let seconds = u32::try_from(time.seconds()).ok().filter(|seconds| *seconds > 0)?;
    Some((seconds, time.subsec_nanos()))
}

/// The message around its entries: `[tag, entries, {"chunk", "size", "compressed"}]`.
fn write(
    out: &mut Vec<u8>,
    entries: &[u8],
    is_zipped: bool,
    events: usize,
    label: &Label,
) -> Option<()> {
    array(out, 3);
    text(out, label.tag.as_bytes())?;
    binary(out, entries.len())?;
    out.extend_from_slice(entries);
    map(out, if is_zipped { 3 } else { 2 });
    text(out, b"chunk")?;
    text(out, label.id.as_bytes())?;
    text(out, b"size")?;
    unsigned(out, events as u64);
    if is_zipped {
        text(out, b"compressed")?;
        text(out, b"gzip")?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use ev_core::Route;
    use ev_core::testing::sink::batch;

    use super::*;

    fn label() -> Label {
        Label { tag: "t".to_owned(), id: "id".to_owned(), now: Timestamp::new(7, 8) }
    }

    fn chunk(gzip: Gzip, events: &[&str]) -> Result<Chunk, Unfit> {
        Maker::new(gzip).0.make(&batch(1, Route::Audit, events), &label())
    }

    #[test]
    fn a_message_is_as_the_protocol_has_it() {
        let made = chunk(Gzip::Off, &[r#"{"time":"1970-01-01T00:00:01.000000002Z"}"#, "{}"]);
        let made = made.expect("objects");
        let record = [&b"\xde\0\x01\xa4time\xbe"[..], b"1970-01-01T00:00:01.000000002Z"].concat();
        let entries = [
            &b"\x92\xd7\0\0\0\0\x01\0\0\0\x02"[..],
            &record,
            // Without a time of its own: now.
            b"\x92\xd7\0\0\0\0\x07\0\0\0\x08\xde\0\0",
        ]
        .concat();
        let length = u8::try_from(entries.len()).expect("short");
        let head = [b'\x93', 0xa1, b't', 0xc6, 0, 0, 0, length];
        let expected = [&head[..], &entries, b"\x82\xa5chunk\xa2id\xa4size\x02"].concat();
        assert_eq!(made.bytes, expected);
        assert_eq!(made.zipped, None);
    }

    #[test]
    fn times_beyond_the_format_become_now() {
        for time in ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2107-01-01T00:00:00Z", "x"] {
            let made = chunk(Gzip::Off, &[&format!(r#"{{"time":"{time}"}}"#)]).expect("an object");
            assert_eq!(made.bytes[8..18], *b"\x92\xd7\0\0\0\0\x07\0\0\0", "{time}");
        }
        // The time of something else inside the event is not its own.
        let made = chunk(Gzip::Off, &[r#"{"a":{"time":"2020-01-01T00:00:00Z"}}"#]).expect("one");
        assert_eq!(made.bytes[8..18], *b"\x92\xd7\0\0\0\0\x07\0\0\0");
    }

    #[test]
    fn compression_is_as_set() {
        let event = format!(r#"{{"a":"{}"}}"#, "x".repeat(1000));
        let is_zipped = |gzip, event: &str| {
            let made = chunk(gzip, &[event]).expect("an object");
            made.bytes.ends_with(b"\xaacompressed\xa4gzip")
        };
        assert!(!is_zipped(Gzip::Off, &event));
        assert!(is_zipped(Gzip::Always, "{}"));
        assert!(!is_zipped(Gzip::Auto { above_bytes: 2000 }, &event));
        assert!(is_zipped(Gzip::Auto { above_bytes: 500 }, &event));
        assert!(!is_zipped(Gzip::Auto { above_bytes: 0 }, "{}"), "it does not shrink");
    }

    #[test]
    fn what_is_no_object_is_named() {
        let error = chunk(Gzip::Off, &["{}", "[]"]).expect_err("no object");
        assert_eq!(error, Unfit::Entry { index: 1, at: 0 });
    }
}
