//! Compressed bodies.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The body without its encoding. Fluentd knows gzip (also of several members) and deflate, and
/// takes any other encoding for none.
///
/// # Errors
///
/// When it is damaged, or larger than `limit` bytes.
pub(super) fn inflate(encoding: Option<&str>, body: Bytes, limit: usize) -> io::Result<Bytes> {
    match encoding {
        Some("gzip") => read(MultiGzDecoder::new(&body[..]), limit),
        Some("deflate") => read(ZlibDecoder::new(&body[..]), limit)
            // Some senders leave the zlib frame out.
            .or_else(|_| read(DeflateDecoder::new(&body[..]), limit)),
        _ => Ok(body),
    }
}

fn read(decoder: impl Read, limit: usize) -> io::Result<Bytes> {
    let mut plain = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut plain)?;
    if plain.len() > limit {
        return Err(io::Error::other("larger than the limit when decompressed"));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn both_encodings_are_known() {
        let members = [gzip(b"{}"), gzip(b"[]")].concat();
        assert_eq!(&inflate(Some("gzip"), members.into(), 10).expect("good")[..], b"{}[]");
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"{}").expect("memory");
        let zlib = zlib.finish().expect("memory");
        assert_eq!(&inflate(Some("deflate"), zlib.into(), 10).expect("good")[..], b"{}");
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(b"{}").expect("memory");
        let raw = raw.finish().expect("memory");
        assert_eq!(&inflate(Some("deflate"), raw.into(), 10).expect("good")[..], b"{}");
        let other = Bytes::from_static(b"\x28\xb5\x2f\xfd");
        assert_eq!(inflate(Some("zstd"), other.clone(), 10).expect("taken for none"), other);
        assert_eq!(inflate(None, other.clone(), 10).expect("none"), other);
    }

    #[test]
    fn damaged_and_oversized_bodies_are_refused() {
        let whole = gzip(&[b'x'; 1000]);
        assert!(inflate(Some("gzip"), whole[..whole.len() - 4].to_vec().into(), 2000).is_err());
        assert!(inflate(Some("gzip"), b"{}".to_vec().into(), 2000).is_err());
        assert!(inflate(Some("gzip"), whole.clone().into(), 999).is_err());
        assert!(inflate(Some("gzip"), whole.into(), 1000).is_ok());
    }
}
