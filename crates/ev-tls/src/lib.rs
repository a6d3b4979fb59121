//! Certificates and keys: read, checked and re-read when they change, for source, sink and audit
//! client.
//!
//! [`CredentialFiles`] (or anybody's [`CredentialSource`]) says where certificates come from,
//! [`Identity`] and [`Roots`] are what was read and checked, and [`ClientTls`] turns them into the
//! configuration for the next connection. Every error names the file and what is wrong with it;
//! [`describe_tls_error`] does the same for a handshake that failed.
//!
//! This crate opens no sockets, spawns no tasks and asks nobody for the time: whoever dials takes
//! [`ClientTls::config`] for each new connection and calls [`ClientTls::reload`] when it is time.
//!
//! ```
//! use ev_tls::{ClientOptions, ClientTls, Clock, CredentialFiles, Error};
//!
//! let files = CredentialFiles { ca: Some("/nowhere/ca.pem".into()), ..Default::default() };
//! let clock = Clock::new(|| 1_800_000_000);
//! let Err(error) = ClientTls::new(files, ClientOptions::default(), clock) else { panic!() };
//! assert!(matches!(error, Error::ReadFile { .. }));
//! ```

#![forbid(unsafe_code)]

mod chain;
mod client;
mod clock;
mod describe;
mod encrypted;
mod error;
mod facts;
mod identity;
mod modes;
mod passphrase;
mod pem;
mod source;
mod watch;

pub use client::{ClientOptions, ClientTls};
pub use clock::Clock;
pub use describe::{describe_tls_error, find_tls_error, is_refusal_of_us};
pub use error::Error;
pub use facts::{CertificateFacts, format_time};
pub use identity::{Identity, Roots};
pub use modes::{open_mode, warn_if_open};
pub use passphrase::{Passphrase, PassphraseSource};
pub use pem::{Pem, read_file};
pub use source::{CredentialFiles, CredentialSource, Credentials};
pub use watch::{CredentialWatch, News};
