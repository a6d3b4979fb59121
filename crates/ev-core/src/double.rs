//! Doubles as Go prints them in JSON.

/// Whole numbers below this are printed as such: doubles hold them exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A finite double as Go's `encoding/json` prints it: the shortest digits that read back the same,
/// the even one where two are as near, with an exponent below 1e-6 and from 1e21 on.
///
/// JSON has no others: whoever prints them looks at [`f64::is_finite`] first.
pub struct JsonDouble {
    // At most a sign, 21 digits and a point, or 17 digits behind seven other characters.
    text: [u8; 40],
    len: usize,
}

impl JsonDouble {
    /// The text of a finite double. What it is for others says nothing.
    #[must_use]
    pub fn of(value: f64) -> Self {
        let mut digits = Self { text: [0; 40], len: 0 };
        // Nearly all numbers of an event are small and whole. Minus zero is neither here.
        if value.abs() < EXACT
            && value.trunc() == value
            && (value != 0.0 || value.is_sign_positive())
        {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            digits.write_whole(value as i64);
        } else {
            digits.write(value);
        }
        digits
    }

    /// ASCII, and never empty.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.text[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn push_zeros(&mut self, count: usize) {
        self.text[self.len..self.len + count].fill(b'0');
        self.len += count;
    }

    fn write_whole(&mut self, value: i64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10).to_le_bytes()[0];
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.push(b"-");
        }
        self.push(&digits[at..]);
    }

    fn write(&mut self, value: f64) {
        let mut buffer = ryu::Buffer::new();
        let Shortest { negative, digits, count, point } =
            Shortest::read(buffer.format_finite(value).as_bytes());
        let digits = &digits[..count];
        if negative {
            self.push(b"-");
        }
        if digits.is_empty() {
            return self.push(b"0");
        }
        // Of `d.ddd` times ten to the power.
        let power = point - 1;
        if !(-6..21).contains(&power) {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if power < 0 { b"e-" } else { b"e+" });
            return self.push_small(power.unsigned_abs());
        }
        // Behind zero or one digit there are at most 17, or 21 digits in all.
        let before = usize::try_from(point).unwrap_or_default();
        if before == 0 {
            self.push(b"0.");
            self.push_zeros(point.unsigned_abs() as usize);
            self.push(digits);
        } else if count <= before {
            self.push(digits);
            self.push_zeros(before - count);
        } else {
            self.push(&digits[..before]);
            self.push(b".");
            self.push(&digits[before..]);
        }
    }

    /// A number below 1000.
    fn push_small(&mut self, value: u32) {
        let digit = |value: u32| b'0' + (value % 10) as u8;
        let digits = [digit(value / 100), digit(value / 10), digit(value)];
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count().min(2);
        self.push(&digits[zeros..]);
    }
}

/// A double as digits and the place of the point.
struct Shortest {
    negative: bool,
    /// Without zeros at either end.
    digits: [u8; 20],
    count: usize,
    /// How many digits stand in front of the point; negative for zeros behind it.
    point: i32,
}

impl Shortest {
    /// Reads what the library writes: digits, perhaps with a point and an exponent.
    fn read(text: &[u8]) -> Self {
        let mut number = Self { negative: false, digits: [b'0'; 20], count: 0, point: 0 };
        let (mut behind_point, mut zeros) = (false, 0);
        let mut rest = text.iter();
        for &byte in rest.by_ref() {
            match byte {
                b'-' => number.negative = true,
                b'.' => behind_point = true,
                b'0'..=b'9' => {
                    if byte == b'0' && number.count == 0 {
                        number.point -= i32::from(behind_point);
                        continue;
                    }
                    number.point += i32::from(!behind_point);
                    if byte == b'0' {
                        // Zeros count only when another digit follows.
                        zeros += 1;
                        continue;
                    }
                    number.count += zeros;
                    zeros = 0;
                    if let Some(digit) = number.digits.get_mut(number.count) {
                        *digit = byte;
                        number.count += 1;
                    }
                }
                _ => break,
            }
        }
        let (mut exponent, mut sign) = (0, 1);
        for &byte in rest {
            match byte {
                b'-' => sign = -1,
                b'0'..=b'9' => exponent = exponent * 10 + i32::from(byte - b'0'),
                _ => {}
            }
        }
        number.point += sign * exponent;
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        String::from_utf8(JsonDouble::of(value).as_bytes().to_vec()).expect("digits")
    }

    #[test]
    #[expect(clippy::excessive_precision, reason = "ties are written as they are")]
    fn prints_as_go_does() {
        let check = |value, expected: &str| assert_eq!(text(value), expected);
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(-12.5, "-12.5");
        check(0.1, "0.1");
        check(1e-6, "0.000001");
        check(9.999_999e-7, "9.999999e-7");
        check(1e-7, "1e-7");
        check(1e20, "100000000000000000000");
        check(1e21, "1e+21");
        check(999_999_999_999_999_900_000.0, "999999999999999900000");
        check(1.5e300, "1.5e+300");
        check(5e-324, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
        check(9_007_199_254_740_993.0, "9007199254740992");
        check(18_446_744_073_709_551_615.0, "18446744073709552000");
        check(1_234_567.891, "1234567.891");
        check(-17.0, "-17");
        check(9_007_199_254_740_991.0, "9007199254740991");
        check(-9_007_199_254_740_991.0, "-9007199254740991");
        check(9_007_199_254_740_992.0, "9007199254740992");
        check(-1.5e300, "-1.5e+300");
        check(-1.25e-10, "-1.25e-10");
        // Ties between two shortest texts: Go takes the even digit.
        check(974_881_518_011_538.25, "974881518011538.2");
        check(974_881_518_011_538.75, "974881518011538.8");
        check(12.000_015_258_789_062, "12.000015258789062");
        check(1.000_007_629_394_531_2, "1.0000076293945312");
    }

    proptest! {
        #[test]
        #[expect(clippy::cast_precision_loss, reason = "below 2^53 nothing is lost")]
        fn whole_numbers_are_printed_as_such(number in -(1i64 << 53) + 1..1 << 53) {
            prop_assert_eq!(text(number as f64), number.to_string());
        }

        #[test]
        fn reads_back_the_same(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let text = text(value);
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
                // As many digits as the standard library finds; they may differ in a tie.
                let digits = |text: &str| {
                    let text = text.split('e').next().unwrap_or_default().replace(['.', '-'], "");
                    text.trim_matches('0').len()
                };
                prop_assert_eq!(digits(&text), digits(&format!("{value:e}")));
            }
        }
    }
}
