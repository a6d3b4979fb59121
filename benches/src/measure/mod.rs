//! What is measured: one module a subject.

pub mod audit;
pub mod decode;
pub mod guest;
mod handler;
pub mod load;
pub mod pipeline;
mod scaling;
mod space;
pub mod unknown;

pub use space::Counted;

use std::sync::Arc;

use anyhow::Result;
use ev_decode::{EmbeddedTable, Table};

use crate::events::EventSet;
use crate::report::Report;
use crate::rounds::Effort;

/// A subject: what can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// Measures it.
    pub run: fn(&[EventSet], Effort, &mut Report) -> Result<()>,
}

/// All of them, in the order of the table.
pub const SUBJECTS: &[Subject] = &[
    Subject { name: "decode", run: decode::run },
    Subject { name: "guest", run: guest::run },
    Subject { name: "load", run: load::run },
    Subject { name: "space", run: space::run },
    Subject { name: "unknown", run: unknown::run },
    Subject { name: "scaling", run: scaling::run },
    Subject { name: "pipeline", run: pipeline::run },
    Subject { name: "handler", run: handler::run },
    Subject { name: "audit", run: audit::run },
];

/// The newest embedded schema: the one of the event sets.
fn newest_embedded() -> EmbeddedTable {
    ev_decode::embedded().pop().expect("the tables of several versions are embedded")
}

/// The newest embedded schema's table.
pub fn newest() -> Arc<Table> {
    newest_embedded().table
}
