//! Events as lines of JSON (NDJSON) in files or on stdout: rotated, synced by policy, repaired
//! after a crash.
//!
//! Retrying and the order of batches are the engine's (`ev-pipeline`). Nothing here deletes or
//! compresses a file, and nothing reads one.
//!
//! Each event is one line: its JSON byte for byte as the decoder made it, which never holds a line
//! feed, and a line feed behind it. Audit events go to one file, each recording to one of its own
//! or all of them to one, as [`Config::session_path`] has it.
//!
//! ```text
//! FileSink ── Batch ─▶ open ─▶ repair the end ─▶ rotate? ─▶ write ─▶ sync? ─▶ Delivered
//!                                                             │
//!                             Busy, cut back to where it was ◀┘ no room, an error of the device
//! ```
//!
//! A file is opened for each batch, so that whoever moves or deletes it (`logrotate`) needs to tell
//! nobody; and locked, so that two processes may add to it.
//!
//! - **Whole lines.** A batch that could not be written whole is cut off again. What a crash left
//!   of a line is cut off when the file is opened next; the event was never acknowledged, so it
//!   comes again. A file that ends in something that is no part of an event is somebody else's and
//!   is left alone.
//! - **Delivered means written**, and with [`Fsync::Batch`] and [`Fsync::Always`] also that the disk
//!   has it. With [`Fsync::Never`] a power cut may lose what was delivered shortly before; the death
//!   of the process loses nothing.
//! - **No room is no loss.** A full disk, an exhausted quota or an error of the device is
//!   [`ev_core::Verdict::Busy`], and the same events come again.
//! - Events hold what people typed in terminals: files are made for their owner only (0600), and
//!   so are the directories (0700).

#![forbid(unsafe_code)]

mod config;
mod error;
mod file;
mod look;
mod place;
mod sink;
mod stdout;
mod tail;
mod writer;

pub use config::{Config, Fsync, Rotation};
pub use error::Error;
pub use sink::FileSink;
