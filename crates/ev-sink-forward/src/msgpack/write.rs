//! Values written into a buffer, each in its shortest form unless said otherwise.

/// `nil`, `true` or `false`.
pub(crate) fn nil_or_bool(out: &mut Vec<u8>, value: Option<bool>) {
    out.push(match value {
        None => 0xc0,
        Some(false) => 0xc2,
        Some(true) => 0xc3,
    });
}

pub(crate) fn unsigned(out: &mut Vec<u8>, value: u64) {
    if let Ok(value) = u8::try_from(value) {
        if value >= 0x80 {
            out.push(0xcc);
        }
        out.push(value);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xcd);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// An integer below zero.
pub(crate) fn negative(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = i8::try_from(value) {
        if value < -32 {
            out.push(0xd0);
        }
        out.push(value.to_be_bytes()[0]);
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn double(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

/// A text. `None` when it is longer than 4 GiB, which msgpack cannot say.
pub(crate) fn text(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    if let Ok(length) = u8::try_from(text.len()) {
        match length {
            0..=31 => out.push(0xa0 | length),
            _ => out.extend_from_slice(&[0xd9, length]),
        }
    } else if let Ok(length) = u16::try_from(text.len()) {
        out.push(0xda);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(0xdb);
        out.extend_from_slice(&u32::try_from(text.len()).ok()?.to_be_bytes());
    }
    out.extend_from_slice(text);
    Some(())
}

/// The head of bytes that follow elsewhere, always with a length of 32 bits. `None` as above.
pub(crate) fn binary(out: &mut Vec<u8>, length: usize) -> Option<()> {
    out.push(0xc6);
    out.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    Some(())
}

/// The head of an array of at most 15.
pub(crate) fn array(out: &mut Vec<u8>, count: u8) {
    debug_assert!(count < 16, "the length has four bits");
    out.push(0x90 | count);
}

/// The head of a map of at most 15.
pub(crate) fn map(out: &mut Vec<u8>, count: u8) {
    debug_assert!(count < 16, "the length has four bits");
    out.push(0x80 | count);
}

/// Fluentd's `EventTime`: extension type 0, seconds and nanoseconds as 32 bits each.
pub(crate) fn event_time(out: &mut Vec<u8>, seconds: u32, nanos: u32) {
    out.extend_from_slice(&[0xd7, 0]);
    out.extend_from_slice(&seconds.to_be_bytes());
    out.extend_from_slice(&nanos.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &[u8]) {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn integers_take_their_shortest_form() {
        for (value, expected) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0xcc, 128]),
            (255, &[0xcc, 255]),
            (256, &[0xcd, 1, 0]),
            (65_536, &[0xce, 0, 1, 0, 0]),
            (u64::MAX, &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            check(|out| unsigned(out, value), expected);
        }
        for (value, expected) in [
            (-1, &[0xff][..]),
            (-32, &[0xe0]),
            (-33, &[0xd0, 0xdf]),
            (-128, &[0xd0, 0x80]),
            (-129, &[0xd1, 0xff, 0x7f]),
            (-32_769, &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
            (i64::MIN, &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            check(|out| negative(out, value), expected);
        }
    }

    #[test]
    fn texts_say_their_length() {
        for (length, head) in [
            (0, &[0xa0][..]),
            (31, &[0xbf]),
            (32, &[0xd9, 32]),
            (256, &[0xda, 1, 0]),
            (65_536, &[0xdb, 0, 1, 0, 0]),
        ] {
            let body = vec![b'x'; length];
            let expected = [head, &body].concat();
            check(|out| text(out, &body).expect("short enough"), &expected);
        }
    }

    #[test]
    fn the_rest_is_as_the_format_has_it() {
        check(|out| event_time(out, 1, 2), &[0xd7, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        check(|out| double(out, 1.5), &[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]);
        check(|out| binary(out, 3).expect("short"), &[0xc6, 0, 0, 0, 3]);
        check(|out| array(out, 3), &[0x93]);
        check(|out| map(out, 2), &[0x82]);
        check(|out| nil_or_bool(out, None), &[0xc0]);
        check(|out| nil_or_bool(out, Some(true)), &[0xc3]);
    }
}
