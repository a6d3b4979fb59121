//! Audits one operation: `cargo run -p ev-audit --example minimal [SOCKET]`.
//!
//! Without an agent it ends after five seconds and says what was left.

#![allow(clippy::print_stdout, reason = "its answer")]

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;

use ev_audit::transport::UnixTransport;
use ev_audit::{
    Caller, CallerIdentityType, Client, Operation, OperationCategory, OperationType, Plane, Record,
    Target,
};

fn main() -> Result<(), Box<dyn Error>> {
    let transport = std::env::args().nth(1).map_or_else(UnixTransport::new, UnixTransport::at);
    let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;
    let client = Client::builder(service, transport).build()?;

    let caller = Caller::new(Ipv4Addr::new(192, 0, 2, 7), "portal/2.1", "Administrator").identity(
        CallerIdentityType::UPN,
        "alice@example.com",
        "who signed in",
    );
    let category = OperationCategory::USER_MANAGEMENT;
    let operation = Operation::new("DeleteUser", category, "Administrator")
        .of_type(OperationType::DELETE)
        .succeeded();
    let record = Record::builder()
        .caller(caller)
        .operation(operation)
        .target("Tenant", Target::new("contoso").region("westeurope"))
        .build();
    client.send(Plane::Control, record)?;

    let left = client.close(Duration::from_secs(5));
    println!("written: {}, left: {}", left.ledger.written, left.records.len());
    Ok(())
}
