//! Reading RFC 3339 times in UTC; printing them is [`Timestamp`]'s own `Display`.

use ev_core::{Date, Timestamp};

/// Reads `YYYY-MM-DDThh:mm:ss[.fraction]Z`. Other offsets than `Z`, lower-case letters and leap
/// seconds are refused: what we write never has them, and a time has one spelling.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let (whole, rest) = bytes.split_at_checked(19)?;
    let fraction = rest.strip_suffix(b"Z")?;
    if [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
        .iter()
        .any(|(at, separator)| whole[*at] != *separator)
    {
        return None;
    }
    let part = |from: usize, to: usize| number(&whole[from..to]);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if year == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::from_ymd(year.into(), month.into(), day.into())?;
    let seconds = date.start() + i64::from(hour * 3600 + minute * 60 + second);
    Some(Timestamp::new(seconds, nanos(fraction)?))
}

/// `.` and one to nine digits, or nothing.
fn nanos(fraction: &[u8]) -> Option<u32> {
    if fraction.is_empty() {
        return Some(0);
    }
    let digits = fraction.strip_prefix(b".")?;
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let scale = (digits.len()..9).fold(1, |scale, _| scale * 10);
    Some(number(digits)? * scale)
}

/// Up to nine ASCII digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_printed() {
        for (seconds, nanos) in [
            (0, 0),
            (-62_135_596_800, 0),
            (253_402_300_799, 999_999_999),
            (1_709_164_800, 100),
            (1_763_380_929, 600_000_000),
            (951_782_400, 0),
            (-1, 0),
        ] {
            let time = Timestamp::new(seconds, nanos);
            assert_eq!(parse(&time.to_string()), Some(time), "{time}");
        }
    }

    #[test]
    fn refuses_other_spellings() {
        for bad in [
            "",
            "2025-01-01",
            "2025-01-01T00:00:00",
            "2025-01-01T00:00:00+00:00",
            "2025-01-01t00:00:00Z",
            "2025-01-01T00:00:00z",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:60Z",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00.1234567890Z",
            "2025-01-01T00:00:00,5Z",
            "0000-01-01T00:00:00Z",
            "+025-01-01T00:00:00Z",
            "2025-01-01T00:00:00ZZ",
            "2025-01-01T00:00:00é",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
