//! Fakes that speak the real protocols over real sockets: an Auth server, Fluentd
//! receivers for HTTP and for the Forward protocol, a Teleport Proxy, an HTTP proxy, and the
//! certificates and events they need; knows no other `ev` crate.
//!
//! Both fakes are servers on a listener that is passed in, driven by the test through a handle
//! ([`FakeAuth`], [`FakeFluentd`]). As the programs `ev-fake-auth` and `ev-fake-fluentd` they run
//! as processes of their own and are driven over HTTP on loopback ([`AdminClient`]). What they
//! serve and receive are bytes: they neither decode protobuf events nor make their JSON. Events
//! with known JSON are made from recorded ones by [`data`]. What a program writes to the disk is
//! waited for with [`until_files`].
//!
//! Never part of anything that is shipped.

#![forbid(unsafe_code)]

mod admin;
mod auth;
pub mod certs;
pub mod data;
mod door;
mod error;
mod files;
mod fluentd;
mod forward;
#[path = "gen/mod.rs"]
mod generated;
mod lines;
pub mod process;
mod proxy;
mod raw;
mod time;
mod tls;

pub use admin::{AdminClient, AdminServer};
pub use auth::{
    Api, Artifact, ArtifactKind, AuthConfig, AuthSwitches, AuthTally, CallFault, DamagedRecording,
    Event, ExportError, FakeAuth, Lock, MethodTally, Page, Search, SearchError, SeenCall, SeenHead,
    Store, Unstructured,
};
pub use door::loopback;
pub use error::Error;
pub use files::until_files;
pub use fluentd::{
    BodyError, FailRule, FakeFluentd, FluentdConfig, FluentdTally, FluentdVersion, Received,
    Section, Switches, cut,
};
pub use forward::{
    FakeForward, ForwardConfig, ForwardReceived, ForwardSwitches, ForwardTally, msgpack_to_json,
};
pub use lines::{Lines, read_lines, write_line};
pub use proxy::{
    AlpnHabit, ConnectSwitches, FakeConnectProxy, FakeProxy, FindHabit, Hello, ProxyConfig,
    ProxySwitches, SeenConnect, SeenRequest, UpgradeHabit,
};
pub use time::UtcTime;
pub use tls::{TlsVersions, client_config, server_config, web_server_config};
