//! Asks a running handler.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How long it may take to connect, and to say anything more.
const PATIENCE: Duration = Duration::from_secs(10);
/// A status has some tens of kilobytes.
const LARGEST: u64 = 4 << 20;

/// What `/status.json` says.
pub(super) fn ask(address: SocketAddr) -> Result<String> {
    let reach = if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    };
    let mut answer = Vec::new();
    TcpStream::connect_timeout(&reach, PATIENCE)
        .and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            // By 1.0 the body is all that comes, up to the end.
            write!(stream, "GET /status.json HTTP/1.0\r\nHost: {reach}\r\n\r\n")?;
            stream.take(LARGEST).read_to_end(&mut answer)
        })
        .with_context(|| format!("no handler answers at {reach}"))?;
    let answer = String::from_utf8_lossy(&answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("what answers at {reach} does not speak HTTP");
    };
    let first = head.lines().next().unwrap_or_default();
    if first.split(' ').nth(1) != Some("200") {
        bail!("what answers at {reach} has no `/status.json`: {}", crate::text::harmless(first));
    }
    Ok(body.to_owned())
}
