//! The end of a file that may have been cut short by a crash.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use serde::de::IgnoredAny;

/// Bytes looked at in one step, backwards.
const STEP: usize = 64 * 1024;
/// Most bytes of a line that may be part of an event: Auth sends none that is a tenth of this.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// In a whole line, or it is empty.
    Whole,
    /// In a whole object without the end of its line.
    Unended,
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
    let Some(size) = usize::try_from(length - from).ok().filter(|_| length - from <= MAX_LINE)
    else {
        return Ok(Tail::Foreign);
    };
    let mut line = vec![0; size];
    file.read_exact_at(&mut line, from)?;
    // A file that had grown when the power went may end in zeros instead of what was written.
    let zeros = line.iter().rev().take_while(|byte| **byte == 0).count();
    line.truncate(size - zeros);
    if line.is_empty() {
        return Ok(Tail::Cut { from });
    }
    if line[0] != b'{' {
        return Ok(Tail::Foreign);
    }
    Ok(match serde_json::from_slice::<IgnoredAny>(&line) {
        Ok(_) if zeros == 0 => Tail::Unended,
        Ok(_) => Tail::Cut { from },
        Err(error) if error.is_eof() => Tail::Cut { from },
        Err(_) => Tail::Foreign,
    })
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
        check("{\"a\":\"\u{e9}".as_bytes().split_last().expect("bytes").1, Tail::Cut { from: 0 });
        check(b"{\"a\":1}", Tail::Unended);
        check(b"{}\n{\"a\":{\"b\":[1,2]}}", Tail::Unended);
        check(b"{\"a\":1}\0\0", Tail::Cut { from: 0 });
        check(b"{\"a\":\0\0", Tail::Cut { from: 0 });
        check(b"{}\n{server: 1", Tail::Foreign);
        check(b"{\"a\":1} {", Tail::Foreign);
        check(b"[{\"a\":1}", Tail::Foreign);
        check(b"{}\n\0\0\0", Tail::Cut { from: 3 });
        check(b"{}\nroot:x:0:0", Tail::Foreign);
        check(b"text", Tail::Foreign);
    }

    #[test]
    fn a_line_longer_than_any_event_is_somebody_elses() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(b"{\"", 0).expect("room");
        // A hole: nothing is stored of it.
        file.set_len(MAX_LINE + 1).expect("room");
        assert_eq!(tail(&file, MAX_LINE + 1).expect("readable"), Tail::Foreign);
    }

    #[test]
    fn a_long_line_is_followed_to_its_beginning() {
        for length in [STEP - 1, STEP, STEP + 1, 3 * STEP + 7] {
            let part = [&b"{\""[..], &vec![b'x'; length]].concat();
            check(&part, Tail::Cut { from: 0 });
            check(&[&b"{}\n"[..], &part].concat(), Tail::Cut { from: 3 });
        }
    }
}
