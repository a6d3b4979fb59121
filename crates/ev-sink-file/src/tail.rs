//! The end of a file that may have been cut short by a crash.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes looked at in one step, backwards.
const STEP: usize = 64 * 1024;

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// In a whole line, or it is empty.
    Whole,
    /// In part of an event, which begins at this byte.
    Cut { from: u64 },
    /// In something that is no part of an event.
    Foreign,
}

/// Looks at the last line of a file of `length` bytes.
pub(crate) fn tail(file: &File, length: u64) -> io::Result<Tail> {
    let mut buffer = vec![0; STEP];
    let mut end = length;
    while end > 0 {
        let step = usize::try_from(end).unwrap_or(STEP).min(STEP);
        // Most files end well, so at first only one byte is asked for.
        let step = if end == length { 1 } else { step };
        let start = end - step as u64;
        let part = &mut buffer[..step];
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return of_line(file, start + at as u64 + 1, length);
        }
        end = start;
    }
    of_line(file, 0, length)
}

/// How a file ends whose last line begins at `from`.
fn of_line(file: &File, from: u64, length: u64) -> io::Result<Tail> {
    if from == length {
        return Ok(Tail::Whole);
    }
    let mut first = [0];
    file.read_exact_at(&mut first, from)?;
    // A file that had grown when the power went may end in zeros instead of what was written.
    Ok(if matches!(first[0], b'{' | 0) { Tail::Cut { from } } else { Tail::Foreign })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8], expected: Tail) {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(content, 0).expect("room");
        assert_eq!(tail(&file, content.len() as u64).expect("readable"), expected);
    }

    #[test]
    fn the_last_line_tells() {
        check(b"", Tail::Whole);
        check(b"\n", Tail::Whole);
        check(b"{}\n{}\n", Tail::Whole);
        check(b"{}\n{\"a\":", Tail::Cut { from: 3 });
        check(b"{\"a\"", Tail::Cut { from: 0 });
        check(b"{}\n\0\0\0", Tail::Cut { from: 3 });
        check(b"{}\nroot:x:0:0", Tail::Foreign);
        check(b"text", Tail::Foreign);
    }

    #[test]
    fn a_long_line_is_followed_to_its_beginning() {
        for length in [STEP - 1, STEP, STEP + 1, 3 * STEP + 7] {
            let part = [&b"{"[..], &vec![b'x'; length]].concat();
            check(&part, Tail::Cut { from: 0 });
            check(&[&b"{}\n"[..], &part].concat(), Tail::Cut { from: 3 });
        }
    }
}
