//! The page that describes the metrics.

use std::fmt::Write as _;

use super::{Kind, all};

/// `docs/metrics.md`: what stands in front of the table, and the table.
pub fn document() -> String {
    let mut out = String::from(include_str!("document.md"));
    for metric in all() {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels) = (metric.sample_name(), labels.join(", "));
        // Writing into a string does not fail.
        let _infallible = writeln!(out, "| `{name}` | {kind} | {labels} | {} |", metric.help);
    }
    out
}
