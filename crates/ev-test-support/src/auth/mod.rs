//! An Auth server: gRPC over TLS with a required client certificate.
//!
//! Serves `proto.AuthService` (`Ping`, `GetDomainName`, `GetEvents`, `StreamSessionEvents`,
//! `UpsertLock`), `teleport.auditlog.v1.AuditLogService` and
//! `ev.decoder.v1.DecoderModuleService`; every other call
//! answers `UNIMPLEMENTED`, as do the calls of `AuditLogService` until a switch offers them. Events
//! are served byte for byte as they were given; what the unstructured calls send is made of the
//! JSON that Go prints of an event.
//!
//! Wire facts it follows, whatever the names in the protobuf files say: order 0 is ascending and 1
//! descending; both borders of a search are inclusive; a session stream begins with the event
//! whose index is `start_index`; a recording that is not there is `NOT_FOUND`.

mod admin;
mod artifacts;
mod audit_log;
mod export;
mod locks;
mod reading;
mod recordings;
mod server;
mod service;
mod store;
mod switches;
mod unstructured;

pub use artifacts::{Artifact, ArtifactKind};
pub use export::ExportError;
pub use locks::Lock;
pub use server::{AuthConfig, FakeAuth, SeenHead};
pub use store::{Event, Page, Search, SearchError, Store};
pub use switches::{
    Api, AuthSwitches, AuthTally, CallFault, DamagedRecording, MethodTally, SeenCall,
};
pub use unstructured::Unstructured;
pub(crate) use unstructured::struct_json;
