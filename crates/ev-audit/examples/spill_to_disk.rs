//! An outage of the agent that memory cannot bridge: records go to a directory, and the next
//! client writes them from there, before all newer ones.
//!
//! ```text
//! cargo run -p ev-audit --example spill_to_disk
//! ```

#![allow(clippy::print_stdout, reason = "shows what happens")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use ev_audit::transport::{MemoryTransport, UnixTransport};
use ev_audit::{
    Caller, CallerIdentityType, Client, Operation, OperationCategory, Overflow, Plane, Record,
    SpillSettings, Target,
};

const RECORDS: i64 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("ev-audit-spill-{}", std::process::id()));
    let shown = run(&directory);
    std::fs::remove_dir_all(&directory)?;
    shown
}

fn run(directory: &Path) -> Result<(), Box<dyn Error>> {
    let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;

    // No agent listens there. Memory holds a tenth of what is sent; the rest goes to disk.
    let client = Client::builder(service, UnixTransport::at(directory.join("no-agent")))
        .max_queue_bytes(512 * 1024)
        .overflow(Overflow::Spill(SpillSettings::new(directory)))
        .build()?;
    for seq in 0..RECORDS {
        // `send` never waits: when the disk is slower than we are, the record comes back. Here
        // there is time to wait for it.
        client.send_timeout(Plane::Data, record(seq), Duration::from_secs(60))?;
    }
    let left = client.close(Duration::ZERO);
    println!("{} records came back, {} lie on disk", left.records.len(), left.spilled);
    println!("{:?}", left.ledger);
    drop(client);

    // The agent is there when the service starts again. What lies on disk goes first.
    let (transport, audited) = MemoryTransport::new();
    let client = Client::builder(service, transport)
        .overflow(Overflow::Spill(SpillSettings::new(directory)))
        .build()?;
    client.send(Plane::Data, record(RECORDS))?;
    let left = client.close(Duration::from_secs(60));
    println!("the agent has {} records, {} are left", audited.records().len(), left.spilled);
    println!("{:?}", left.ledger);
    Ok(())
}

fn record(seq: i64) -> Record {
    let address = std::net::Ipv4Addr::new(192, 0, 2, 7);
    let caller = Caller::new(address, "portal/2.1", "Administrator");
    Record::builder()
        .caller(caller.identity(CallerIdentityType::UPN, "alice@example.com", "who signed in"))
        .operation(Operation::new("ReadUser", OperationCategory::USER_MANAGEMENT, "Reader"))
        .target("Tenant", Target::new("contoso"))
        .custom("seq", seq)
        .build()
}
