//! What the owner can see: metrics, and what does not stand in any log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ev_audit::{Client, DropReason, Ledger, Overflow, Plane, SpillSettings};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};

use crate::rig::{
    Agent, Answer, FarEnd, ledger, pipes, record, send_all, seq, service, settle, start,
};

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

    /// All that is not nothing.
    fn all(&self) -> BTreeMap<String, f64> {
        let mut all = self.0.lock().expect("no panic").clone();
        all.retain(|_, value| *value != 0.0);
        all
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

/// What all names should say of these clients together.
#[expect(clippy::cast_precision_loss, reason = "small")]
fn wanted(ledgers: &[Ledger]) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, value: u64| {
        *all.entry(format!("ev_audit_{name}")).or_insert(0.0) += value as f64;
    };
    for ledger in ledgers {
        add("records_accepted_total{}", ledger.accepted);
        add("records_written_total{}", ledger.written);
        add("records_resent_total{}", ledger.resent);
        add("records_unconfirmed_total{}", ledger.unconfirmed);
        add("records_recovered_total{}", ledger.recovered);
        for reason in DropReason::ALL {
            let name = format!("records_dropped_total{{reason={reason}}}");
            add(&name, ledger.dropped.by(reason));
        }
        add("sends_refused_total{reason=invalid}", ledger.refused.invalid);
        add("sends_refused_total{reason=hook}", ledger.refused.hook);
        add("sends_refused_total{reason=queue_full}", ledger.refused.queue_full);
        add("sends_refused_total{reason=timed_out}", ledger.refused.timed_out);
        add("sends_refused_total{reason=closed}", ledger.refused.closed);
        add("heartbeats_written_total{}", ledger.heartbeats);
        add("heartbeats_failed_total{}", ledger.heartbeats_failed);
        add("written_bytes_total{}", ledger.bytes_written);
        add("writes_total{}", ledger.writes);
        add("connections_total{}", ledger.connections);
        add("connect_failures_total{}", ledger.connect_failures);
        add("disconnects_total{}", ledger.disconnects);
        add("pending_records{}", ledger.pending);
        add("pending_bytes{}", ledger.pending_bytes);
        add("spilled_records{}", ledger.spilled);
    }
    all.retain(|_, value| *value != 0.0);
    all
}

/// Every trouble there is, so that no count stays at nothing.
async fn troubled(dir: &std::path::Path) -> (Client, Agent, FarEnd) {
    let (transport, mut agent) = pipes(1_500);
    let settings = SpillSettings::new(dir.join("spill"));
    let client = start(
        Client::builder(service(), transport)
            .overflow(Overflow::Spill(settings))
            .max_queue_bytes(20_000)
            .retain_bytes(600)
            .enrich(|_, record| match seq(record) {
                1_000 => Err("not this one".into()),
                _ => Ok(()),
            }),
    );
    let far = agent.accept().await;
    let mut accepted = 0;
    let mut next = 0;
    // Until some lie on disk and the queue is full all the same.
    while accepted < 100 || ledger(&client).spilled == 0 {
        match client.send(Plane::Data, record(next)) {
            Ok(()) => accepted += 1,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
        }
        next += 1;
    }
    while client.send_wait_until(Plane::Data, record(1), std::future::ready(())).await.is_ok() {}
    let given_up = std::future::ready(());
    let sent = client.send_wait_until(Plane::Data, record(1), given_up).await;
    assert!(sent.is_err(), "no room");
    while client.send(Plane::Data, record(1)).is_ok() {}
    assert!(client.send(Plane::Data, record(1_000)).is_err(), "a hook refuses it");
    let mut invalid = record(1);
    invalid.operation_name.clear();
    assert!(client.send(Plane::Data, invalid).is_err(), "it has no name");
    // The agent goes, comes, and stays in the middle of what it gets.
    agent.next([Answer::Refuse]);
    drop(far);
    let mut far = agent.accept().await;
    far.seqs(5).await;
    // What is under way to disk gets there.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    send_all(&client, 0..3);
    (client, agent, far)
}

#[test]
fn the_ledger_is_kept_up_to_date_in_metrics() {
    let seen = Seen::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    metrics::with_local_recorder(&seen, || {
        runtime.block_on(async {
            let troubled = [troubled(dirs[0].path()).await, troubled(dirs[1].path()).await];
            let ledgers: Vec<Ledger> = troubled.iter().map(|(client, ..)| ledger(client)).collect();
            for ledger in &ledgers {
                assert!(
                    ledger.pending > 0 && ledger.spilled > 0 && ledger.resent > 0,
                    "{ledger:?}"
                );
                assert!(ledger.refused.timed_out > 0 && ledger.refused.queue_full > 0);
            }
            assert_eq!(seen.all(), wanted(&ledgers), "two clients add up");

            // One ends, the other goes on.
            let mut ended = Vec::new();
            for (client, _agent, _far) in troubled {
                let limit = tokio::time::sleep(std::time::Duration::from_secs(1));
                ended.push(client.close_wait_until(limit).await.ledger);
                client.send(Plane::Data, record(0)).unwrap_err();
            }
            settle().await;
            for ledger in &mut ended {
                assert!(ledger.spilled > 0, "it is left there");
                ledger.refused.closed += 1;
                (ledger.pending, ledger.pending_bytes, ledger.spilled) = (0, 0, 0);
            }
            // With its last handle a client is gone from the gauges, and what it left on disk is
            // told by whoever opens the directory.
            assert_eq!(seen.all(), wanted(&ended));
            let settings = SpillSettings::new(dirs[0].path().join("spill"));
            let (transport, agent) = pipes(1_500);
            agent.always(Answer::Refuse);
            let builder = Client::builder(service(), transport);
            let next = start(builder.overflow(Overflow::Spill(settings)));
            let found = ledger(&next);
            assert!(found.recovered > 0 && found.spilled == found.recovered);
            ended.push(found);
            assert_eq!(seen.all(), wanted(&ended));
        });
    });
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
