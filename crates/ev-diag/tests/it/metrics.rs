//! The metrics as text.

use std::collections::BTreeMap;

use ev_diag::metrics::{self, Kind};
use ev_diag::{Certificate, Counters, Delivery, Sink, Snapshot, Times, TimesBucket, UnixTime};

fn snapshot() -> Snapshot {
    let bucket = |up_to_ms, count| TimesBucket { up_to_ms, count };
    let round_trips = Times {
        sum_seconds: 1.5,
        mean_ms: Some(3.0),
        buckets: vec![bucket(Some(1), 2), bucket(Some(250), 3), bucket(None, 1)],
    };
    let sink = Sink {
        name: "fluentd".to_owned(),
        lag_seconds: Some(7),
        newest_delivered: Some(UnixTime(1_790_000_000)),
        newest_session_delivered: Some(UnixTime(1_790_000_001)),
        position: Some(UnixTime(1_790_000_002)),
        counters: Counters { read: 10, delivered: 8, in_flight: 2, ..Counters::default() },
        parked: BTreeMap::from([("unknown".to_owned(), 3)]),
        delivery: Some(Delivery { requests: 4, round_trips, ..Delivery::default() }),
        ..Sink::default()
    };
    let certificate = |subject: &str, not_after| Certificate {
        subject: subject.to_owned(),
        not_after: UnixTime(not_after),
        warn_from: UnixTime(not_after / 2),
        ..Certificate::default()
    };
    let mut snapshot = Snapshot { sinks: vec![sink], ..Snapshot::default() };
    snapshot.version = "1.2.3".to_owned();
    snapshot.decoder.in_use = Some("exact: \"native\" 18.2.0\n".to_owned());
    snapshot.decoder.unknown.insert("new.event".to_owned(), 5);
    snapshot.auth.certificates = vec![certificate("bot", 30), certificate("bot", 20)];
    snapshot.auth.authority = Some(certificate("Teleport CA", 50));
    snapshot.locking = Some(ev_diag::Locking::default());
    snapshot
}

#[test]
fn the_text_is_that_of_openmetrics() {
    let text = metrics::openmetrics(snapshot());
    for line in [
        "# TYPE ev_build info",
        "ev_build_info{version=\"1.2.3\"} 1",
        "# TYPE ev_events_read counter",
        "ev_events_read_total{sink=\"fluentd\"} 10",
        "ev_events_in_flight{sink=\"fluentd\"} 2.0",
        "ev_lag_seconds{sink=\"fluentd\",stream=\"audit\"} 7.0",
        "ev_parked_events{sink=\"fluentd\",reason=\"unknown\"} 3.0",
        "ev_events_unknown_total{type=\"new.event\"} 5",
        // Of two with one name the first that ends.
        "ev_certificate_expiry_timestamp_seconds{for=\"auth\",subject=\"bot\"} 20.0",
        "ev_certificate_expiry_timestamp_seconds{for=\"auth ca\",subject=\"Teleport CA\"} 50.0",
        "ev_certificate_renewal_due_timestamp_seconds{for=\"auth\",subject=\"bot\"} 10.0",
        "ev_decoder_info{in_use=\"exact: \\\"native\\\" 18.2.0\\n\",signer=\"\"} 1",
        "# TYPE ev_round_trip_seconds histogram",
        "ev_round_trip_seconds_sum{sink=\"fluentd\"} 1.5",
        "ev_round_trip_seconds_count{sink=\"fluentd\"} 6",
        "ev_round_trip_seconds_bucket{le=\"0.25\",sink=\"fluentd\"} 5",
        "ev_round_trip_seconds_bucket{le=\"+Inf\",sink=\"fluentd\"} 6",
        "ev_auth_connected 0.0",
        "ev_artifacts_refused_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn every_metric_of_the_table_is_in_the_text_and_on_the_page() {
    let (text, page) = (metrics::openmetrics(snapshot()), metrics::document());
    for metric in metrics::all() {
        let name = metric.sample_name();
        let suffix = if metric.kind == Kind::Histogram { "_count" } else { "" };
        let starts = |line: &str| {
            line.strip_prefix(&*name)
                .and_then(|rest| rest.strip_prefix(suffix))
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        assert!(text.lines().any(starts), "`{name}` is not in\n{text}");
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn names_follow_the_rules() {
    let mut names = std::collections::BTreeSet::new();
    for metric in metrics::all() {
        assert!(metric.name.starts_with("ev_"), "{}", metric.name);
        assert!(names.insert(metric.name), "{} is there twice", metric.name);
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(metric.name.chars().all(is_plain), "{}", metric.name);
        assert!(!metric.name.ends_with("_total") && !metric.help.ends_with('.'), "{}", metric.name);
        // Base units only.
        for unit in ["_ms", "_millis", "_minutes", "_kb", "_mb"] {
            assert!(!metric.name.contains(unit), "{}", metric.name);
        }
    }
}
