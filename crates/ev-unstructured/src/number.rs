//! Doubles as Go prints them.

use ev_core::JsonDouble;

/// Whole numbers below this are printed as such: doubles hold them exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes a finite double.
pub(crate) fn write(out: &mut Vec<u8>, number: f64) {
    let size = number.abs();
    // Nearly all numbers of an event are small and whole. Minus zero is neither here.
    if size < EXACT && number.trunc() == number && (number != 0.0 || number.is_sign_positive()) {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return whole(out, number as i64);
    }
    out.extend_from_slice(JsonDouble::of(number).as_bytes());
}

fn whole(out: &mut Vec<u8>, number: i64) {
    let mut text = [0; 20];
    let mut at = text.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_printed_as_go_prints_them() {
        let check = |number: f64, expected: &str| {
            let mut out = b"x".to_vec();
            write(&mut out, number);
            assert_eq!(String::from_utf8(out).expect("text"), format!("x{expected}"));
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(-17.0, "-17");
        check(9_007_199_254_740_991.0, "9007199254740991");
        check(9_007_199_254_740_992.0, "9007199254740992");
        check(18_446_744_073_709_551_615.0, "18446744073709552000");
        check(9.999_999_999_999_999e20, "999999999999999900000");
        check(1e21, "1e+21");
        check(-1.5e300, "-1.5e+300");
        check(0.5, "0.5");
        check(1e-6, "0.000001");
        check(1e-7, "1e-7");
        check(-1.25e-10, "-1.25e-10");
        check(5e-324, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
        // Of two as near, the even one.
        check(974_881_518_011_538.25, "974881518011538.2");
    }
}
