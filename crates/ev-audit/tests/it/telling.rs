//! What the owner can see: metrics, and what does not stand in any log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ev_audit::transport::MemoryTransport;
use ev_audit::{Client, Plane};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};

use crate::rig::{record, send_all, service, settle, start};

#[derive(Default, Clone)]
struct Seen(Arc<Mutex<BTreeMap<String, f64>>>);

struct One(Seen, String);

impl One {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.0.0.lock().expect("no panic").entry(self.1.clone()).or_default());
    }
}

impl CounterFn for One {
    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn increment(&self, by: u64) {
        self.change(|value| *value += by as f64);
    }

    fn absolute(&self, _: u64) {
        panic!("clients of one process add up");
    }
}

impl GaugeFn for One {
    fn increment(&self, by: f64) {
        self.change(|value| *value += by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| *value -= by);
    }

    fn set(&self, to: f64) {
        self.change(|value| *value = to);
    }
}

impl Seen {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(One(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    fn value(&self, name: &str) -> f64 {
        self.0.lock().expect("no panic").get(name).copied().unwrap_or_default()
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn the_ledger_is_kept_up_to_date_in_metrics() {
    let seen = Seen::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&seen, || {
        runtime.block_on(async {
            for _ in 0..2 {
                let (transport, _audited) = MemoryTransport::new();
                let client = start(Client::builder(service(), transport).max_queue_records(20));
                send_all(&client, 0..20);
                client.send(Plane::Data, record(20)).unwrap_err();
                let mut invalid = record(21);
                invalid.operation_name.clear();
                client.send(Plane::Data, invalid).unwrap_err();
                settle().await;
                assert!(client.close_wait_until(std::future::pending()).await.is_empty());
            }
        });
    });
    for (name, value) in [
        ("ev_audit_records_accepted_total{}", 40.0),
        ("ev_audit_records_written_total{}", 40.0),
        ("ev_audit_sends_refused_total{reason=queue_full}", 2.0),
        ("ev_audit_sends_refused_total{reason=invalid}", 2.0),
        ("ev_audit_heartbeats_written_total{}", 2.0),
        ("ev_audit_connections_total{}", 2.0),
        ("ev_audit_pending_records{}", 0.0),
    ] {
        assert!((seen.value(name) - value).abs() < f64::EPSILON, "{name}: {}", seen.value(name));
    }
    assert!(seen.value("ev_audit_written_bytes_total{}") > 20_000.0);
}

#[test]
fn nothing_of_a_record_is_printed_by_accident() {
    let client =
        Client::builder(service(), ev_audit::transport::NoopTransport::new()).build().unwrap();
    let mut secret = record(0);
    secret.operation_name.clear();
    secret.custom_data.insert("secret".to_owned(), "s3cr3t".into());
    for identities in secret.caller_identities.values_mut() {
        for identity in identities.iter_mut() {
            identity.identity = "s3cr3t".to_owned();
        }
    }
    let refused = client.send(Plane::Data, secret).unwrap_err();
    let printed = format!("{refused} {refused:?} {client:?} {:?}", client.events().try_next());
    assert!(!printed.contains("s3cr3t"), "{printed}");
}
