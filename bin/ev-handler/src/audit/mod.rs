//! Security events of the handler itself, for a local agent ([`ev_audit`]).
//!
//! Whoever does something of the kind says so in a line of the log that has the field `audit`;
//! [`Layer`] makes a record of the line. What the field may say is in [`operations`].

mod layer;
mod operations;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ev_audit::transport::{TcpTransport, UnixTransport};
use ev_audit::{
    Caller, CallerIdentityType, Client, ClientBuilder, Operation, Overflow, Plane, Record, Rules,
    ServiceId, Target,
};
use ev_config::{AuditEndpoint, Settings};
use tracing::{info, warn};

pub(crate) use self::layer::Layer;
use crate::start::Error;

/// How long the agent is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of records that wait for the agent; the oldest make room for newer ones.
const QUEUE_BYTES: usize = 4 << 20;

/// Sends records until it is dropped, and then what still waits.
pub(crate) struct Auditor(Arc<Inner>);

struct Inner {
    client: Client,
    plane: Plane,
    caller: Caller,
    /// Records that were not taken.
    refused: AtomicU64,
}

/// What is told of one operation.
struct Told {
    operation: &'static operations::Operation,
    /// What the operation was done to.
    target: String,
    /// Why it failed, where it did.
    reason: String,
    /// All else that the line says, by name.
    more: Vec<(&'static str, String)>,
}

impl Auditor {
    /// `None` when the settings name no agent. The agent may come later.
    ///
    /// # Errors
    ///
    /// What the settings have wrong, and that there is no thread to send from.
    pub(crate) fn begin(settings: &Settings) -> Result<Option<Self>, Error> {
        let Some(audit) = &settings.audit else { return Ok(None) };
        let service: ServiceId =
            audit.service.parse().map_err(|error| Error::setting("audit.service", error))?;
        let builder = match &audit.endpoint {
            AuditEndpoint::UsualSockets => Client::builder(service, UnixTransport::new()),
            AuditEndpoint::Socket(path) => Client::builder(service, UnixTransport::at(path)),
            AuditEndpoint::Tcp(address) => Client::builder(service, TcpTransport::new(address)),
        };
        let client = with_bounds(builder)
            .build()
            .map_err(|error| Error::system("failed to begin sending security events", error))?;
        let address = audit.caller.unwrap_or_else(|| local_address(&settings.teleport.addr));
        let plane = if audit.is_data_plane { Plane::Data } else { Plane::Control };
        let refused = AtomicU64::new(0);
        Ok(Some(Self(Arc::new(Inner { client, plane, caller: caller(address), refused }))))
    }

    /// Says that it is there.
    pub(crate) fn tell(&self) {
        info!(
            service = %self.0.client.service(),
            plane = ?self.0.plane,
            "own security events are sent to an agent"
        );
    }

    /// What makes records of lines of the log.
    pub(crate) fn layer(&self) -> Layer {
        Layer::new(Arc::clone(&self.0))
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        let Inner { client, refused, .. } = &*self.0;
        let left = client.close(PATIENCE);
        let (unwritten, refused) = (left.records.len(), refused.load(Ordering::Relaxed));
        if unwritten > 0 || refused > 0 {
            warn!(unwritten, refused, "own security events did not all reach the agent");
        }
    }
}

impl Inner {
    fn send(&self, told: Told) {
        if self.client.send(self.plane, record(self.caller.clone(), told)).is_err() {
            // Told at the end: a line about it here could be about itself.
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn with_bounds(builder: ClientBuilder) -> ClientBuilder {
    // Where the handler has no other address, its own machine's is as good.
    let rules = Rules::default().with_loopback();
    builder.rules(rules).max_queue_bytes(QUEUE_BYTES).overflow(Overflow::DropOldest)
}

fn record(caller: Caller, told: Told) -> Record {
    let Told { operation, target, reason, more } = told;
    let kind = operation.target;
    let target = if target.is_empty() { kind.to_owned() } else { target };
    let done =
        Operation::new(operation.name, operation.category, "System").of_type(operation.of_type);
    let done = if operation.is_failure { done.failed(reason) } else { done.succeeded() };
    let mut record =
        Record::builder().caller(caller).operation(done).target(kind, Target::new(target));
    for (name, value) in more {
        record = record.custom(name, value);
    }
    record.build()
}

/// The handler, and who runs it.
fn caller(address: IpAddr) -> Caller {
    let agent = concat!("ev-handler/", env!("CARGO_PKG_VERSION"));
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let user = format!("uid {}", rustix::process::getuid().as_raw());
    Caller::new(address, agent, "System")
        .identity(CallerIdentityType::SYSTEM, format!("ev-handler@{host}"), "event handler")
        .identity(CallerIdentityType::USERNAME, user, "user that runs it")
}

/// The address from which that one is reached. Nothing is sent to find out.
fn local_address(peer: &str) -> IpAddr {
    let bound = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"));
    let found = bound.and_then(|socket| {
        socket.connect(peer)?;
        socket.local_addr()
    });
    match found {
        Ok(address) if !address.ip().is_unspecified() => address.ip().to_canonical(),
        _ => Ipv4Addr::LOCALHOST.into(),
    }
}
