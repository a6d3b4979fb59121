//! The files by which a Fluentd, a handler and a cluster get to know each other: certificates and
//! keys for both ends of mutual TLS, a `fluent.conf`, the handler's TOML file, role and user for
//! Teleport, and values for the Helm chart.
//!
//! [`configure`] does all of it, in this order: it looks whether files would be overwritten and
//! asks about it once; it makes keys and certificates in memory; it writes everything into a
//! folder beside the real places; it reads certificates and keys back from there and lets the
//! two ends shake hands; and only then puts all files in place, all of them or none. A run that
//! is killed in between is undone by the next one.
//!
//! Names, contents and defaults are those of the reference handler's command of the same name,
//! except where its files do not work: see `docs/configure.md`.
//!
//! Leaves to others: the command line, the terminal and name resolution (a [`Host`]), and reading
//! what is written here (`ev-config`, `ev-tls`). Keys come from the operating system's
//! randomness alone.
//!
//! ```
//! use std::io;
//! use std::net::{IpAddr, Ipv4Addr};
//! use std::path::PathBuf;
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! use ev_configure::{Answer, Config, Host, KeyKind, Passphrase, configure};
//!
//! struct Nobody;
//!
//! impl Host for Nobody {
//!     fn resolve(&mut self, _name: &str) -> io::Result<Vec<IpAddr>> {
//!         Ok(vec![Ipv4Addr::LOCALHOST.into()])
//!     }
//!
//!     fn may_overwrite(&mut self, _files: &[PathBuf]) -> Answer {
//!         Answer::CannotAsk
//!     }
//!
//!     fn show_passphrase(&mut self, _passphrase: &Passphrase) {}
//! }
//!
//! let directory = tempfile::tempdir()?;
//! let config = Config { key: KeyKind::EcdsaP256, ..Config::new(directory.path()) };
//! let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
//! let report = configure(&config, None, &mut Nobody, now)?;
//! assert_eq!(report.steps().len(), 5);
//! assert!(directory.path().join("fluent.conf").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod certificates;
mod check;
mod config;
mod encrypt;
mod error;
mod files;
mod keys;
mod names;
mod passphrase;
mod place;
mod quote;
mod report;
mod rsa;
mod run;
mod templates;

pub use config::{Config, FileNames, KeyKind, Overwrite};
pub use error::Error;
pub use passphrase::Passphrase;
pub use report::{Report, Step};
pub use run::{Answer, Host, configure};
