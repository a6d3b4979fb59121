//! Two decoders that are correct and slow, to test the fast one against; knows nothing of its table.
//!
//! Both turn a serialised `events.OneOf` into the JSON that Go's `encoding/json` writes for the
//! event, and both work from a descriptor set and the gogoproto options in it, read here anew:
//!
//! - [`Schema::reflect`]: a prost-reflect message, printed by a writer that follows Go's rules.
//!   What prost refuses or cannot tell is refused ([`Refused`]). This is also the baseline that
//!   benchmarks compare with, so the plan of each message is made once.
//! - [`Schema::slow`]: a tree of what Go would have in memory, with gogo's own rules for whatever
//!   prost refuses or takes otherwise, and the answers other than JSON.
//!
//! [`Generator`] makes events of a schema up, [`mutate`] damages them, [`minimise`] finds the
//! smallest that still shows a difference.
//!
//! Depends on no other crate of the workspace. Not for products: it recurses as deep as its input.

#![forbid(unsafe_code)]

mod error;
mod generate;
mod gogo;
mod json;
mod layout;
mod reflect;
mod schema;
mod slow;

pub use error::{Error, Refused};
pub use generate::{Choices, Generator, minimise, mutate};
pub use schema::Schema;
pub use slow::{Event, Verdict};
