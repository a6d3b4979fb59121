//! A point in time as protobuf and Go see it.

use std::fmt;

const SECONDS_PER_DAY: i64 = 86_400;

/// Seconds since 1970-01-01T00:00:00Z and nanoseconds, as in `google.protobuf.Timestamp`.
///
/// Printed in RFC 3339, in UTC, with the fraction's trailing zeros trimmed: the form that Go's
/// `time.Time` takes in JSON. Years outside 1 to 9999 can be held but have no such form; then the
/// year is printed as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// 0001-01-01T00:00:00Z: Go's zero time, what an absent time means.
    pub const ZERO_YEAR_ONE: Self = Self { seconds: -62_135_596_800, nanos: 0 };
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self { seconds: 0, nanos: 0 };
    /// First second behind year 9999.
    pub const END_OF_YEAR_9999: Self = Self { seconds: 253_402_300_800, nanos: 0 };

    /// `seconds` since the epoch and `nanos` (0 to 999,999,999; larger values are cut).
    pub const fn new(seconds: i64, nanos: u32) -> Self {
        let nanos = if nanos > 999_999_999 { 999_999_999 } else { nanos };
        Self { seconds, nanos }
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds behind the second, 0 to 999,999,999.
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// The same instant moved by whole seconds, saturating.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self { seconds: self.seconds.saturating_add(seconds), nanos: self.nanos }
    }

    /// Year, month (1 to 12) and day (1 to 31) in UTC, proleptic Gregorian.
    pub fn date(self) -> (i64, u32, u32) {
        civil_from_days(self.seconds.div_euclid(SECONDS_PER_DAY))
    }

    /// Hour, minute and second in UTC.
    pub fn time_of_day(self) -> (u32, u32, u32) {
        // In 0..86_400 by construction.
        let second = u32::try_from(self.seconds.rem_euclid(SECONDS_PER_DAY)).unwrap_or_default();
        (second / 3600, second / 60 % 60, second % 60)
    }

    /// The time in RFC 3339, in UTC, the fraction without trailing zeros; `None` outside of the
    /// years 1 to 9999.
    #[inline]
    pub fn rfc3339(self) -> Option<Rfc3339> {
        if !self.is_printable() {
            return None;
        }
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time_of_day();
        let year = u32::try_from(year).unwrap_or_default();
        let mut text = *b"0000-00-00T00:00:00.000000000Z\0\0";
        for (at, value) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, hour),
            (14, minute),
            (17, second),
        ] {
            text[at] = b'0' + digit(value / 10);
            text[at + 1] = b'0' + digit(value);
        }
        // The point stands at 19, the fraction in 20..29.
        let mut end = 19;
        let mut rest = self.nanos;
        let digits = if rest == 0 { 20..20 } else { 20..29 };
        for at in digits.rev() {
            text[at] = b'0' + digit(rest);
            if end == 19 && text[at] != b'0' {
                end = at + 1;
            }
            rest /= 10;
        }
        text[end] = b'Z';
        Some(Rfc3339 { text, len: end + 1 })
    }

    /// Whether the instant lies in the years 1 to 9999, the range protobuf and RFC 3339 allow.
    pub fn is_printable(self) -> bool {
        self >= Self::ZERO_YEAR_ONE && self < Self::END_OF_YEAR_9999
    }
}

/// A time in RFC 3339, as [`Timestamp::rfc3339`] gives it: at most 30 bytes of ASCII.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339 {
    // Two bytes more than needed, so that it can be copied in one block.
    text: [u8; 32],
    len: usize,
}

impl Rfc3339 {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    /// The text with two bytes of no meaning behind, and its length.
    pub fn block(&self) -> (&[u8; 32], usize) {
        (&self.text, self.len)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.rfc3339() {
            return f.write_str(&String::from_utf8_lossy(text.as_bytes()));
        }
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time_of_day();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanos != 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// The last decimal digit.
fn digit(value: u32) -> u8 {
    (value % 10) as u8
}

/// Days since 1970-01-01 to a date: shifts the year to start in March, so that the leap day is
/// the last one, and counts in eras of 400 years (146,097 days).
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or_default(), u32::try_from(day).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        let check = |seconds, nanos, text: &str| {
            assert_eq!(Timestamp::new(seconds, nanos).to_string(), text);
        };
        check(0, 0, "1970-01-01T00:00:00Z");
        check(-62_135_596_800, 0, "0001-01-01T00:00:00Z");
        check(253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z");
        check(1_709_164_800, 100, "2024-02-29T00:00:00.0000001Z");
        check(1_763_380_929, 600_000_000, "2025-11-17T12:02:09.6Z");
        check(-1, 120_000_000, "1969-12-31T23:59:59.12Z");
    }

    #[test]
    fn printable_range_ends_at_its_borders() {
        assert!(Timestamp::ZERO_YEAR_ONE.is_printable());
        assert!(!Timestamp::ZERO_YEAR_ONE.plus_seconds(-1).is_printable());
        assert!(!Timestamp::END_OF_YEAR_9999.is_printable());
        assert!(Timestamp::END_OF_YEAR_9999.plus_seconds(-1).is_printable());
    }
}
