//! Asks a running handler.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use ev_diag::Snapshot;

/// How long it may take to connect, and then for the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A status has some tens of kilobytes.
const LARGEST: usize = 4 << 20;

/// What `/status.json` says.
pub(crate) fn ask(address: SocketAddr) -> Result<String> {
    ask_within(address, PATIENCE)
}

/// Reads an answer, of a handler of any version: what it does not tell is as if it were nothing.
pub(crate) fn read(body: &str) -> Result<Snapshot> {
    let snapshot: Snapshot = serde_json::from_str(body)?;
    // Every handler names itself; any object of somebody else's would do otherwise.
    ensure!(!snapshot.version.is_empty(), "it names no version of a handler");
    Ok(snapshot)
}

#[expect(clippy::disallowed_methods, reason = "a command of its own, outside of any engine")]
fn ask_within(address: SocketAddr, patience: Duration) -> Result<String> {
    let reach = if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    };
    let mut answer = Vec::new();
    TcpStream::connect_timeout(&reach, patience)
        .and_then(|mut stream| {
            let begun = Instant::now();
            stream.set_write_timeout(Some(patience))?;
            // By 1.0 the body is all that comes, up to the end.
            write!(stream, "GET /status.json HTTP/1.0\r\nHost: {reach}\r\n\r\n")?;
            let mut piece = [0; 16 * 1024];
            while answer.len() < LARGEST {
                // One that sends a byte now and then would have another limit each time.
                let left = patience.saturating_sub(begun.elapsed());
                if left.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                stream.set_read_timeout(Some(left))?;
                match stream.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => answer.extend_from_slice(&piece[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_status_of_another_program_is_none() {
        assert_eq!(read(r#"{"version":"0.0.1"}"#).unwrap().version, "0.0.1");
        let error = read(r#"{"status":"ok"}"#).unwrap_err();
        assert!(error.to_string().contains("names no version"), "{error}");
        assert!(read("[]").is_err());
    }

    #[test]
    fn one_who_dawdles_has_one_limit_for_all() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let slow = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // One byte as soon as another was taken, for as long as somebody listens.
            while stream.write_all(b"H").is_ok() {
                std::thread::yield_now();
            }
        });
        let limit = Duration::from_millis(50);
        let error = ask_within(address, limit).unwrap_err().to_string();
        // Not "no HTTP", which would have taken all that it has to say.
        assert_eq!(error, format!("no handler answers at {address}"));
        slow.join().unwrap();
    }
}
