/// How a Proxy behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySwitches {
    /// Whether it has TLS routing, and says so.
    pub tls_routing: bool,
    /// Whether it tells the cluster's name; older versions do not.
    pub tells_cluster: bool,
    /// What it says its address is; its own when `None`.
    pub public_addr: Option<String>,
    /// What `/webapi/find` answers.
    pub find: FindHabit,
    /// What becomes of ALPN.
    pub alpn: AlpnHabit,
    /// What becomes of connections that are to be upgraded.
    pub upgrade: UpgradeHabit,
}

impl Default for ProxySwitches {
    fn default() -> Self {
        Self {
            tls_routing: true,
            tells_cluster: true,
            public_addr: None,
            find: FindHabit::Good,
            alpn: AlpnHabit::Routes,
            upgrade: UpgradeHabit::WebSocket,
        }
    }
}

/// What `/webapi/find` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindHabit {
    /// What a Proxy answers.
    Good,
    /// The page of another server, with this status.
    Foreign(u16),
}

/// What becomes of ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlpnHabit {
    /// Connections are routed by it.
    Routes,
    /// A load balancer in front ends TLS and knows nothing of ALPN.
    Forgets,
    /// One that knows only HTTP, and refuses the rest.
    Refuses,
}

/// What becomes of connections that are to be upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeHabit {
    /// They become WebSocket, as in newer versions.
    WebSocket,
    /// They become frames with pings between them, as in older ones.
    Pings,
    /// They become plain bytes, as in the oldest.
    Plain,
    /// They are answered with this status.
    Refused(u16),
    /// WebSocket with the accept key of another request.
    WrongAccept,
    /// WebSocket with another sub-protocol.
    WrongProtocol,
}
