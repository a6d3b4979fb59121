//! Lines on stdout.

use std::io::{self, Write as _};

/// Writes whole lines and waits until they are out. Blocks for as long as nobody reads.
pub(crate) fn print(lines: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines)?;
    stdout.flush()
}
