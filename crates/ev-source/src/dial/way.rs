//! The ways to Auth.

use std::fmt;

use crate::address::Address;

/// How a connection reaches Auth. Whatever the way, the TLS inside is Auth's own: both ends show
/// certificates of the cluster, and nobody between can read or change a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The configured address is Auth's.
    Direct,
    /// A Proxy hands the connection on by its first ALPN protocol (TLS routing).
    Routed {
        /// Where the Proxy takes connections.
        address: Address,
        /// The cluster to be routed to.
        cluster: String,
    },
    /// The same inside an HTTP connection that was upgraded, because something between us and the
    /// Proxy ends TLS and forgets ALPN (a load balancer of layer 7).
    Upgraded {
        /// Where the Proxy's web service is.
        address: Address,
        /// The cluster to be routed to.
        cluster: String,
    },
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("as an auth server"),
            Self::Routed { address, cluster } => {
                write!(f, "as a proxy at `{address}` by TLS routing to cluster `{cluster}`")
            }
            Self::Upgraded { address, cluster } => {
                write!(
                    f,
                    "as a proxy at `{address}` by connection upgrade and TLS routing to cluster \
                     `{cluster}`"
                )
            }
        }
    }
}

/// The ALPN protocol by which a Proxy knows that a connection is for Auth of `cluster`.
pub(crate) fn routed_protocol(cluster: &str) -> Vec<u8> {
    let hex: String = cluster.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("teleport-auth@{hex}.teleport.cluster.local").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routed_protocol_names_the_cluster_in_hex() {
        let protocol = routed_protocol("ab.c");
        assert_eq!(protocol, b"teleport-auth@61622e63.teleport.cluster.local");
    }
}
