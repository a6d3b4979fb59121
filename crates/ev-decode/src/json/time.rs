//! Times as Go's `time.Time` prints them.

use super::Out;

const DAY: i64 = 86_400;
const FIRST_SECOND: i64 = -62_135_596_800;
const SECOND_BEHIND_LAST: i64 = 253_402_300_800;

/// Whether gogo takes the two for a `time.Time`: years 1 to 9999, a second's nanoseconds.
pub(crate) fn valid_time(seconds: i64, nanos: i32) -> bool {
    (FIRST_SECOND..SECOND_BEHIND_LAST).contains(&seconds) && (0..1_000_000_000).contains(&nanos)
}

/// A valid time, quoted: RFC 3339 in UTC, the fraction without trailing zeros.
pub(crate) fn write_time(out: &mut Out, seconds: i64, nanos: u32) {
    let (days, second) = (seconds.div_euclid(DAY), small(seconds.rem_euclid(DAY)));
    let (year, month, day) = civil(days);
    let mut text = *b"\"0000-00-00T00:00:00.000000000Z\"";
    two(&mut text, 1, year / 100);
    two(&mut text, 3, year % 100);
    two(&mut text, 6, month);
    two(&mut text, 9, day);
    two(&mut text, 12, second / 3600);
    two(&mut text, 15, second / 60 % 60);
    two(&mut text, 18, second % 60);
    // The point stands at 20, the fraction in 21..30.
    let mut end = 20;
    let mut rest = nanos;
    let digits = if nanos == 0 { 21..21 } else { 21..30 };
    for at in digits.rev() {
        let digit = (rest % 10) as u8;
        rest /= 10;
        text[at] = b'0' + digit;
        if end == 20 && digit != 0 {
            end = at + 1;
        }
    }
    text[end] = b'Z';
    text[end + 1] = b'"';
    out.extend_from_block(&text, end + 2);
}

fn two(text: &mut [u8], at: usize, value: u32) {
    let pair = (value % 100) as usize * 2;
    text[at..at + 2].copy_from_slice(&super::DIGIT_PAIRS[pair..pair + 2]);
}

fn small(n: i64) -> u32 {
    u32::try_from(n).unwrap_or_default()
}

/// Year, month and day of a day since 1970: the year is shifted to start in March, so that the
/// leap day is its last, and counted in eras of 400 years (146,097 days).
fn civil(days: i64) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = small(shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = small(era * 400 + i64::from(year_of_era) + i64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use ev_core::Timestamp;
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
