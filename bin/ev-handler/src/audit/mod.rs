//! Security events of the handler itself, for a local agent ([`ev_audit`]).
//!
//! Whoever does something of the kind says so in a line of the log that has the field `audit`; a
//! record is made of the line. What the field may say is in [`operations`].

mod operations;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use ev_audit::transport::{TcpTransport, UnixTransport};
use ev_audit::{
    AuditLayer, CallerIdentityType, Client, ClientBuilder, Identity, List, LogBridge, LogCounters,
    Map, Overflow, Plane, Record, Rules, ServiceId, State,
};
use ev_config::{AuditEndpoint, Settings};
use tracing::{info, warn};

use crate::start::Error;

/// How long the agent is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of records that wait for the agent; the oldest make room for newer ones.
const QUEUE_BYTES: usize = 4 << 20;

/// The field of a line that is to be a record.
const MARK: &str = "audit";

/// Sends records until it is dropped, and then what still waits.
pub(crate) struct Auditor {
    client: Client,
    plane: Plane,
    /// What all records have in common: the handler, and who runs it.
    defaults: Record,
    counters: LogCounters,
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
        Ok(Some(Self {
            client,
            plane,
            defaults: defaults(address),
            counters: LogCounters::default(),
        }))
    }

    /// Says that it is there.
    pub(crate) fn tell(&self) {
        info!(
            service = %self.client.service(),
            plane = ?self.plane,
            "own security events are sent to an agent"
        );
    }

    /// What makes records of lines of the log.
    pub(crate) fn layer(&mut self) -> AuditLayer {
        let bridge =
            LogBridge::new(self.client.clone()).plane(self.plane).defaults(self.defaults.clone());
        // What could not be queued is told at the end: a line about it could be about itself.
        self.counters = bridge.counters();
        bridge.into_layer().marked_by(MARK)
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        // Who is not there now is not waited for.
        let patience = if is_reached(&self.client) { PATIENCE } else { Duration::ZERO };
        let ledger = self.client.close(patience).ledger;
        let (dropped, unconfirmed) = (ledger.dropped.total(), ledger.unconfirmed);
        let refused = self.counters.refused();
        if dropped + unconfirmed + refused > 0 {
            warn!(dropped, unconfirmed, refused, "own security events did not all reach the agent");
        }
    }
}

/// Whether there is an agent. A first attempt that is still under way is waited for: a command may
/// have done all that it does before anybody answered.
fn is_reached(client: &Client) -> bool {
    let (state, events) = (client.state(), client.events());
    // The end of the attempt is an event, which is told when the state has changed.
    while state.state() == State::Connecting {
        if events.next_timeout(PATIENCE).is_none() {
            break;
        }
    }
    state.state() == State::Up
}

fn with_bounds(builder: ClientBuilder) -> ClientBuilder {
    // Where the handler has no other address, its own machine's is as good.
    let rules = Rules::default().with_loopback();
    builder
        .rules(rules)
        .max_queue_bytes(QUEUE_BYTES)
        .overflow(Overflow::DropOldest)
        .enrich(|_, record| operations::fill_in(record))
}

/// The handler, and who runs it.
fn defaults(address: IpAddr) -> Record {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let user = format!("uid {}", rustix::process::getuid().as_raw());
    let identity = |identity: String, what: &str| List::from([Identity::new(identity, what)]);
    Record {
        caller_ip: Some(address.into()),
        caller_agent: concat!("ev-handler/", env!("CARGO_PKG_VERSION")).to_owned(),
        caller_access_levels: List::from(["System".to_owned()]),
        caller_identities: Map::from([
            (CallerIdentityType::SYSTEM, identity(format!("ev-handler@{host}"), "event handler")),
            (CallerIdentityType::USERNAME, identity(user, "user that runs it")),
        ]),
        operation_access_level: "System".to_owned(),
        ..Record::default()
    }
}

/// The address from which that one is reached, as far as that is known without asking for a name:
/// else that from which others are. Nothing is sent to find out.
fn local_address(peer: &str) -> IpAddr {
    /// An address that is nobody's (RFC 5737).
    const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
    let peer = peer.parse().unwrap_or(NOBODY);
    let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let found = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(peer)?;
        socket.local_addr()
    });
    match found {
        Ok(address) if !address.ip().is_unspecified() => address.ip(),
        _ => Ipv4Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use ev_audit::transport::{ConnectError, Connecting, MemoryTransport, Transport};

    use super::*;

    /// An agent that is far away, or that has nobody at home.
    struct Far<T>(T, bool);

    impl<T: Transport> Transport for Far<T> {
        fn connect(&mut self) -> Connecting<'_> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                if self.1 {
                    return self.0.connect().await;
                }
                let source = std::io::ErrorKind::ConnectionRefused.into();
                Err(ConnectError::retry("far away", source))
            })
        }
    }

    fn auditor(transport: impl Transport) -> Auditor {
        let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse().expect("a GUID");
        let client = with_bounds(Client::builder(service, transport)).build().expect("a thread");
        let defaults = defaults(Ipv4Addr::LOCALHOST.into());
        let mut auditor =
            Auditor { client, plane: Plane::Control, defaults, counters: LogCounters::default() };
        let mut record = auditor.defaults.clone();
        record.operation_name = "it was done".to_owned();
        record.custom_data.insert(MARK.to_owned(), "trust.changed".into());
        drop(auditor.layer());
        auditor.client.send(auditor.plane, record).expect("a whole record");
        auditor
    }

    #[test]
    fn a_command_that_is_over_at_once_waits_for_the_first_answer_of_the_agent() {
        let (transport, audited) = MemoryTransport::new();
        drop(auditor(Far(transport, true)));
        assert_eq!(audited.records().len(), 1);

        let (transport, _audited) = MemoryTransport::new();
        let auditor = auditor(Far(transport, false));
        let client = auditor.client.clone();
        drop(auditor);
        // Once it is known that nobody is there, nobody is waited for.
        let ledger = client.ledger();
        assert_eq!((ledger.connect_failures, ledger.dropped.total()), (1, 1));
    }
}
