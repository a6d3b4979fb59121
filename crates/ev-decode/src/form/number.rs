//! Numbers through a double.

use ev_core::JsonDouble;

/// Integers of up to this many characters are exact.
const EXACT: usize = 15;

/// Offset of the first byte behind the number or word that begins at `start`.
#[inline]
pub(super) fn end(go: &[u8], start: usize) -> usize {
    let rest = go.get(start..).unwrap_or_default();
    let len = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']'));
    start + len.unwrap_or(rest.len())
}

/// Whether the number might read otherwise as a double; `false` is certain.
#[inline]
pub(super) fn may_differ(digits: &[u8]) -> bool {
    digits.len() > EXACT
}

/// The number as a double, if that may be another one. What has an exponent or a fraction was a
/// double before.
pub(super) fn rounded(digits: &[u8]) -> Option<JsonDouble> {
    let is_integer = || digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    (may_differ(digits) && is_integer()).then(|| integer(digits).map(JsonDouble::of)).flatten()
}

/// The double nearest to an integer of at most 64 bits, as all integers in an event are. What is
/// longer was a double before.
#[expect(clippy::cast_precision_loss, reason = "rounded on purpose, to even like any reader does")]
fn integer(digits: &[u8]) -> Option<f64> {
    let (negative, digits) = match digits {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut value = 0u64;
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))?;
    }
    let value = value as f64;
    Some(if negative { -value } else { value })
}
