//! What the `tracing` layer and the `log` adapter share: which events are meant, what becomes of
//! them, and how their owner hears of those that do not fit.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fields::{Fields, WrongField};
use crate::client::{Client, SendError};
use crate::model::Record;
use crate::wire::Plane;

/// The target under which this crate logs. What it says about sending is never sent.
const OWN_TARGET: &str = "ev_audit";

thread_local! {
    /// This thread is making a record out of an event.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

type OnProblem = Box<dyn Fn(LogProblem) + Send + Sync>;

/// Turns events that a program logs under a chosen target into records.
///
/// [`into_layer`](Self::into_layer) makes a layer for `tracing` out of it and
/// `into_logger` a logger for `log`. Both read the same fields:
///
/// | field | becomes |
/// |---|---|
/// | `operation_name`, `operation_access_level`, `operation_result_description`, `operation_category_description`, `caller_agent` | the text of that name |
/// | `operation_type`, `operation_result` | the kind with that name on the wire, in any case of letters |
/// | `operation_category`, `operation_categories` | kinds, separated by commas |
/// | `caller_access_level` | one access level |
/// | `caller_access_levels` | access levels, separated by commas |
/// | `caller_ip` | the address of the caller |
/// | `caller_identity.<type>` | an identity of that type: `caller_identity.upn`, `caller_identity.object_id` |
/// | `caller_identity.<type>.description` | what it is; without it, the name of the type |
/// | `target_resource.<type>` | the name of a resource of that type |
/// | `target_resource.<type>.cluster`, `.data_center`, `.region` | where that is |
/// | `plane` | `data` or `control` |
/// | the message | the name of the operation; where another field has that, the description of its result |
/// | any other | custom data under its name |
///
/// A span of the same target gives its fields to the events inside; the event's own fields and
/// those of inner spans win, and all win over [`defaults`](Self::defaults).
///
/// An event that makes no valid record, or finds no room, is told to the handler of
/// [`on_problem`](Self::on_problem) and counted; the program that logs goes on in any case.
/// Sending is [`Client::send`] and does not block, unless the client was built with
/// [`Overflow::Block`](crate::Overflow::Block). What is logged while a record is being made, by
/// hooks or by the handler, is not turned into records, and neither is what this crate itself
/// logs under `ev_audit`.
///
/// Levels make no difference here. A layer or logger that is installed for the whole program holds
/// its client for ever: keep a clone of the client, and [`close`](Client::close) that at the end.
pub struct LogBridge {
    client: Client,
    target: String,
    plane: Plane,
    defaults: Record,
    on_problem: Option<OnProblem>,
    counters: LogCounters,
}

/// An event that is not wholly in a record.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogProblem {
    /// A field has a value that its name does not allow. The record is sent all the same, if it
    /// is valid without, and has the value as custom data under the name of the field.
    Field(WrongField),
    /// There is no record of the event in the queue. The record comes along.
    Refused(SendError),
}

/// How many events became records and how many did not.
#[derive(Debug, Clone, Default)]
pub struct LogCounters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    queued: AtomicU64,
    refused: AtomicU64,
    wrong_fields: AtomicU64,
    nested: AtomicU64,
    panicked: AtomicU64,
}

impl LogCounters {
    /// Events that were queued as records.
    pub fn queued(&self) -> u64 {
        self.0.queued.load(Ordering::Relaxed)
    }

    /// Events whose record was refused.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Fields with a value that their name does not allow.
    pub fn wrong_fields(&self) -> u64 {
        self.0.wrong_fields.load(Ordering::Relaxed)
    }

    /// Events of the target that were logged while a record was being made, and left out.
    pub fn nested(&self) -> u64 {
        self.0.nested.load(Ordering::Relaxed)
    }

    /// Panics of the handler of problems, and of values while their text was made.
    pub fn panicked(&self) -> u64 {
        self.0.panicked.load(Ordering::Relaxed)
    }
}

impl LogBridge {
    /// Sends what is logged under the target `audit`, on the data plane, over `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            target: "audit".to_owned(),
            plane: Plane::Data,
            defaults: Record::default(),
            on_problem: None,
            counters: LogCounters::default(),
        }
    }

    /// Takes events of this target and of those below it: `audit` stands for `audit::users` too.
    /// Default: `audit`.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    /// The plane of events that do not say. Default: [`Plane::Data`].
    #[must_use]
    pub fn plane(mut self, plane: Plane) -> Self {
        self.plane = plane;
        self
    }

    /// What records have where neither their event nor its spans say anything.
    #[must_use]
    pub fn defaults(mut self, record: Record) -> Self {
        self.defaults = record;
        self
    }

    /// Hears of every event that is not wholly in a record, in the thread that logged it. A panic
    /// in it is contained.
    #[must_use]
    pub fn on_problem(mut self, handler: impl Fn(LogProblem) + Send + Sync + 'static) -> Self {
        self.on_problem = Some(Box::new(handler));
        self
    }

    /// What is counted; it goes on counting when the bridge has become a layer or a logger.
    pub fn counters(&self) -> LogCounters {
        self.counters.clone()
    }

    /// Whether events of this target are meant.
    pub(super) fn wants(&self, target: &str) -> bool {
        is_under(target, &self.target) && !Self::is_own(target)
    }

    /// Whether this crate logs under that target.
    pub(super) fn is_own(target: &str) -> bool {
        is_under(target, OWN_TARGET)
    }

    /// Makes a record of the fields that `collect` finds, and sends it.
    pub(super) fn audit(&self, collect: impl FnOnce() -> Fields) {
        let Some(_busy) = Busy::begin() else {
            count(&self.counters.0.nested, 1);
            return;
        };
        let mut fields = collect();
        self.count_panics(&mut fields);
        let (plane, record, wrong) = fields.into_record(self.plane, &self.defaults);
        count(&self.counters.0.wrong_fields, wrong.len() as u64);
        for field in wrong {
            self.tell(LogProblem::Field(field));
        }
        match self.client.send(plane, record) {
            Ok(()) => count(&self.counters.0.queued, 1),
            Err(refused) => {
                count(&self.counters.0.refused, 1);
                self.tell(LogProblem::Refused(refused));
            }
        }
    }

    /// Counts the values that panicked while their text was made, each once: those of a span when
    /// it gets them, and not with every event inside.
    pub(super) fn count_panics(&self, fields: &mut Fields) {
        count(&self.counters.0.panicked, fields.take_panicked());
    }

    fn tell(&self, problem: LogProblem) {
        let Some(handler) = &self.on_problem else { return };
        if catch_unwind(AssertUnwindSafe(|| handler(problem))).is_err() {
            count(&self.counters.0.panicked, 1);
        }
    }
}

impl fmt::Debug for LogBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBridge")
            .field("client", &self.client)
            .field("target", &self.target)
            .field("plane", &self.plane)
            .finish_non_exhaustive()
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Whether `target` is `root` or below it.
fn is_under(target: &str, root: &str) -> bool {
    target.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Held while this thread makes a record.
struct Busy;

impl Busy {
    /// Nothing while the thread makes one already, or is at its end.
    fn begin() -> Option<Self> {
        let free = BUSY.try_with(|busy| !busy.replace(true)).unwrap_or(false);
        // Made only when it is free: a guard that is dropped lets go of what another holds.
        if free { Some(Self) } else { None }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.try_with(|busy| busy.set(false)).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::is_under;

    #[test]
    fn a_target_stands_for_those_below_it() {
        assert!(is_under("audit", "audit"));
        assert!(is_under("audit::users", "audit"));
        assert!(!is_under("auditor", "audit"));
        assert!(!is_under("service::audit", "audit"));
    }
}
