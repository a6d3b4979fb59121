//! The values of one metric.

use crate::Times;

/// The values of one metric, each with the values of its labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    pub(super) values: Vec<(Vec<String>, Value)>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Whole(u64),
    Number(f64),
    /// The sum, the count, and for each bound how many lie at most there and above the one before.
    Histogram(f64, u64, Vec<(f64, u64)>),
    Fact,
}

impl Samples {
    /// A count.
    pub(super) fn count(&mut self, labels: &[&str], value: u64) {
        self.put(labels, Value::Whole(value));
    }

    /// Anything else.
    pub(super) fn number(&mut self, labels: &[&str], value: f64) {
        self.put(labels, Value::Number(value));
    }

    /// Whole seconds, or a number of something that does not only grow.
    pub(super) fn whole(&mut self, labels: &[&str], value: i64) {
        // Exact up to 2^53, which no time or count that is shown here reaches.
        self.number(labels, value as f64);
    }

    pub(super) fn truth(&mut self, labels: &[&str], value: bool) {
        self.number(labels, f64::from(u8::from(value)));
    }

    pub(super) fn fact(&mut self, labels: &[&str]) {
        self.put(labels, Value::Fact);
    }

    pub(super) fn times(&mut self, labels: &[&str], times: &Times) {
        let bound = |ms: Option<u64>| ms.map_or(f64::INFINITY, |ms| ms as f64 / 1000.0);
        let buckets: Vec<_> =
            times.buckets.iter().map(|bucket| (bound(bucket.up_to_ms), bucket.count)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        self.put(labels, Value::Histogram(times.sum_seconds, count, buckets));
    }

    fn put(&mut self, labels: &[&str], value: Value) {
        self.values.push((labels.iter().map(|label| (*label).to_owned()).collect(), value));
    }
}
