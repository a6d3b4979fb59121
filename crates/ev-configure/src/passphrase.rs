//! What the server's key is encrypted with.

use std::fmt;
use std::io::Read;

use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::Error;

/// Random bytes of a passphrase that is made here; twice as many hexadecimal digits.
const RANDOM_BYTES: usize = 32;

/// Shortest passphrase, in bytes: OpenSSL's prompt takes no shorter one.
const MIN_BYTES: usize = 4;

/// Longest passphrase, in bytes: OpenSSL's buffer for one (`PEM_BUFSIZE`).
const MAX_BYTES: usize = 1024;

const TOO_LONG: &str = "it has more than 1024 bytes";

/// A passphrase. Printing it shows nothing, and its memory is wiped in the end.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A passphrase that somebody chose.
    ///
    /// # Errors
    ///
    /// [`Error::Passphrase`] when it has less than 4 or more than 1024 bytes, or control
    /// characters: neither a line of `fluent.conf` nor OpenSSL's prompt could hold it.
    pub fn new(text: &str) -> Result<Self, Error> {
        let refuse = |what| Err(Error::Passphrase { what });
        if text.len() < MIN_BYTES {
            return refuse("it has less than 4 bytes");
        }
        if text.len() > MAX_BYTES {
            return refuse(TOO_LONG);
        }
        if text.chars().any(char::is_control) {
            return refuse("it has line ends or other control characters");
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// All that `input` has, without the line end behind it; `None` when that is nothing.
    ///
    /// `from` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::ReadPassphrase`], and as [`Passphrase::new`].
    pub fn read(input: impl Read, from: &str) -> Result<Option<Self>, Error> {
        let failed = |source| Error::ReadPassphrase { from: from.to_owned(), source };
        // One reallocation would leave a copy behind, so there is none.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 4));
        let limit = u64::try_from(MAX_BYTES + 3).unwrap_or(u64::MAX);
        input.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > MAX_BYTES + 2 {
            return Err(Error::Passphrase { what: TOO_LONG });
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::Passphrase { what: "it is not valid UTF-8" })?;
        let text =
            text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() { Ok(None) } else { Self::new(text).map(Some) }
    }

    /// 64 random hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`Error::Randomness`].
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| Error::Randomness)?;
        let mut text = Zeroizing::new(String::with_capacity(2 * RANDOM_BYTES));
        for byte in *bytes {
            for half in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(half.into(), 16));
            }
        }
        Ok(Self(text))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase([not shown])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Option<String>, String> {
        let read = Passphrase::read(text, "standard input");
        read.map(|given| given.map(|one| one.reveal().to_owned())).map_err(|e| e.to_string())
    }

    #[test]
    fn one_line_end_is_no_part_of_it() {
        let is = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read(b"secret"), is("secret"));
        assert_eq!(read(b"secret\n"), is("secret"));
        assert_eq!(read(b"secret\r\n"), is("secret"));
        assert_eq!(read(b" two words \n"), is(" two words "));
        assert_eq!(read("пароль\n".as_bytes()), is("пароль"));
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b"\n"), Ok(None));
    }

    #[test]
    fn what_nobody_could_type_is_refused() {
        let refused = |text: &[u8], part: &str| {
            let error = read(text).expect_err("refused");
            assert!(error.contains(part), "{error}");
        };
        refused(b"two\nlines\n", "line ends");
        refused(b"secret\n\n", "line ends");
        refused(b"sec\0ret", "control");
        refused(b"abc", "less than 4");
        refused(b"\xff\xfe\xfd\xfc", "UTF-8");
        refused(&[b'a'; 1025], "more than 1024");
        refused(&[b'a'; 5000], "more than 1024");
        let mut longest = vec![b'a'; 1024];
        longest.extend(b"\r\n");
        assert_eq!(read(&longest).expect("taken").map(|text| text.len()), Some(1024));
    }

    #[test]
    fn made_ones_differ_and_are_not_printed() {
        let one = Passphrase::generate().expect("random numbers");
        let other = Passphrase::generate().expect("random numbers");
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), 64);
        assert!(one.reveal().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}
