//! The storage directory of the reference event handler (`teleport-event-handler`): finding it,
//! reading it into plain values, and writing it.
//!
//! Leaves to others what any of it means for a handler of ours: which events were delivered, and
//! where to go on. Changes nothing that it reads.
//!
//! # On disk
//!
//! The reference handler keeps one directory for each address that it was ever given,
//! `<storage>/<host>_<port>/`, with these files:
//!
//! | file | content |
//! |---|---|
//! | `start_time` | RFC 3339, whole seconds |
//! | `window_time` | the same; start of the moving search of newer releases |
//! | `cursor` | page key of the search; empty on the first page |
//! | `id` | id of the event that was sent last: its uid, or 64 hexadecimal digits |
//! | `session<sid>` | 8 bytes, big-endian: index of the recording's event that was sent last |
//! | `missing_recording<sid>` | JSON: `Index`, `Attempt`, `Timestamp` |
//! | `cursor_v2/<date>/completed-chunks` | names of finished chunks of the bulk export |
//! | `cursor_v2/<date>/<chunk>.chunk` | cursor inside a chunk that is not finished |
//!
//! # Damage
//!
//! It writes by cutting a file to nothing and filling it again, so after a crash there are empty
//! and half files. Whatever stands in a file, reading gives what can be made of it and a
//! [`Finding`] for what cannot: nothing in a file is an error, and nothing panics. What the system
//! refuses to let us read is an error: a state of which half is not seen would be taken for
//! another one.

#![forbid(unsafe_code)]

mod error;
mod find;
mod read;
mod state;
mod write;

pub use error::Error;
pub use find::{Candidate, candidates, directory_name};
pub use read::read;
pub use state::{Chunks, Finding, MissingRecording, State};
pub use write::write;
