//! What commands print, of which whoever reads may have enough, as `head` does.
//!
//! That is no failure, and nothing is said about it. A command that does nothing but print ends
//! then; of one that does or judges something, the rest is left out and its exit status is what it
//! would be.

use std::io::{self, ErrorKind, Write};

use anyhow::Result;

use crate::exit::Exit;

/// Runs what prints to `out` and does nothing else: it ends well when nobody reads any more.
///
/// # Errors
///
/// Those of `work`, but for what comes of that.
pub(crate) fn print<W: Write>(
    out: W,
    work: impl FnOnce(&mut Ending<W>) -> Result<Exit>,
) -> Result<Exit> {
    let mut out = Ending { out, is_unread: false };
    match work(&mut out) {
        Err(_) if out.is_unread => Ok(Exit::Success),
        ended => ended,
    }
}

/// Remembers that nobody reads any more, however its error is wrapped on its way.
pub(crate) struct Ending<W> {
    out: W,
    is_unread: bool,
}

impl<W> Ending<W> {
    fn noted<T>(&mut self, written: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &written {
            self.is_unread |= error.kind() == ErrorKind::BrokenPipe;
        }
        written
    }
}

impl<W: Write> Write for Ending<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.noted(flushed)
    }
}

/// Takes what nobody reads any more, and leaves it out.
pub(crate) struct GoingOn<W>(pub(crate) W);

impl<W: Write> Write for GoingOn<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_unread(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_unread(self.0.flush(), ())
    }
}

fn unless_unread<T>(written: io::Result<T>, instead: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(instead),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    /// Has room for three bytes, and fails then.
    struct Small(Vec<u8>, ErrorKind);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = 3 - self.0.len();
            if room == 0 {
                return Err(self.1.into());
            }
            let written = bytes.len().min(room);
            self.0.extend_from_slice(&bytes[..written]);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(kind: ErrorKind, text: &str, then: Result<Exit>) -> Result<Exit> {
        print(Small(Vec::new(), kind), |out| {
            let written: io::Result<()> =
                serde_json::to_writer(&mut *out, text).map_err(Into::into);
            written.context("failed to print")?;
            then
        })
    }

    #[test]
    fn a_reader_that_has_enough_ends_it_well() {
        let ended = printed(ErrorKind::BrokenPipe, "long", Ok(Exit::Failure));
        assert_eq!(ended.expect("no error"), Exit::Success);
    }

    #[test]
    fn other_errors_and_ends_stay() {
        assert!(printed(ErrorKind::StorageFull, "long", Ok(Exit::Success)).is_err());
        let ended = printed(ErrorKind::BrokenPipe, "", Ok(Exit::Unchecked));
        assert_eq!(ended.expect("it was printed"), Exit::Unchecked);
        let elsewhere = Err(io::Error::from(ErrorKind::BrokenPipe).into());
        assert!(printed(ErrorKind::BrokenPipe, "", elsewhere).is_err(), "of another pipe");
    }

    #[test]
    fn work_goes_on_without_a_reader() {
        let mut out = GoingOn(Small(Vec::new(), ErrorKind::BrokenPipe));
        assert!(write!(out, "more than there is room for").is_ok());
        assert_eq!(out.0.0, b"mor");
        let mut full = GoingOn(Small(Vec::new(), ErrorKind::StorageFull));
        assert!(write!(full, "more than there is room for").is_err());
    }
}
