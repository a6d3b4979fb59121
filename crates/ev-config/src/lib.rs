//! From flags, a TOML file and the environment to validated settings that know their origin.
//!
//! Accepts the reference handler's names unchanged and adds our own; both stand in one table
//! ([`options`]), from which the command line, the lookups and the help text are made. Precedence
//! is that of the reference handler: flag, then TOML, then environment, then default.
//!
//! Two stages: everything that was written is read and parsed, then what is meant is built from
//! it and checked as a whole, so that all problems are reported at once, each with the setting's
//! name and where its value came from (file and line, variable, flag). Nothing is opened apart
//! from the configuration file; that other files exist is all that is asked of them.
//!
//! Leaves to others: what is in the files (`ev-tls`, `ev-modules`, `ev-source`), and turning
//! [`Settings`] into the plain configurations of the crates (the binary). Reads no environment
//! and no working directory of its own: both are handed in.
//!
//! TOML is read with spans by the `toml` crate itself: layered configuration libraries lose the
//! line numbers that the messages need.
//!
//! ```
//! use std::ffi::OsString;
//!
//! # let directory = tempfile::tempdir()?;
//! # std::fs::write(directory.path().join("identity"), "")?;
//! let matches = ev_config::start_command().try_get_matches_from([
//!     "start",
//!     "--storage=/var/lib/ev",
//!     "--fluentd-url=https://localhost:8888/test.log",
//!     "--fluentd-session-url=https://localhost:8888/session",
//! ])?;
//! let env = |name: &str| (name == "FDFWD_TELEPORT_IDENTITY").then(|| OsString::from("identity"));
//! let loaded = ev_config::load(&matches, &env, directory.path())?;
//! assert_eq!(loaded.settings.teleport.addr, "localhost:3025");
//! assert_eq!(loaded.origin("teleport-identity").to_string(), "FDFWD_TELEPORT_IDENTITY");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod build;
mod command;
mod document;
mod duration;
mod error;
mod event_types;
mod file;
mod finding;
mod load;
mod nearest;
mod options;
mod origin;
mod print;
mod resolve;
mod settings;
mod table;
mod value;

pub use command::{global_args, start_command, with_settings};
pub use document::document;
pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use error::ConfigError;
pub use finding::Finding;
pub use load::{
    Effective, Environment, Loaded, Whereabouts, is_debug, load, load_beside, whereabouts,
};
pub use options::{Group, Kind, OptionSpec, Owner, Support, Toml, options};
pub use origin::Origin;
pub use settings::{
    ArtifactPlace, Audit, AuditEndpoint, BatchMode, BatchModeReason, Batching, Body,
    ClientCertificate, Credentials, Decoder, Downgrade, EmbeddedTables, Exactness, Export,
    FileOutput, FileSync, Fluentd, Forward, ForwardLogin, Gzip, Header, InFlight, Ingest, Json,
    JsonFlavour, Lock, LogFormat, Road, SecretText, Settings, Teleport, Timeouts, Token, Unknown,
    VersionPolicy,
};
pub use value::{in_home, parse_time, redacted, split_list};
