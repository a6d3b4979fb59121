//! The Teleport client: identity, dialling, Ping, the event APIs and artifact download; yields
//! raw bytes and knows no JSON of events.
//!
//! [`SearchSource`] reads the log of Auth in lanes through `GetEvents` and recordings through
//! `StreamSessionEvents`, or through their unstructured counterparts, or whole dates by the bulk
//! export; [`AuthArtifacts`] fetches signed decoder artifacts over the same connection, and
//! [`AuthLocks`] sets locks over it. [`Visit`] is one look at Auth, for whoever has to
//! say what is wrong. Every event stays the bytes that Auth sent, a slice of the
//! receive buffer.
//!
//! Left to others: what an event means (`ev-decode`), which ids are known and what is retried
//! (`ev-pipeline`), whether an artifact is to be trusted (`ev-modules`), certificates (`ev-tls`).
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use ev_core::{Credit, Env, Resume, Road, Source, SourceEvent};
//! use ev_source::{Config, Credentials, SearchSource};
//!
//! async fn read(env: Arc<dyn Env>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let identity = Credentials::Identity("/etc/ev/identity".into());
//!     let mut source = SearchSource::new(Config::new("auth.example.com:3025", identity), env.clone())?;
//!     source.survey().await?;
//!     let (lanes, closed) = (Vec::new(), Vec::new());
//!     source.resume(Resume { road: Road::Typed, lanes, closed, start_time: env.now() })?;
//!     loop {
//!         if let SourceEvent::Page(page) = source.next(Credit { pages: 4 }).await? {
//!             tracing::info!(lane = %page.lane, events = page.events.len(), "page");
//!         }
//!     }
//! }
//! ```

#![forbid(unsafe_code)]

mod address;
mod artifacts;
mod backoff;
mod beside;
mod budget;
mod chunks;
mod config;
mod connection;
mod credentials;
mod dial;
mod error;
mod export;
mod failing;
#[path = "gen/mod.rs"]
mod generated;
mod identity;
mod keyed;
mod lanes;
mod link;
mod living;
mod locks;
mod offers;
mod place;
mod plan;
mod presence;
mod raw_codec;
mod rescan;
mod road;
mod rpc;
mod session;
mod source;
mod span;
mod stream;
mod surroundings;
mod tasks;
mod token;
mod visit;
mod window;

pub use artifacts::AuthArtifacts;
pub use chunks::{ChunkEvents, ChunkPart, ChunkReader, ChunkRefused};
pub use config::{Config, Credentials};
pub use credentials::AuthCredentials;
pub use error::Error;
pub use export::ExportPlace;
pub use identity::{IdentityError, IdentityFile};
pub use keyed::{KeyRefused, KeyedPage, KeyedPages, KeyedQuery};
pub use locks::AuthLocks;
pub use offers::{AuthRoads, Offers};
pub use place::SearchPlace;
pub use presence::{AuthPresence, Reconnects};
pub use source::SearchSource;
pub use surroundings::Surroundings;
pub use visit::{Granted, Question, Unreached, Visit, VisitError};
