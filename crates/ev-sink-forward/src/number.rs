//! Numbers of JSON as values of msgpack.

/// What a number becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number<'a> {
    Unsigned(u64),
    Negative(i64),
    Double(f64),
    /// No number of msgpack has its value: its digits as text.
    Text(&'a str),
}

/// Reads the text of a number; `None` if it is none by RFC 8259, section 6.
pub(crate) fn number(text: &str) -> Option<Number<'_>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.bytes().take_while(u8::is_ascii_digit).count();
    let fraction_or_power = &digits[whole..];
    if whole == 0 || (whole > 1 && digits.starts_with('0')) || !is_tail(fraction_or_power) {
        return None;
    }
    if fraction_or_power.is_empty() {
        return Some(integer(text));
    }
    Some(match text.parse::<f64>() {
        Ok(double) if double.is_finite() => Number::Double(double),
        _ => Number::Text(text),
    })
}

fn integer(text: &str) -> Number<'_> {
    if text == "-0" {
        // Only a double can be that.
        return Number::Double(-0.0);
    }
    if let Ok(value) = text.parse::<u64>() {
        return Number::Unsigned(value);
    }
    if let Ok(value) = text.parse::<i64>() {
        return Number::Negative(value);
    }
    match text.parse::<f64>() {
        // Go writes doubles below 1e21 like integers, with the fewest digits that stand for them,
        // and so does `{}`; others write all of their digits.
        Ok(double)
            if double.is_finite()
                && (format!("{double}") == text || format!("{double:.0}") == text) =>
        {
            Number::Double(double)
        }
        _ => Number::Text(text),
    }
}

/// Whether this is an optional fraction and an optional power.
fn is_tail(tail: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = tail;
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(power) = rest.strip_prefix(['e', 'E']) {
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        let count = digits(power);
        if count == 0 {
            return false;
        }
        rest = &power[count..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_what_they_are() {
        let check = |text: &str, expected: Number<'_>| {
            assert_eq!(number(text), Some(expected), "{text}");
        };
        check("0", Number::Unsigned(0));
        check("42", Number::Unsigned(42));
        check("-1", Number::Negative(-1));
        check("18446744073709551615", Number::Unsigned(u64::MAX));
        check("-9223372036854775808", Number::Negative(i64::MIN));
        // Beyond 64 bits: a double where that is what it was.
        check("18446744073709551616", Number::Double(18_446_744_073_709_551_616.0));
        check("18446744073709552000", Number::Double(18_446_744_073_709_551_616.0));
        check("100000000000000000000", Number::Double(1e20));
        check("-100000000000000000000", Number::Double(-1e20));
        // And the digits where it was not.
        check("18446744073709551617", Number::Text("18446744073709551617"));
        check("-9223372036854775809", Number::Text("-9223372036854775809"));
        check("1.5", Number::Double(1.5));
        check("1e21", Number::Double(1e21));
        check("-2.5E-3", Number::Double(-0.0025));
        check("1e400", Number::Text("1e400"));
        check("5e-324", Number::Double(5e-324));
        let Some(Number::Double(zero)) = number("-0") else { panic!("a double") };
        assert!(zero == 0.0 && zero.is_sign_negative());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in
            ["", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1", "1 ", "NaN", "-Infinity", "1.e5"]
        {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
