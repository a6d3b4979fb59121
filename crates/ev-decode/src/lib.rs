//! Schema tables and the one pass from protobuf wire bytes to JSON; natively and inside the guest.
//!
//! A [`Table`] is a Teleport schema as data: what of a protobuf descriptor set determines the JSON
//! that Go writes for an audit event. A [`Transcoder`] runs one event through a table, in one pass
//! and without a tree in between; [`NativeDecoder`] puts it behind [`ev_core::Decoder`]. Both take
//! serialised `events.OneOf` messages only: unstructured events need no schema.
//!
//! Events and tables are hostile bytes here: nothing in them makes this crate panic, recurse
//! without bound, or take more than linear time (sorting of map keys apart). Which table fits which
//! Auth version, and whether an artifact may be trusted, is decided elsewhere (`ev-modules`).
//!
//! Features:
//! - `embedded` (default): the compiled tables of the recorded Teleport versions.
//! - `compile`: the schema compiler, from a descriptor set or a directory of `.proto` files to a
//!   table. Only tools turn it on.
//! - `bare-walk`: the walk without output that benchmarks measure against.
//!
//! Without features the crate builds for `wasm32-unknown-unknown`: the guest is the same source.

#![forbid(unsafe_code)]

#[cfg(any(feature = "bare-walk", test))]
mod bare;
#[cfg(feature = "compile")]
mod compile;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod form;
mod json;
mod native;
mod path;
mod sort;
mod table;
mod transcoder;
mod walk;

#[cfg(feature = "bare-walk")]
pub use bare::bare_walk;
#[cfg(feature = "compile")]
pub use compile::{CompileError, CompileOptions, Compiled, compile_descriptor_set, compile_path};
#[cfg(feature = "embedded")]
pub use embedded::{EmbeddedTable, embedded};
pub use error::TableError;
pub use native::NativeDecoder;
pub use table::{DuplicateKeys, Table, without_names};
pub use transcoder::{Answer, Options, Scratch, Transcoder};
