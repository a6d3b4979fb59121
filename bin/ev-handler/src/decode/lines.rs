//! Lines of bytes, without their ends.

use std::io::{self, BufRead, Read as _};

/// Iterates over lines that need not be UTF-8. An empty line is a line; the end of the input
/// behind a line feed is none. Nothing comes behind an error.
pub(crate) struct Lines<R> {
    input: R,
    max_bytes: usize,
    broken: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `max_bytes` without their ends. A longer one is an error of which no more
    /// than that is held: what has no line feeds may have no end either.
    pub(crate) fn new(input: R, max_bytes: usize) -> Self {
        Self { input, max_bytes, broken: false }
    }

    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        // Room for the line feed; without one, a byte more than is taken tells.
        let most = u64::try_from(self.max_bytes).unwrap_or(u64::MAX).saturating_add(1);
        if (&mut self.input).take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > self.max_bytes {
            let max = self.max_bytes;
            return Err(io::Error::other(format!("it is longer than {max} bytes")));
        }
        Ok(Some(line))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let line = self.read();
        self.broken = line.is_err();
        line.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_limit() {
        let check = |input: &[u8], expected: &[Result<&str, &str>]| {
            let lines: Vec<_> = Lines::new(input, 3)
                .map(|line| match line {
                    Ok(line) => Ok(String::from_utf8(line).expect("UTF-8")),
                    Err(error) => Err(error.to_string()),
                })
                .collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|line| line.map(str::to_owned).map_err(str::to_owned))
                .collect();
            assert_eq!(lines, expected, "{input:?}");
        };
        const LONG: Result<&str, &str> = Err("it is longer than 3 bytes");
        check(b"", &[]);
        check(b"abc\n\nde", &[Ok("abc"), Ok(""), Ok("de")]);
        check(b"abc", &[Ok("abc")]);
        check(b"abcd", &[LONG]);
        check(b"ab\nabcd\nab\n", &[Ok("ab"), LONG]);
    }
}
