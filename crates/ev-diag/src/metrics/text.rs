//! The metrics as text in the form of OpenMetrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::samples::Value;
use super::{Kind, Metric, all};
use crate::Snapshot;

/// The media type of [`openmetrics`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type NoExemplar = Option<Exemplar<[(&'static str, &'static str); 0], f64>>;

/// All metrics in the text form of OpenMetrics 1.0.
pub fn openmetrics(snapshot: Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(View(snapshot)));
    let mut out = String::new();
    // Writing into a string does not fail.
    let _infallible = text::encode(&mut out, &registry);
    out
}

#[derive(Debug)]
struct View(Snapshot);

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in all() {
            let samples = metric.samples(&self.0);
            // One without values would be a name that says nothing.
            if samples.values.is_empty() {
                continue;
            }
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut encoder = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (labels, value) in &samples.values {
                let labels: Vec<(&str, &str)> =
                    metric.labels.iter().copied().zip(labels.iter().map(String::as_str)).collect();
                encode(&mut encoder, metric, &labels, value)?;
            }
        }
        Ok(())
    }
}

fn encode(
    encoder: &mut MetricEncoder<'_>,
    metric: &Metric,
    labels: &Vec<(&str, &str)>,
    value: &Value,
) -> fmt::Result {
    let none: NoExemplar = None;
    match value {
        Value::Fact => encoder.encode_info(labels),
        Value::Histogram(sum, count, buckets) if labels.is_empty() => {
            encoder.encode_histogram::<[(&str, &str); 0]>(*sum, *count, buckets, None)
        }
        Value::Histogram(sum, count, buckets) => encoder
            .encode_family(labels)?
            .encode_histogram::<[(&str, &str); 0]>(*sum, *count, buckets, None),
        Value::Whole(value) if metric.kind == Kind::Counter && labels.is_empty() => {
            encoder.encode_counter(value, none.as_ref())
        }
        Value::Whole(value) if metric.kind == Kind::Counter => {
            encoder.encode_family(labels)?.encode_counter(value, none.as_ref())
        }
        Value::Number(value) if metric.kind == Kind::Counter => {
            encoder.encode_family(labels)?.encode_counter(value, none.as_ref())
        }
        Value::Whole(value) => encoder.encode_family(labels)?.encode_gauge(&(*value as f64)),
        Value::Number(value) if labels.is_empty() => encoder.encode_gauge(value),
        Value::Number(value) => encoder.encode_family(labels)?.encode_gauge(value),
    }
}
