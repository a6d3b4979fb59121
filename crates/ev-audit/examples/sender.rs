//! Sends numbered records to an agent and tells what became of them.
//!
//! ```text
//! SOCKET=/run/agent.socket N=100000 cargo run --release -p ev-audit --example sender
//! ```
//!
//! | variable | |
//! |---|---|
//! | `SOCKET` | path of a Unix socket, `tcp:HOST:PORT`, or `tls:HOST:PORT` with the feature `tls`; required |
//! | `CA`, `CERT`, `KEY` | PEM files for TLS: who signs the agent's certificate, and for mutual TLS our own and its key; default the system's authorities and none |
//! | `N` | how many records; default 1000 |
//! | `RETAIN` | bytes of written records that are kept to be sent again when a connection breaks; default 524288 for a Unix socket, 8388608 for TCP and TLS, 0 is off |
//! | `SPILL` | a directory for records that memory has no room for, and for those of a run that was killed; default none |
//! | `DEADLINE` | seconds that the end may take; default 60 |
//!
//! Prints `{"sent":…,"dropped":…}`: records written, and records given up; and how many of the
//! written ones were written once more (`resent`) or may not have been read (`unconfirmed`).

#![allow(clippy::print_stdout, reason = "its answer")]

use std::env;
use std::error::Error;
use std::time::Duration;

use ev_audit::transport::{TcpTransport, Transport, UnixTransport};
use ev_audit::{
    Caller, CallerIdentityType, Client, Operation, OperationCategory, OperationType, Overflow,
    Plane, Record, SpillSettings, Target,
};

const UNIX_RETAIN: usize = 512 * 1024;
const TCP_RETAIN: usize = 8 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let socket = env::var("SOCKET").map_err(|_| "SOCKET is not set")?;
    let count: i64 = number("N", 1000)?;
    let (transport, retain): (Box<dyn Transport>, usize) = match socket.split_once(':') {
        Some(("tcp", address)) => (Box::new(TcpTransport::new(address)), TCP_RETAIN),
        Some(("tls", address)) => (tls(address)?, TCP_RETAIN),
        _ => (Box::new(UnixTransport::at(&socket)), UNIX_RETAIN),
    };
    let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;
    let mut builder = Client::builder(service, transport).retain_bytes(number("RETAIN", retain)?);
    // However slow the agent is, nothing is lost: this program has nothing else to do.
    let patience = Duration::from_secs(600);
    let spill = env::var_os("SPILL");
    builder = builder.overflow(match &spill {
        Some(dir) => Overflow::Spill(SpillSettings::new(dir)),
        None => Overflow::Block(patience),
    });
    let client = builder.build()?;

    let mut refused = 0_u64;
    for seq in 0..count {
        refused += u64::from(client.send_timeout(Plane::Data, typical(seq), patience).is_err());
    }
    let left = client.close(Duration::from_secs(number("DEADLINE", 60)?));
    let ledger = left.ledger;
    println!(
        r#"{{"sent":{},"dropped":{},"recovered":{},"spilled":{},"resent":{},"unconfirmed":{},"connections":{},"writes":{},"balanced":{}}}"#,
        ledger.written,
        refused + ledger.dropped.total(),
        ledger.recovered,
        ledger.spilled,
        ledger.resent,
        ledger.unconfirmed,
        ledger.connections,
        ledger.writes,
        ledger.is_balanced(),
    );
    Ok(())
}

#[cfg(feature = "tls")]
fn tls(address: &str) -> Result<Box<dyn Transport>, Box<dyn Error>> {
    let file = |name: &str| env::var_os(name).map(std::path::PathBuf::from);
    let files = ev_tls::CredentialFiles {
        ca: file("CA"),
        certificate: file("CERT"),
        key: file("KEY"),
        passphrase: None,
    };
    let options = ev_tls::ClientOptions::default();
    Ok(Box::new(ev_audit::transport::TlsTransport::new(address, files, options)?))
}

#[cfg(not(feature = "tls"))]
fn tls(_: &str) -> Result<Box<dyn Transport>, Box<dyn Error>> {
    Err("this was built without the feature `tls`".into())
}

/// A record whose frame has 575 bytes.
fn typical(seq: i64) -> Record {
    let address = std::net::Ipv4Addr::new(192, 168, 0, 1);
    let caller = Caller::new(address, "Agent", "a").access_level("b");
    let caller = caller.identity(CallerIdentityType::UPN, "user1@domain.com", "Description");
    let operation = Operation::new("Operation", OperationCategory::USER_MANAGEMENT, "AccessLevel")
        .category(OperationCategory::AUTHENTICATION)
        .of_type(OperationType::READ)
        .result_description("Description")
        .succeeded();
    let target = Target::new("Name").cluster("Cluster").data_center("DataCenter").region("Region");
    Record::builder()
        .caller(caller)
        .operation(operation)
        .target("ResourceType", target)
        .custom("seq", seq)
        .build()
}

fn number<T: std::str::FromStr<Err: Error + 'static>>(
    name: &str,
    default: T,
) -> Result<T, Box<dyn Error>> {
    match env::var(name) {
        Ok(text) => Ok(text.parse().map_err(|error| format!("{name} is no number: {error}"))?),
        Err(_) => Ok(default),
    }
}
