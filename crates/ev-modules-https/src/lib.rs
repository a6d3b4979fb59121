//! Decoder artifacts from an HTTPS address with the layout of a directory.
//!
//! [`HttpsSource`] fetches `<base>/<auth version>/module-abi<N>.wasm` and `table-v<N>.evt`, each
//! with `<file>.dsse.json` beside it, and `<base>/versions.json` for the list of versions. The
//! envelope comes first: when it names what is already held, nothing more is downloaded.
//!
//! Any web server or object store will do; nothing it says is believed. This crate verifies
//! nothing (`ev-modules` does), reads no certificates (`ev-tls` does), keeps nothing and never
//! tries again by itself. Redirects are told and not followed.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use ev_core::{ArtifactSource, Env};
//! use ev_modules_https::{Config, Error, HttpsSource};
//!
//! fn source(env: Arc<dyn Env>) -> Result<Arc<dyn ArtifactSource>, Error> {
//!     let mut config = Config::new("https://artifacts.example.com/ev");
//!     config.tls.ca = Some("ca.crt".into());
//!     Ok(Arc::new(HttpsSource::new(config, env)?))
//! }
//! ```

#![forbid(unsafe_code)]

mod address;
mod answer;
mod config;
mod connection;
mod error;
mod line;
mod source;

pub use config::{Config, Timeouts};
pub use error::Error;
pub use source::HttpsSource;
