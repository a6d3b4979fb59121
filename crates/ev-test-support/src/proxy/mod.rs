//! A Teleport Proxy as a client of Auth meets it, and an HTTP proxy that connects on request.
//!
//! [`FakeProxy`] routes TLS connections by their ALPN to an Auth server, without opening them;
//! tells about itself at `/webapi/find`; and upgrades connections at `/webapi/connectionupgrade`,
//! as WebSocket and in the older forms. By its switches it is also a Proxy without TLS routing, or
//! one behind a load balancer that ends TLS and forgets ALPN.

mod connect;
mod hello;
mod server;
mod switches;
mod tunnel;

pub use connect::{ConnectSwitches, FakeConnectProxy, SeenConnect};
pub use hello::Hello;
pub use server::{FakeProxy, ProxyConfig, SeenRequest};
pub use switches::{AlpnHabit, FindHabit, ProxySwitches, UpgradeHabit};
