//! The audit client: what a record costs the service, and how fast it goes to the agent.
//!
//! The agent is in this process and shares the machine: it only reads. What is held against a
//! bare writer of the same bytes is measured in turn with it.

mod agent;
mod record;
mod storm;

pub use record::{FRAME_BYTES, service, typical};

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ev_audit::transport::UnixTransport;
use ev_audit::{Client, Overflow, Plane, Refused, SpillSettings, wire};
use serde::{Deserialize, Serialize};

use crate::bars::Unit;
use crate::events::EventSet;
use crate::report::Report;
use crate::rounds::{self, Case, Effort};
use crate::stats::Figure;
use agent::{Gated, Listener, bare};

/// Name of the binary that counts allocations; it stands beside this one.
const COUNTER: &str = "ev-bench-audit";
/// Longer than anything here takes; then something is wrong.
const LIMIT: Duration = Duration::from_secs(60);

/// How many records are sent in each round.
#[derive(Clone, Copy, Debug)]
struct Counts {
    sends: usize,
    drained: usize,
    spilled: usize,
    storm: Duration,
}

/// Everything.
pub(super) fn run(_: &[EventSet], effort: Effort, report: &mut Report) -> Result<()> {
    let counts = if effort.turns == 1 {
        let storm = Duration::from_secs(1);
        Counts { sends: 20_000, drained: 40_000, spilled: 40_000, storm }
    } else {
        let storm = Duration::from_secs(5);
        Counts { sends: 200_000, drained: 400_000, spilled: 400_000, storm }
    };
    encode(effort, report);
    let Counted { encode, send, held } = count()?;
    report.held("audit-encode-allocations", "", Figure::exact(encode));
    report.held("audit-send-allocations", "", Figure::exact(send));
    report.held("audit-memory", "", Figure::exact(held));
    sends(effort, counts, report)?;
    drains(effort, counts, report)?;
    storm::run(counts.storm, report)?;
    spills(effort, counts, report)
}

/// One record into a buffer that is used again.
fn encode(effort: Effort, report: &mut Report) {
    const RECORDS: u32 = 1000;
    let (record, service) = (typical(0), service());
    let mut out = Vec::new();
    let case = Case::new("audit-encode", || {
        for seconds in 0..RECORDS {
            out.clear();
            let (record, seconds) = (black_box(&record), i64::from(seconds));
            wire::encode_record(&mut out, Plane::Data, record, &service, seconds);
            black_box(&out);
        }
    });
    let times = rounds::run(vec![case], effort);
    let nanoseconds = 1e9 / f64::from(RECORDS);
    let figure = Figure::median_of(times.of("audit-encode")).scaled(nanoseconds);
    report.held("audit-encode", "", figure);
}

/// What a send takes, with an agent that reads and with one that does not.
fn sends(effort: Effort, counts: Counts, report: &mut Report) -> Result<()> {
    let (mut median, mut reading, mut stalled) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let mut times = timed_sends(Listener::draining(usize::MAX)?, counts.sends)?;
        median.push(quantile(&mut times, 0.5));
        reading.push(quantile(&mut times, 0.99) / 1e3);
        let mut times = timed_sends(Listener::stalling()?, counts.sends)?;
        stalled.push(quantile(&mut times, 0.99) / 1e3);
    }
    report.held("audit-send", "", Figure::median_of(&median));
    report.held("audit-send-stalled", "", Figure::median_of(&stalled));
    let what = "audit, send, 99th percentile, agent reads";
    report.told("audit-send-reading", what, "", Unit::Microseconds, Figure::median_of(&reading));
    Ok(())
}

/// Nanoseconds of each send; the clock is read twice for each, which is in them.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured here")]
fn timed_sends(agent: Listener, count: usize) -> Result<Vec<u64>> {
    // Room for all of them, so that a stalled agent makes nobody wait.
    let client = Client::builder(service(), UnixTransport::at(agent.path()))
        .max_queue_records(count)
        .max_queue_bytes(count * FRAME_BYTES)
        .build()?;
    let record = typical(0);
    let mut times = Vec::with_capacity(count);
    // The first record opens the connection, and the first chunks are made.
    for _ in 0..count / 10 {
        client.send_ref(Plane::Data, &record)?;
    }
    drop(client.flush(Duration::from_millis(100)));
    while times.len() < count * 9 / 10 {
        let begun = Instant::now();
        let sent = client.send_ref(Plane::Data, black_box(&record));
        let took = begun.elapsed();
        match sent {
            Ok(()) => times.push(u64::try_from(took.as_nanos())?),
            Err(Refused::QueueFull) => drop(client.flush(LIMIT)),
            Err(refused) => return Err(refused.into()),
        }
    }
    drop(client.close(Duration::ZERO));
    drop(agent);
    Ok(times)
}

