//! A service that logs with `tracing` and audits with the same macros: what it logs under the
//! target `audit` becomes records, everything else goes to its log.
//!
//! ```text
//! cargo run -p ev-audit --features tracing --example tracing_layer
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "shows what happens")]

use std::error::Error;
use std::time::Duration;

use ev_audit::transport::MemoryTransport;
use ev_audit::{Client, LogBridge};
use tracing::{error, info, info_span};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    // A service has `UnixTransport::new()` here.
    let (transport, audited) = MemoryTransport::new();
    let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;
    let client = Client::builder(service, transport).build()?;

    let bridge = LogBridge::new(client.clone())
        .on_problem(|problem| eprintln!("not wholly audited: {problem:?}"));
    let counters = bridge.counters();
    // Records may say who a user is, which is nothing for the log.
    let log = tracing_subscriber::fmt::layer()
        .with_filter(filter_fn(|metadata| metadata.target() != "audit"));
    tracing_subscriber::registry().with(log).with(bridge.into_layer()).init();

    let request = info_span!(
        target: "audit", "request",
        caller_ip = "192.0.2.7",
        caller_agent = "portal/2.1",
        caller_access_levels = "Administrator, Reader",
        caller_identity.upn = "alice@example.com",
        caller_identity.upn.description = "who signed in",
        operation_category = "UserManagement",
        operation_access_level = "Administrator",
        target_resource.Tenant = "contoso",
    );
    request.in_scope(|| {
        info!("the log says this");
        info!(target: "audit", operation_type = "Read", operation_result = "Success", "ReadUser");
        error!(
            target: "audit",
            operation_name = "DeleteUser",
            operation_type = "Delete",
            operation_result = "Failure",
            attempts = 3,
            "no such user"
        );
    });
    // Nobody said who called: the handler of problems gets the record.
    info!(target: "audit", "Incomplete");

    let left = client.close(Duration::from_secs(5));
    for audited in audited.records() {
        println!("audited: {:?}", audited.record);
    }
    println!("{} queued, {} refused, {left:?}", counters.queued(), counters.refused());
    Ok(())
}
