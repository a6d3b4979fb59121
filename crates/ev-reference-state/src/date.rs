//! UTC dates as the bulk export names them.

use std::fmt;
use std::str::FromStr;

const SECONDS_PER_DAY: i64 = 86_400;

/// A UTC date, `YYYY-MM-DD`, of the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(jiff::civil::Date);

/// The text is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no date of the form YYYY-MM-DD")]
pub struct InvalidDate;

impl Date {
    /// The date of a second since 1970-01-01T00:00:00Z; `None` outside of the years 1 to 9999.
    pub fn of_second(second: i64) -> Option<Self> {
        let days = i32::try_from(second.div_euclid(SECONDS_PER_DAY)).ok()?;
        let epoch = jiff::civil::Date::constant(1970, 1, 1);
        let date = epoch.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
        (date.year() >= 1).then_some(Self(date))
    }

    /// Its first second since 1970-01-01T00:00:00Z.
    pub fn first_second(self) -> i64 {
        let midnight = self.0.to_zoned(jiff::tz::TimeZone::UTC);
        midnight.map_or(0, |midnight| midnight.timestamp().as_second())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = (self.0.year(), self.0.month(), self.0.day());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Date {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let is_digit = |at: usize| bytes[at].is_ascii_digit();
        if bytes.len() != 10
            || bytes[4] != b'-'
            || bytes[7] != b'-'
            || ![0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(is_digit)
        {
            return Err(InvalidDate);
        }
        let number = |range: std::ops::Range<usize>| text[range].parse::<i16>().ok();
        let (year, month, day) = (number(0..4), number(5..7), number(8..10));
        let small = |value: Option<i16>| i8::try_from(value?).ok();
        match (year, small(month), small(day)) {
            (Some(year @ 1..), Some(month), Some(day)) => {
                jiff::civil::Date::new(year, month, day).map(Self).map_err(|_| InvalidDate)
            }
            _ => Err(InvalidDate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written_in_one_form() {
        for (text, second) in
            [("1970-01-01", 0), ("2026-11-17", 1_794_873_600), ("1969-12-31", -86_400)]
        {
            let date: Date = text.parse().expect("a date");
            assert_eq!((date.to_string().as_str(), date.first_second()), (text, second));
            assert_eq!(Date::of_second(second + 86_399), Some(date));
        }
        for bad in [
            "",
            "not-a-date",
            "2026-11-7",
            "2026-02-30",
            "0000-01-01",
            "2026-11-17 ",
            "+026-11-17",
            "２０２６-11-17",
        ] {
            assert_eq!(bad.parse::<Date>(), Err(InvalidDate), "{bad}");
        }
        assert_eq!(Date::of_second(i64::MAX), None);
        assert_eq!(Date::of_second(i64::MIN), None);
    }
}
