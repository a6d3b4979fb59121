//! What the events of a version look like, for people and their tools.
//!
//! [`Schema::read`] takes a schema table ([`ev_decode::Table`]) apart. Of each event type it tells
//! the members of the JSON ([`Schema::members`]), a JSON Schema of draft 2020-12
//! ([`Schema::json_schema`]) and an example, which is what the decoder writes of an event with
//! everything set ([`Schema::example`]); [`write_json`] prints them exactly. [`Difference`] is what
//! one version has that another has not.
//!
//! The same table always gives the same text. Where tables come from and whether they may be
//! trusted is decided elsewhere; events are decoded by `ev-decode`.
//!
//! ```
//! # let bytes = ev_decode::embedded().pop().expect("there are three").bytes;
//! use ev_core::Flavour;
//! use ev_schema::Schema;
//!
//! let schema = Schema::read(bytes)?;
//! let login = schema.find("user.login").expect("there is such a type");
//! assert_eq!(login.name(), "UserLogin");
//! let json_schema = schema.json_schema(login, Flavour::Go);
//! assert_eq!(json_schema["properties"]["success"]["type"], "boolean");
//! # Ok::<(), ev_schema::Error>(())
//! ```

#![forbid(unsafe_code)]

mod difference;
mod error;
mod example;
mod json_schema;
mod kind;
mod members;
mod print;
mod read;
mod schema;
mod types;
mod wire;

pub use difference::{Change, Changed, Difference};
pub use error::Error;
pub use members::{Member, Presence};
pub use print::write_json;
pub use schema::{Event, Schema};
