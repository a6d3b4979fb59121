//! Why a record was not accepted, and why there is no client.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::model::{Problem, Record};
use crate::spill::SpillError;
use crate::wire::Plane;

/// Why a record was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The record is not valid: the first problem, or all of them if the client was built to
    /// report all.
    #[error("audit record is not valid: {}", Listed(.0))]
    Invalid(Vec<Problem>),
    /// A hook refused it.
    #[error("audit record was refused by a hook")]
    Hook(#[source] Box<dyn StdError + Send + Sync>),
    /// A hook panicked. What it had changed by then is in the record that comes back.
    #[error("hook panicked")]
    HookPanicked,
    /// Its frame is longer than the whole queue may be.
    #[error("audit record needs {bytes} bytes, the queue holds {limit}")]
    TooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes that the queue may hold.
        limit: usize,
    },
    /// The queue has no room.
    #[error("queue full")]
    QueueFull,
    /// The queue had no room for as long as the caller wanted to wait.
    #[error("queue full for as long as the caller waited")]
    TimedOut,
    /// The client is closed, by its owner or because no connection is possible.
    #[error("audit client is closed")]
    Closed,
    /// The process is a fork of the one that made the client; the sender did not come along.
    #[error("audit client belongs to process {parent}, not to its fork")]
    Forked {
        /// The process that made the client.
        parent: u32,
    },
}

impl Refused {
    /// Whether no record will ever be accepted by this client in this process again.
    pub fn is_unrecoverable(&self) -> bool {
        matches!(self, Self::Closed | Self::Forked { .. })
    }

    /// Whether the same record may be accepted later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::QueueFull | Self::TimedOut)
    }
}

struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{problem}")?;
        }
        Ok(())
    }
}

/// A record that was not accepted, with the reason. The record comes back to the caller.
///
/// ```no_run
/// # fn example(client: &ev_audit::Client, record: ev_audit::Record) {
/// use ev_audit::{Plane, Refused};
///
/// if let Err(error) = client.send(Plane::Data, record) {
///     match error.reason() {
///         Refused::QueueFull => keep_for_later(error.into_record()),
///         reason => eprintln!("not audited: {reason}"),
///     }
/// }
/// # fn keep_for_later(_: ev_audit::Record) {}
/// # }
/// ```
pub struct SendError(Box<Inner>);

struct Inner {
    reason: Refused,
    plane: Plane,
    record: Record,
}

impl SendError {
    pub(crate) fn new(reason: Refused, plane: Plane, record: Record) -> Self {
        Self(Box::new(Inner { reason, plane, record }))
    }

    /// Why it was not accepted.
    pub fn reason(&self) -> &Refused {
        &self.0.reason
    }

    /// The plane it was sent on.
    pub fn plane(&self) -> Plane {
        self.0.plane
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.0.record
    }

    /// The record, to keep.
    pub fn into_record(self) -> Record {
        self.0.record
    }

    /// The reason and the record.
    pub fn into_parts(self) -> (Refused, Record) {
        (self.0.reason, self.0.record)
    }

    /// See [`Refused::is_unrecoverable`].
    pub fn is_unrecoverable(&self) -> bool {
        self.0.reason.is_unrecoverable()
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Records are never printed by accident.
        f.debug_struct("SendError").field("reason", &self.0.reason).finish_non_exhaustive()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.reason.fmt(f)
    }
}

impl StdError for SendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.reason.source()
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The service id is the empty one.
    #[error("service id is empty")]
    NoServiceId,
    /// A setting is out of its range.
    #[error("`{setting}` must be {wanted}")]
    Setting {
        /// The name of the setting, as that of the builder's method.
        setting: &'static str,
        /// Its range.
        wanted: &'static str,
    },
    /// A duration is longer than timers reach.
    #[error("`{setting}` must be at most {}s", .longest.as_secs())]
    TooLong {
        /// The name of the setting.
        setting: &'static str,
        /// The longest it may be.
        longest: Duration,
    },
    /// The spill directory cannot be used.
    #[error("failed to open the spill directory")]
    Spill(#[from] SpillError),
    /// The sender's thread or its runtime could not be made.
    #[error("failed to start the audit sender")]
    Start(#[source] std::io::Error),
}
