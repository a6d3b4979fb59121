//! The metrics: one table from which `/metrics` and `docs/metrics.md` are made.
//!
//! Names follow OpenMetrics: base units, `_total` behind counters, labels with few values. Each is
//! a view of the snapshot, so all figures of one scrape belong to one moment.

mod document;
mod samples;
mod table;
mod text;

pub use document::document;
pub use samples::Samples;
pub use text::{CONTENT_TYPE, openmetrics};

use crate::Snapshot;

/// What kind of figure a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, and begins at zero when the process does.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of times by buckets.
    Histogram,
    /// Facts as labels.
    Info,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, without the suffix that its kind adds.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, a sentence without a full stop.
    pub help: &'static str,
    read: fn(&Snapshot, &mut Samples),
}

impl Metric {
    /// The name under which its values stand in the text: what queries ask for.
    pub fn sample_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
            Kind::Info => "_info",
        };
        format!("{}{suffix}", self.name)
    }

    /// Its values.
    pub fn samples(&self, snapshot: &Snapshot) -> Samples {
        let mut samples = Samples::default();
        (self.read)(snapshot, &mut samples);
        samples
    }
}

/// All of them, in the order in which they are shown.
pub fn all() -> &'static [Metric] {
    table::METRICS
}
