//! Moments as events carry them.

use std::fmt;

/// A moment in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of the second, below 1,000,000,000.
    pub nanos: u32,
}

impl UtcTime {
    /// A moment on a whole second.
    pub fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// This moment and so many nanoseconds, which may be negative.
    #[must_use]
    pub fn plus_nanos(self, nanos: i128) -> Self {
        let all = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos) + nanos;
        let seconds = all.div_euclid(1_000_000_000);
        let nanos = all.rem_euclid(1_000_000_000);
        Self {
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            nanos: u32::try_from(nanos).expect("below a thousand million"),
        }
    }

    /// Nanoseconds since 1970.
    pub fn as_nanos(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// Reads RFC 3339 as Go prints it in UTC: years 0001 to 9999, `Z`, at most nine digits of a
    /// fraction.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('Z')?;
        let (date_time, fraction) = match text.split_once('.') {
            Some((head, fraction)) => (head, fraction),
            None => (text, ""),
        };
        let shape = date_time.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
        if date_time.len() != 19 || !shape || fraction.len() > 9 {
            return None;
        }
        let number = |range: std::ops::Range<usize>| date_time[range].parse::<i64>().ok();
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 || !fraction.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let nanos = format!("{fraction:0<9}").parse().ok()?;
        let days = days_from_civil(year, month, day);
        Some(Self { seconds: days * 86_400 + hour * 3_600 + minute * 60 + second, nanos })
    }
}

impl fmt::Display for UtcTime {
    /// RFC 3339, the fraction without trailing zeros, as Go prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanos > 0 {
            let fraction = format!("{:09}", self.nanos);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Days since 1970 of a date of the proleptic Gregorian calendar; years begin in March here, so
/// that the leap day is the last one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_the_same() {
        for (text, seconds, nanos) in [
            ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2024-02-29T23:59:59.12Z", 1_709_251_199, 120_000_000),
            ("2026-11-17T22:15:36.0000001Z", 1_794_953_736, 100),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_799, 999_999_999),
        ] {
            let time = UtcTime { seconds, nanos };
            assert_eq!(time.to_string(), text);
            assert_eq!(UtcTime::parse(text), Some(time));
        }
    }

    #[test]
    fn refuses_what_go_does_not_print() {
        for text in ["", "Z", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z", "2024-01-01 00:00:00Z"]
        {
            assert_eq!(UtcTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn adds_across_seconds() {
        let time = UtcTime { seconds: 5, nanos: 999_999_999 };
        assert_eq!(time.plus_nanos(2), UtcTime { seconds: 6, nanos: 1 });
        assert_eq!(UtcTime::from_seconds(0).plus_nanos(-1).seconds, -1);
    }
}
