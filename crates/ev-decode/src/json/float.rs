//! Doubles as Go prints them in JSON.

use std::io::Write as _;

/// The digits of a finite double: the shortest that read back the same, with an exponent below
/// 1e-6 and from 1e21 on.
pub(crate) struct Digits {
    // At most a sign, 21 digits and a point, or 17 digits behind seven other characters.
    text: [u8; 40],
    len: usize,
}

impl Digits {
    pub(crate) fn of(value: f64) -> Self {
        let mut digits = Self { text: [0; 40], len: 0 };
        digits.write(value);
        digits
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
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

    fn write(&mut self, value: f64) {
        // `{:e}` gives the shortest digits as `d.ddde-7`. At most 17 digits, a point, a sign and an
        // exponent of five characters.
        let mut scientific = [0u8; 32];
        let mut rest = &mut scientific[..];
        if write!(rest, "{value:e}").is_err() {
            return;
        }
        let len = 32 - rest.len();
        let text = &scientific[..len];
        let magnitude = value.abs();
        let Some(e) = text.iter().position(|byte| *byte == b'e') else { return };
        if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
            self.push(&text[..=e]);
            if text.get(e + 1) != Some(&b'-') {
                self.push(b"+");
            }
            return self.push(&text[e + 1..]);
        }
        let mut digits = [0u8; 32];
        let mut count = 0;
        let mut exponent = 0i32;
        for byte in &text[..e] {
            match byte {
                b'-' => self.push(b"-"),
                b'.' => {}
                digit => {
                    digits[count] = *digit;
                    count += 1;
                }
            }
        }
        for byte in &text[e + 1..] {
            if byte.is_ascii_digit() {
                exponent = exponent * 10 + i32::from(byte - b'0');
            }
        }
        if text.get(e + 1) == Some(&b'-') {
            // Not below 1e-6.
            self.push(b"0.");
            self.push_zeros(exponent.unsigned_abs() as usize - 1);
            return self.push(&digits[..count]);
        }
        let whole = exponent.unsigned_abs() as usize + 1;
        if count <= whole {
            self.push(&digits[..count]);
            self.push_zeros(whole - count);
        } else {
            self.push(&digits[..whole]);
            self.push(b".");
            self.push(&digits[whole..count]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        String::from_utf8(Digits::of(value).as_slice().to_vec()).expect("digits")
    }

    #[test]
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
    }

    proptest! {
        #[test]
        fn reads_back_the_same(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(text(value).parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }
}
