//! Single values, with a liking for those at borders.

use super::choices::Choices;

const TEXTS: [&[u8]; 28] = [
    b"a",
    b"root",
    b"ssh-node-1.example.com",
    b"session.start",
    b"plain text of some length, without anything to escape",
    b"eight by",
    b"eight byte prefix",
    b"<script>&amp;</script>",
    b"\"quoted\\",
    b"\n\r\t\x08\x0c",
    b"\x00\x01\x1f",
    b"\x7f",
    b"\xc2\x80\xc2\x9f",
    "naïve café".as_bytes(),
    "日本語".as_bytes(),
    "🚀".as_bytes(),
    "\u{2028}\u{2029}".as_bytes(),
    "\u{2027}\u{202a}".as_bytes(),
    "\u{fffd}".as_bytes(),
    "\u{d7ff}\u{e000}\u{ffff}\u{10ffff}".as_bytes(),
    b"\xff",
    b"\xc0\x80",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf0\x9f\x9a",
    b"0123456789abcdef0123456789abcdef",
    b"\\u0041\\\"",
];

/// Pieces that often make no UTF-8.
const FIRST_BAD: usize = 20;
const BEHIND_BAD: usize = 26;

/// A text; one in about thirty is not UTF-8.
pub(super) fn text(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    let pieces = if choices.once_in(8) { choices.below(12) } else { 1 + choices.below(2) };
    for _ in 0..pieces {
        let at = choices.below(TEXTS.len());
        let bad = (FIRST_BAD..BEHIND_BAD).contains(&at);
        text.extend_from_slice(TEXTS[if bad && !choices.once_in(8) { 0 } else { at }]);
    }
    if choices.once_in(1500) {
        let len = choices.below(20_000);
        let byte = *choices.pick(b"x<\xff\n");
        text.resize(text.len() + len, byte);
    }
    text
}

/// The key of a map: few, so that they collide, and alike in their first eight bytes.
pub(super) fn key(choices: &mut Choices<'_>) -> Vec<u8> {
    let keys: [&[u8]; 12] = [
        b"",
        b"a",
        b"b",
        b"env",
        b"12345678",
        b"123456789",
        b"1234567890",
        b"12345678\x00",
        "é".as_bytes(),
        b"\xff",
        b"\xfe",
        b"k<8s.io/name>",
    ];
    match choices.below(40) {
        0..30 => keys[choices.below(9)].to_vec(),
        30..32 => keys[9 + choices.below(3)].to_vec(),
        _ => text(choices),
    }
}

/// Any bytes.
pub(super) fn bytes(choices: &mut Choices<'_>) -> Vec<u8> {
    let len = if choices.once_in(20) { choices.below(300) } else { choices.below(8) };
    (0..len).map(|_| u8::try_from(choices.below(256)).unwrap_or_default()).collect()
}

/// A number of up to 64 bits.
pub(super) fn number(choices: &mut Choices<'_>) -> u64 {
    const EDGES: [u64; 22] = [
        1,
        2,
        9,
        10,
        99,
        100,
        127,
        128,
        1 << 31,
        (1 << 31) - 1,
        u64::MAX << 31,
        1 << 32,
        (1 << 32) - 1,
        (1 << 53) - 1,
        (1 << 53) + 1,
        999_999_999_999_999,
        1_000_000_000_000_000,
        1 << 63,
        (1 << 63) - 1,
        u64::MAX,
        u64::MAX - 1,
        u64::MAX - 999_999,
    ];
    match choices.below(3) {
        0 => *choices.pick(&EDGES),
        1 => choices.bits() >> choices.below(64),
        _ => u64::try_from(1 + choices.below(1000)).unwrap_or(1),
    }
}

/// A double; one in forty is none that JSON has.
pub(super) fn double(choices: &mut Choices<'_>) -> f64 {
    const EDGES: [f64; 24] = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        0.1,
        1e-6,
        9.999_999e-7,
        1e-7,
        1e20,
        1e21,
        -1e21,
        999_999_999_999_999_900_000.0,
        123_456_789.125,
        9_007_199_254_740_993.0,
        18_446_744_073_709_551_615.0,
        5e-324,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        1.5e300,
        1e15,
        1e16,
        // Halfway between two shortest texts.
        12.000_015_258_789_062,
        -1.000_007_629_394_531_2,
    ];
    match choices.below(40) {
        39 => *choices.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        0..24 => *choices.pick(&EDGES),
        _ => {
            let any = f64::from_bits(choices.bits());
            if any.is_finite() { any } else { 2.5 }
        }
    }
}

/// Seconds and nanoseconds; one in sixty is no time that gogo takes.
pub(super) fn time(choices: &mut Choices<'_>) -> (i64, i32) {
    const SECONDS: [i64; 8] =
        [-62_135_596_800, 0, -1, 1, 253_402_300_799, 951_782_400, 4_107_542_399, -2_208_988_801];
    const NANOS: [i32; 8] = [0, 1, 999_999_999, 120_000_000, 100, 500_000_000, 123_456_789, 10];
    const BAD: [(i64, i32); 5] = [
        (-62_135_596_801, 0),
        (253_402_300_800, 0),
        (0, -1),
        (0, 1_000_000_000),
        (i64::MIN, i32::MIN),
    ];
    if choices.once_in(60) {
        return *choices.pick(&BAD);
    }
    let seconds = if choices.once_in(3) {
        *choices.pick(&SECONDS)
    } else {
        1_700_000_000 + i64::try_from(choices.below(100_000_000)).unwrap_or_default()
    };
    (seconds, *choices.pick(&NANOS))
}
