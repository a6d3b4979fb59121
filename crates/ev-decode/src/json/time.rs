//! Times as Go's `time.Time` prints them.

use ev_core::Timestamp;

use super::Out;

const FIRST_SECOND: i64 = -62_135_596_800;
const SECOND_BEHIND_LAST: i64 = 253_402_300_800;

/// Whether gogo takes the two for a `time.Time`: years 1 to 9999, a second's nanoseconds.
pub(crate) fn valid_time(seconds: i64, nanos: i32) -> bool {
    (FIRST_SECOND..SECOND_BEHIND_LAST).contains(&seconds) && (0..1_000_000_000).contains(&nanos)
}

/// A valid time, quoted: RFC 3339 in UTC, the fraction without trailing zeros.
pub(crate) fn write_time(out: &mut Out, seconds: i64, nanos: u32) {
    out.push(b'"');
    if let Some(text) = Timestamp::new(seconds, nanos).rfc3339() {
        let (block, len) = text.block();
        out.extend_from_block(block, len);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prints_as_the_shared_time_does(
            seconds in FIRST_SECOND..SECOND_BEHIND_LAST,
            nanos in prop_oneof![Just(0u32), 0..1_000_000_000u32, (0..1000u32).prop_map(|ms| ms * 1_000_000)],
        ) {
            let mut out = Out::default();
            write_time(&mut out, seconds, nanos);
            let expected = format!("\"{}\"", Timestamp::new(seconds, nanos));
            prop_assert_eq!(out.as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn the_range_is_that_of_gogo() {
        assert!(valid_time(FIRST_SECOND, 0) && valid_time(SECOND_BEHIND_LAST - 1, 999_999_999));
        assert!(!valid_time(FIRST_SECOND - 1, 0) && !valid_time(SECOND_BEHIND_LAST, 0));
        assert!(!valid_time(0, -1) && !valid_time(0, 1_000_000_000));
    }
}
