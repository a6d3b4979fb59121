//! Connections to servers, as all our clients make them.
//!
//! [`tcp`] tries every address that a name has, each with a part of the time, so that one that
//! swallows packets does not hide the next. [`secure`] begins TLS on a connection. [`Link`] is the
//! half of an HTTP/1.1 connection that moves bytes, for who drives it in place instead of in a task.
//! [`describe`] says what went wrong in an operator's words. [`WebServer`] is what an address names,
//! [`basic`] the header for a login in one, and [`without_secrets`] what of it may be told.
//!
//! [`LiveTls`] is TLS whose credentials follow their files, [`Pool`] keeps connections for their
//! next use, [`RoundTripCounter`] counts how long answers take, and `Zipper` compresses what is
//! sent.
//!
//! Left to others: reading certificates (`ev-tls`), what is spoken, how often it is tried.
//!
//! Features: `gzip` brings `Gzip` and `Zipper`.

#![forbid(unsafe_code)]

mod address;
mod describe;
mod error;
#[cfg(feature = "gzip")]
mod gzip;
mod http1;
mod live;
mod login;
mod pool;
mod stream;
mod tcp;
mod times;
mod tls;
mod web;

pub use address::without_secrets;
pub use describe::describe;
pub use error::Error;
#[cfg(feature = "gzip")]
pub use gzip::{Gzip, Zipper};
pub use http1::{Link, is_alive};
pub use live::{LiveTls, reload};
pub use login::basic;
pub use pool::{Pool, Reusable};
pub use stream::{BoxStream, Stream};
pub use tcp::tcp;
pub use times::{RoundTripCounter, RoundTrips};
pub use tls::secure;
pub use web::{NoServer, WebServer};
