//! UTC dates, by which the bulk export cuts the log.

use std::fmt;

use crate::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;

/// A UTC date, as days since 1970-01-01. Printed as `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

impl Date {
    /// The date of a second since 1970-01-01T00:00:00Z.
    pub fn of(second: i64) -> Self {
        Self(second.div_euclid(SECONDS_PER_DAY))
    }

    /// That day of the proleptic Gregorian calendar, in the years 0 to 9999; `None` if there is none
    /// such.
    pub fn from_ymd(year: i64, month: i64, day: i64) -> Option<Self> {
        let may_be = (0..=9999).contains(&year) && (1..=12).contains(&month);
        let date =
            (may_be && (1..=31).contains(&day)).then(|| Self(days_from_civil(year, month, day)))?;
        // What is no day of the month comes out as one of the next.
        let (_, of_month, _) = Timestamp::new(date.start(), 0).date();
        (i64::from(of_month) == month).then_some(date)
    }

    /// Its first second, since 1970-01-01T00:00:00Z.
    pub fn start(self) -> i64 {
        self.0.saturating_mul(SECONDS_PER_DAY)
    }

    /// The date so many days later, or earlier.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Reads a date as it is printed; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_date = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !is_date {
            return None;
        }
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        Self::from_ymd(year, month, day)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = Timestamp::new(self.start(), 0).date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Dates since 1970-01-01 of a date of the proleptic Gregorian calendar.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_those_of_utc() {
        assert_eq!(Date::of(0).to_string(), "1970-01-01");
        assert_eq!(Date::of(-1).to_string(), "1969-12-31");
        assert_eq!(Date::of(1_800_000_000).to_string(), "2027-01-15");
        assert_eq!(Date::parse("2024-02-29"), Some(Date::of(1_709_164_800)));
        assert_eq!(Date::from_ymd(2024, 2, 29), Some(Date::of(1_709_164_800)));
        for (year, month, day) in [
            (2023, 2, 29),
            (2024, 2, 30),
            (2024, 2, 31),
            (2024, 4, 31),
            (2024, 13, 1),
            (2024, 0, 1),
        ] {
            assert_eq!(Date::from_ymd(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!((Date::from_ymd(-1, 1, 1), Date::from_ymd(10_000, 1, 1)), (None, None));
        assert_eq!(
            Date::parse("2024-02-29").map(|date| date.plus(1).to_string()).as_deref(),
            Some("2024-03-01")
        );
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2024-2-29",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "not-a-date",
            "2024-01-01 ",
            "+024-01-01",
            "2024-01-0１",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(days in -700_000i64..2_900_000) {
            let date = Date(days);
            prop_assert_eq!(Date::parse(&date.to_string()), Some(date));
            prop_assert_eq!(Date::of(date.start()), date);
            prop_assert_eq!(Date::of(date.start() + 86_399), date);
        }
    }
}
