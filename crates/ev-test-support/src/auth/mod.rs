//! An Auth server: gRPC over TLS with a required client certificate.
//!
//! Serves `proto.AuthService` (`Ping`, `GetDomainName`, `GetEvents`, `StreamSessionEvents`) and
//! `ev.decoder.v1.DecoderModuleService`; every other call answers `UNIMPLEMENTED`. Events are
//! served byte for byte as they were given.
//!
//! Wire facts it follows, whatever the names in the protobuf files say: order 0 is ascending and 1
//! descending; both borders of a search are inclusive; a session stream begins with the event
//! whose index is `start_index`; a recording that is not there is `NOT_FOUND`.

mod admin;
mod artifacts;
mod server;
mod service;
mod store;
mod switches;

pub use artifacts::{Artifact, ArtifactKind};
pub use server::{AuthConfig, FakeAuth};
pub use store::{Event, Page, Search, SearchError, Store};
pub use switches::{AuthSwitches, AuthTally, CallFault, MethodTally, SeenCall};