fn quantile(times: &mut [u64], part: f64) -> f64 {
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let at = (times.len() - 1) as f64 * part;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = at as usize;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let time = times[at] as f64;
    time
}

/// A full queue goes to an agent that only reads, in turn with a bare writer of as many bytes.
fn drains(effort: Effort, counts: Counts, report: &mut Report) -> Result<()> {
    let (mut ours, mut theirs, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    let bytes = Arc::new(frames(counts.drained));
    for _ in 0..effort.rounds {
        let (seconds, writes_a_record) = drain(counts.drained)?;
        ours.push(seconds);
        writes.push(writes_a_record);
        theirs.push(bare(&bytes)?.as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rates: Vec<f64> = ours.iter().map(|seconds| counts.drained as f64 / seconds).collect();
    report.held("audit-drain", "", Figure::median_of(&rates));
    report.held("audit-drain-bare", "", Figure::ratio(&theirs, &ours));
    report.held("audit-drain-writes", "", Figure::median_of(&writes));
    Ok(())
}

/// The frames of so many records.
fn frames(count: usize) -> Vec<u8> {
    let (record, service) = (typical(0), service());
    let mut out = Vec::with_capacity(count * FRAME_BYTES);
    for _ in 0..count {
        wire::encode_record(&mut out, Plane::Data, &record, &service, 1_700_000_000);
    }
    out
}

/// Seconds until the agent has read a full queue, and the writes for each record.
fn drain(count: usize) -> Result<(f64, f64)> {
    let agent = Listener::draining(count * FRAME_BYTES)?;
    let (transport, gate) = Gated::new(UnixTransport::at(agent.path()));
    let client = Client::builder(service(), transport)
        .max_queue_records(count)
        .max_queue_bytes(count * FRAME_BYTES)
        .connect_timeout(LIMIT)
        .build()?;
    let record = typical(0);
    for _ in 0..count {
        client.send_ref(Plane::Data, &record)?;
    }
    gate.open();
    let took = agent.drained()?;
    let left = client.close(LIMIT);
    ensure!(left.is_empty() && left.ledger.written == count as u64, "not all was written");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let writes = left.ledger.writes as f64 / count as f64;
    Ok((took.as_secs_f64(), writes))
}

/// Records go to disk while no agent is there, through memory that holds a few of them.
fn spills(effort: Effort, counts: Counts, report: &mut Report) -> Result<()> {
    let mut rates = Vec::new();
    for _ in 0..effort.rounds.min(3) {
        rates.push(spill(counts.spilled)?);
    }
    report.held("audit-spill", "", Figure::median_of(&rates));
    Ok(())
}

/// Records a second that are moved to disk.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured here")]
fn spill(count: usize) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let mut settings = SpillSettings::new(dir.path().join("spill"));
    settings.max_bytes = 1 << 30;
    let client = Client::builder(service(), UnixTransport::at(dir.path().join("nobody")))
        .max_queue_bytes(8 << 20)
        .overflow(Overflow::Spill(settings))
        .build()?;
    let record = typical(0);
    let begun = Instant::now();
    let mut sent = 0;
    while sent < count {
        match client.send_ref(Plane::Data, &record) {
            Ok(()) => sent += 1,
            // The disk is behind, and that is what is measured.
            Err(Refused::QueueFull) => std::thread::sleep(Duration::from_micros(200)),
            Err(refused) => return Err(refused.into()),
        }
    }
    let took = begun.elapsed();
    let ledger = client.close(Duration::ZERO).ledger;
    ensure!(ledger.spilled >= count as u64 / 2, "most of it did not go to disk: {ledger:?}");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let spilled = ledger.spilled as f64;
    Ok(spilled / took.as_secs_f64())
}

/// What the counting binary answers.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Counted {
    /// Allocations to encode a record into a buffer that is used again.
    pub encode: f64,
    /// Allocations a send.
    pub send: f64,
    /// Bytes that a full queue holds against the encoded bytes in it.
    pub held: f64,
}

/// Asks another process, because counting makes each allocation slower.
fn count() -> Result<Counted> {
    let path = std::env::current_exe()?.with_file_name(COUNTER);
    let output = Command::new(&path)
        .output()
        .with_context(|| format!("failed to run `{}`, which is built with this", path.display()))?;
    ensure!(output.status.success(), "`{COUNTER}` failed");
    serde_json::from_slice(&output.stdout).context("not an answer of the counter")
}
