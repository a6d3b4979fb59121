//! Agents that end every connection, and how often the client comes back.

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ev_audit::transport::UnixTransport;
use ev_audit::{Client, Overflow, Plane};

use super::{service, typical};
use crate::report::Report;
use crate::stats::Figure;

/// The storms: how much the agent reads before it closes. A connection that took much has proved
/// itself, and the next one is made without a pause.
const STORMS: &[(&str, usize)] =
    &[("closes at once", 0), ("closes after a record", 1), ("closes after 1 MiB", 1 << 20)];

/// Connections a second, for each of them.
pub(super) fn run(length: Duration, report: &mut Report) -> Result<()> {
    for (name, bytes) in STORMS {
        report.held("audit-storm", name, Figure::exact(storm(length, *bytes)?));
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured here")]
fn storm(length: Duration, bytes: usize) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("agent");
    let listener = UnixListener::bind(&path)?;
    let over = Arc::new(AtomicBool::new(false));
    let agent = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut accepted = Vec::new();
            let mut buffer = vec![0; 64 * 1024];
            while let Ok((mut stream, _)) = listener.accept() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                accepted.push(Instant::now());
                let mut read = 0;
                while read < bytes
                    && let Ok(more @ 1..) = stream.read(&mut buffer)
                {
                    read += more;
                }
            }
            accepted
        }
    });
    let client = Client::builder(service(), UnixTransport::at(&path))
        .overflow(Overflow::DropOldest)
        .build()?;
    let begun = Instant::now();
    let record = typical(0);
    while begun.elapsed() < length {
        // There is always something to send, and time for the others to run.
        for _ in 0..200 {
            client.send_ref(Plane::Data, &record)?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(client.close(Duration::ZERO));
    over.store(true, Ordering::Relaxed);
    // It may be waiting for a connection.
    drop(std::os::unix::net::UnixStream::connect(&path));
    let accepted = agent.join().ok().context("the agent panicked")?;
    let (first, last) = accepted.first().zip(accepted.last()).context("no connection")?;
    let took = last.saturating_duration_since(*first).max(Duration::from_millis(500));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let gaps = (accepted.len() - 1) as f64;
    Ok(gaps / took.as_secs_f64())
}
