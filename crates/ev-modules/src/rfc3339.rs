//! Reading RFC 3339 times in UTC; printing them is [`Timestamp`]'s own `Display`.

use ev_core::Timestamp;

/// Reads `YYYY-MM-DDThh:mm:ss[.fraction]Z`. Of what [`Timestamp::parse`] takes, other offsets than
/// `Z`, lower-case letters, blanks, leap seconds, the year 0 and what is finer than a nanosecond are
/// refused: what we write never has them, and a time has one spelling.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let time = Timestamp::parse(text)?;
    let has_one_spelling = text.as_bytes().get(10) == Some(&b'T')
        && text.ends_with('Z')
        && text.len() <= LONGEST
        && text.get(17..19) != Some("60")
        && time >= Timestamp::ZERO_YEAR_ONE;
    has_one_spelling.then_some(time)
}

/// Bytes of a time with nanoseconds.
const LONGEST: usize = "2025-01-01T00:00:00.123456789Z".len();

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
            "2025-01-01 00:00:00Z",
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
