//! Times as text, into instants.

use crate::{Date, Timestamp};

impl Timestamp {
    /// Reads a time in RFC 3339 with any offset, of the years 0 to 9999; `None` for anything else.
    /// What is finer than a nanosecond is cut off, and a leap second is the one in front of it.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let has = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
        let is_shaped = has(4, b"-") && has(7, b"-") && has(10, b"Tt ") && has(13, b":");
        if !is_shaped || !has(16, b":") {
            return None;
        }
        let [year, month, day] = [number(bytes, 0, 4)?, number(bytes, 5, 2)?, number(bytes, 8, 2)?];
        let [hour, minute] = [number(bytes, 11, 2)?, number(bytes, 14, 2)?];
        let second = number(bytes, 17, 2)?;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let date = Date::from_ymd(year, month, day)?;
        let (nanos, zone) = fraction(bytes.get(19..)?)?;
        let of_day = hour * 3600 + minute * 60 + second.min(59);
        let local = date.start() + of_day;
        Some(Self::new(local - offset(zone)?, nanos))
    }
}

/// The number of so many digits at `at`.
fn number(bytes: &[u8], at: usize, digits: usize) -> Option<i64> {
    let digits = bytes.get(at..at + digits)?;
    let add =
        |sum: i64, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'));
    digits.iter().try_fold(0, add)
}

/// The nanoseconds of a fraction, and what stands behind it.
fn fraction(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, zone) = rest.split_at(count);
    let nine = digits.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = nine.fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    (count > 0).then_some((nanos, zone))
}

/// By how many seconds local time is ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    let sign = match zone {
        b"Z" | b"z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(zone, 1, 2)?, number(zone, 4, 2)?);
    let is_offset = zone.len() == 6 && zone[3] == b':' && hours < 24 && minutes < 60;
    is_offset.then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Option<(i64, u32)> {
        Timestamp::parse(text).map(|time| (time.seconds(), time.subsec_nanos()))
    }

    #[test]
    fn times_are_read_with_fraction_and_offset() {
        // GNU date has the seconds.
        assert_eq!(parsed("2026-11-19T12:00:00.12Z"), Some((1_795_089_600, 120_000_000)));
        assert_eq!(parsed("2026-11-19T14:00:00+02:00"), Some((1_795_089_600, 0)));
        assert_eq!(parsed("2026-11-19T06:30:00-05:30"), Some((1_795_089_600, 0)));
        assert_eq!(parsed("2026-11-19 12:00:00z"), Some((1_795_089_600, 0)));
        assert_eq!(parsed("0001-01-01T00:00:00Z"), Some((-62_135_596_800, 0)));
        assert_eq!(parsed("9999-12-31T23:59:59.999999999Z"), Some((253_402_300_799, 999_999_999)));
        assert_eq!(parsed("1969-12-31T23:59:59.5Z"), Some((-1, 500_000_000)));
        assert_eq!(parsed("2024-02-29T00:00:00.0000000019Z"), Some((1_709_164_800, 1)));
        assert_eq!(parsed("2016-12-31T23:59:60Z"), Some((1_483_228_799, 0)), "a leap second");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-19",
            "2026-11-19T12:00:00",
            "2026-11-19T12:00Z",
            "2026-11-19T12:00:00.Z",
            "2026-11-19T12:00:00+02",
            "2026-11-19T12:00:00+0200",
            "2026-11-19T12:00:00+02:00 ",
            "2026-11-19T12:00:00+24:00",
            "2026-11-19T12:00:00Zulu",
            "2026-11-19T24:00:00Z",
            "2026-11-19T12:60:00Z",
            "2026-11-19T12:00:61Z",
            "2026-13-19T12:00:00Z",
            "2026-00-19T12:00:00Z",
            "2026-11-31T12:00:00Z",
            "2026-11-00T12:00:00Z",
            "2023-02-29T12:00:00Z",
            "2026-12-32T12:00:00Z",
            "+026-11-19T12:00:00Z",
            "2026-11-1\u{661}T12:00:00Z",
            "9999999999999999999999",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            seconds in Timestamp::ZERO_YEAR_ONE.seconds()..Timestamp::END_OF_YEAR_9999.seconds(),
            nanos in 0..1_000_000_000u32,
        ) {
            let time = Timestamp::new(seconds, nanos);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }

        #[test]
        fn nothing_panics(text in "[0-9TZ:.+-]{0,40}", any in ".{0,40}") {
            let _ = (Timestamp::parse(&text), Timestamp::parse(&any));
        }
    }
}
