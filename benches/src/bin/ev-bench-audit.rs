//! Counts heap allocations of the audit client, and what a full queue holds. A program of its
//! own, because its allocator counts, which costs time.

#![allow(clippy::print_stdout, reason = "its answer")]

use allocation_counter::measure;
use anyhow::Result;
use ev_audit::transport::{Connecting, NoopTransport, Transport};
use ev_audit::{Client, Plane, wire};
use ev_bench::measure::audit::{Counted, FRAME_BYTES, service, typical};

/// Records that are counted.
const RECORDS: u32 = 100_000;

/// A way to an agent that never comes.
struct Nobody;

impl Transport for Nobody {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(std::future::pending())
    }
}

fn main() -> Result<()> {
    let (record, service) = (typical(0), service());
    let mut out = Vec::new();
    let mut encode = || {
        for seconds in 0..RECORDS {
            out.clear();
            let seconds = i64::from(seconds);
            wire::encode_record(&mut out, Plane::Data, &record, &service, seconds);
        }
    };
    // The first pass grows the buffer.
    encode();
    let encoded = measure(&mut encode).count_total;

    let client = Client::builder(service, NoopTransport::new())
        .max_queue_records(RECORDS as usize)
        .max_queue_bytes(RECORDS as usize * FRAME_BYTES)
        .build()?;
    let mut refused = 0;
    let mut send = || {
        for _ in 0..RECORDS {
            refused += u32::from(client.send_ref(Plane::Data, &record).is_err());
        }
        drop(client.flush(std::time::Duration::from_secs(60)));
    };
    send();
    let sent = measure(&mut send).count_total;
    anyhow::ensure!(refused == 0, "{refused} records found no room");

    // What this thread allocates for the queue stays there: nobody takes anything from it.
    let client = Client::builder(service, Nobody)
        .max_queue_records(RECORDS as usize)
        .max_queue_bytes(RECORDS as usize * FRAME_BYTES)
        .build()?;
    client.send_ref(Plane::Data, &record)?;
    let held = measure(|| {
        for _ in 1..RECORDS {
            refused += u32::from(client.send_ref(Plane::Data, &record).is_err());
        }
    });
    anyhow::ensure!(refused == 0, "{refused} records found no room");
    let pending = client.ledger().pending_bytes;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let counted = Counted {
        encode: encoded as f64 / f64::from(RECORDS),
        send: sent as f64 / f64::from(RECORDS),
        held: held.bytes_current as f64 / pending as f64,
    };
    println!("{}", serde_json::to_string(&counted)?);
    Ok(())
}
