//! Durations as Go's `time.ParseDuration` reads and `Duration.String` prints them.

/// Nanoseconds in each unit, in the order in which Go tries them.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// One more than the largest number of nanoseconds: what a negative one may have.
const LIMIT: u64 = 1 << 63;

/// The text is no Go duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Not numbers with units.
    #[error("is not a duration such as `10s`, `1h30m` or `1.5h`")]
    Syntax,
    /// A number without a unit.
    #[error("lacks a unit (`ns`, `us`, `ms`, `s`, `m` or `h`)")]
    MissingUnit,
    /// A unit that Go does not have, days above all.
    #[error("has an unknown unit (there are `ns`, `us`, `ms`, `s`, `m` and `h`)")]
    UnknownUnit,
    /// More than about 292 years.
    #[error("is too long")]
    Overflow,
}

/// Reads a duration as Go does, in nanoseconds, which may be negative.
///
/// # Errors
///
/// [`InvalidDuration`] for what Go refuses: blanks, missing or unknown units, overflow.
pub fn parse_duration(text: &str) -> Result<i64, InvalidDuration> {
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(InvalidDuration::Syntax);
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let (nanos, behind) = element(rest)?;
        total = total
            .checked_add(nanos)
            .filter(|total| *total <= LIMIT)
            .ok_or(InvalidDuration::Overflow)?;
        rest = behind;
    }
    match i64::try_from(total) {
        Ok(nanos) if negative => Ok(-nanos),
        Ok(nanos) => Ok(nanos),
        Err(_) if negative => Ok(i64::MIN),
        Err(_) => Err(InvalidDuration::Overflow),
    }
}

/// One number with its unit, and what stands behind it.
fn element(text: &str) -> Result<(u64, &str), InvalidDuration> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(InvalidDuration::Syntax);
    }
    let unit_len = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_len);
    if unit.is_empty() {
        return Err(InvalidDuration::MissingUnit);
    }
    let (_, scale) =
        UNITS.iter().find(|(name, _)| *name == unit).ok_or(InvalidDuration::UnknownUnit)?;

    let whole = if whole.is_empty() { Ok(0) } else { whole.parse::<u64>() };
    let whole = whole.ok().and_then(|whole| whole.checked_mul(*scale));
    let nanos = whole
        .and_then(|nanos| nanos.checked_add(fraction_of(fraction, *scale)))
        .filter(|nanos| *nanos <= LIMIT)
        .ok_or(InvalidDuration::Overflow)?;
    Ok((nanos, rest))
}

/// The part of `scale` that the digits behind a decimal point stand for, rounded down. Digits that
/// cannot matter are passed over, as in Go.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let mut value = 0u128;
    let mut divisor = 1u128;
    // An hour has 13 digits of nanoseconds; 18 are exact for every unit and fit easily.
    for digit in digits.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    u64::try_from(value * u128::from(scale) / divisor).unwrap_or(u64::MAX)
}

/// Prints nanoseconds as Go does: `1h30m0s`, `1.5s`, `200ms`, `0s`.
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let total = nanos.unsigned_abs();
    if total == 0 {
        return "0s".to_owned();
    }
    if total < 1_000_000_000 {
        let (unit, scale) = match total {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{sign}{}{unit}", decimal(total, scale));
    }
    let seconds = decimal(total % 60_000_000_000, 1_000_000_000);
    match (total / 3_600_000_000_000, total / 60_000_000_000 % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / scale` with the zeros at its end trimmed; `scale` is a power of ten.
fn decimal(value: u64, scale: u64) -> String {
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = usize::try_from(scale.ilog10()).unwrap_or_default();
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn reads_what_go_reads() {
        let check = |text, nanos| assert_eq!(parse_duration(text), Ok(nanos), "{text}");
        check("0", 0);
        check("-0", 0);
        check("5s", 5 * SECOND);
        check("+5s", 5 * SECOND);
        check("-5s", -5 * SECOND);
        check("1478s", 1478 * SECOND);
        check("5.0s", 5 * SECOND);
        check("5.6s", 5_600_000_000);
        check("5.s", 5 * SECOND);
        check(".5s", 500_000_000);
        check("1.00100s", 1_001_000_000);
        check("10ns", 10);
        check("11us", 11_000);
        check("12µs", 12_000);
        check("12μs", 12_000);
        check("13ms", 13_000_000);
        check("1.5h", 5400 * SECOND);
        check("3h30m", 12_600 * SECOND);
        check("10.5s4m", 250_500_000_000);
        check("-2m3.4s", -123_400_000_000);
        check("52763797000ns", 52_763_797_000);
        check("0.3333333333333333333h", 20 * 60 * SECOND - 1);
        check("9223372036854775807ns", i64::MAX);
        check("-9223372036854775808ns", i64::MIN);
        check("0.100000000000000000000h", 360 * SECOND);
    }

    #[test]
    fn refuses_what_go_refuses() {
        use InvalidDuration::{MissingUnit, Overflow, Syntax, UnknownUnit};
        let check = |text, error| assert_eq!(parse_duration(text), Err(error), "{text}");
        check("", Syntax);
        check("3", MissingUnit);
        check("-", Syntax);
        check("s", Syntax);
        check(".", Syntax);
        check("-.", Syntax);
        check(".s", Syntax);
        check("+.s", Syntax);
        check("1d", UnknownUnit);
        check("1S", UnknownUnit);
        check(" 1s", Syntax);
        check("1 s", UnknownUnit);
        check("1h 30m", UnknownUnit);
        check("\u{85}\u{85}", Syntax);
        check("3000000h", Overflow);
        check("9223372036854775808ns", Overflow);
        check("9223372036854775.808us", Overflow);
        check("9223372036854ms775us808ns", Overflow);
        check("99999999999999999999s", Overflow);
    }

    #[test]
    fn prints_what_go_prints() {
        let check = |nanos, text| assert_eq!(format_duration(nanos), text);
        check(0, "0s");
        check(1, "1ns");
        check(1_100, "1.1µs");
        check(2_200_000, "2.2ms");
        check(3_300_000_000, "3.3s");
        check(245 * SECOND, "4m5s");
        check(245_001_000_000, "4m5.001s");
        check(18_367_001_000_000, "5h6m7.001s");
        check(480_000_000_001, "8m0.000000001s");
        check(i64::MAX, "2562047h47m16.854775807s");
        check(i64::MIN, "-2562047h47m16.854775808s");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(nanos: i64) {
            prop_assert_eq!(parse_duration(&format_duration(nanos)), Ok(nanos));
        }

        #[test]
        fn short_ones_too(nanos in -3_600_000_000_000i64..3_600_000_000_000) {
            prop_assert_eq!(parse_duration(&format_duration(nanos)), Ok(nanos));
        }

        #[test]
        fn whole_numbers_of_units_add_up(h in 0..2000i64, m in 0..2000i64, ms in 0..2000i64) {
            let nanos = (h * 3600 + m * 60) * SECOND + ms * 1_000_000;
            prop_assert_eq!(parse_duration(&format!("{h}h{m}m{ms}ms")), Ok(nanos));
            prop_assert_eq!(parse_duration(&format!("-{ms}ms{m}m{h}h")), Ok(-nanos));
        }

        #[test]
        fn nothing_panics(text in "[-+0-9.hmsnuµ ]{0,24}|.{0,8}") {
            if let Ok(nanos) = parse_duration(&text) {
                prop_assert_eq!(parse_duration(&format_duration(nanos)), Ok(nanos));
            }
        }
    }
}
