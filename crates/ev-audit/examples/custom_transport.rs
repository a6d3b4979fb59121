//! A transport of one's own: records go to the standard input of a command, which may be the
//! agent of another system, `ssh`, or simply `wc`:
//! `cargo run -p ev-audit --example custom_transport`.

#![allow(clippy::print_stdout, reason = "its answer")]

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use ev_audit::transport::{ConnectError, Connected, Connecting, Transport};
use ev_audit::{
    Caller, CallerIdentityType, Client, ConnectionType, Operation, OperationCategory, Plane,
    Record, Target,
};

/// Starts the command anew for each connection.
struct ToCommand(&'static str);

impl Transport for ToCommand {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(async {
            let open = || {
                let (ours, theirs) = UnixStream::pair()?;
                Command::new(self.0)
                    .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
                    .spawn()?;
                ours.set_nonblocking(true)?;
                tokio::net::UnixStream::from_std(ours)
            };
            let stream = open().map_err(|cause| ConnectError::retry(self.0, cause))?;
            Ok(Connected::new(stream, ConnectionType::UNKNOWN, self.0))
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;
    let client = Client::builder(service, ToCommand("wc")).build()?;
    let caller = Caller::new(std::net::Ipv4Addr::new(192, 0, 2, 7), "portal", "Reader").identity(
        CallerIdentityType::UPN,
        "alice@example.com",
        "who signed in",
    );
    let operation = Operation::new("List", OperationCategory::RESOURCE_MANAGEMENT, "Reader");
    let target = Target::new("contoso");
    let record = Record::builder().caller(caller).operation(operation).target("Tenant", target);
    client.send(Plane::Data, record.build())?;
    println!("written: {}", client.close(Duration::from_secs(5)).ledger.written);
    Ok(())
}
