//! A receiver that behaves as Fluentd's `in_http`: HTTPS with a client certificate, HTTP/1.1 with
//! keep-alive, one object or an array of objects in a request.
//!
//! It differs with the version it is told to be ([`FluentdVersion`]), takes gzip and deflate, and
//! answers 200 to what real versions answer 200 to without storing it.
//!
//! Everything it stores is kept as the bytes that came, so that a test can compare bytes. What it
//! does wrong, it does because a switch says so.

mod admin;
mod conf;
mod cut;
mod decide;
mod inflate;
mod server;
mod store;
mod switches;

pub use conf::Section;
pub use cut::{BodyError, cut};
pub use server::{FakeFluentd, FluentdConfig};
pub use store::{FluentdTally, Received};
pub use switches::{FailRule, FluentdVersion, Switches};
