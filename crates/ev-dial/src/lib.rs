//! Connections to servers, as all our clients make them.
//!
//! [`tcp`] tries every address that a name has, each with a part of the time, so that one that
//! swallows packets does not hide the next. [`secure`] begins TLS on a connection. [`Link`] is the
//! half of an HTTP/1.1 connection that moves bytes, for who drives it in place instead of in a task.
//! [`describe`] says what went wrong in an operator's words. [`basic`] is the header for a login in
//! an address, and [`without_secrets`] what of an address may be told.
//!
//! Left to others: certificates (`ev-tls`), what is spoken, how often it is tried.

#![forbid(unsafe_code)]

mod address;
mod describe;
mod error;
mod http1;
mod login;
mod stream;
mod tcp;
mod tls;

pub use address::without_secrets;
pub use describe::describe;
pub use error::Error;
pub use http1::{Link, is_alive};
pub use login::basic;
pub use stream::{BoxStream, Stream};
pub use tcp::tcp;
pub use tls::secure;
