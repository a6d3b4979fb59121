//! What is found out about a receiver.

use std::time::Duration;

use ev_core::Framing;
use ev_core::testing::ManualEnv;
use ev_sink_fluentd::{Config, Examination, Family, FluentdSink, Gzip, Topic, Trouble, Weight};
use ev_test_support::certs::{ClientFolder, Validity};
use ev_test_support::{
    FailRule, FakeFluentd, FluentdConfig, FluentdVersion, TlsVersions, loopback,
};
use ev_tls::CredentialFiles;
use tokio::join;

use crate::raw::Stage;
use crate::tls::{config, files, strict};

fn receiver() -> FakeFluentd {
    FakeFluentd::start(loopback().expect("a free port"), FluentdConfig::default())
        .expect("a receiver")
}

fn sink(receiver: &FakeFluentd, change: impl FnOnce(&mut Config)) -> FluentdSink {
    let mut config = Config::new(receiver.url("test.log"), receiver.url("session"));
    change(&mut config);
    FluentdSink::new(config, ManualEnv::new()).expect("good settings")
}

/// The weight and the words of the only finding about a topic.
#[track_caller]
fn only(report: &Examination, topic: Topic) -> (Weight, &str) {
    let mut about = report.about(topic);
    let finding = about.next().unwrap_or_else(|| panic!("nothing about {topic}: {report:#?}"));
    assert!(about.next().is_none(), "{topic}: {report:#?}");
    (finding.weight, &finding.text)
}

#[tokio::test]
async fn versions_are_told_apart_and_nothing_is_stored() {
    for (version, family, weight) in [
        (FluentdVersion::V1_12, Family::V112, Weight::Note),
        (FluentdVersion::V1_16, Family::V113To116, Weight::Good),
        (FluentdVersion::V1_19, Family::From117, Weight::Warning),
    ] {
        for framing in [Framing::Array, Framing::Single] {
            let receiver = receiver();
            receiver.set(|switches| switches.version = version);
            let report = sink(&receiver, |config| config.framing = framing).examine(false).await;
            assert_eq!(report.family, family, "{report:#?}");
            assert_eq!(only(&report, Topic::Version).0, weight);
            assert_eq!(only(&report, Topic::Presence).0, Weight::Good);
            assert_eq!(only(&report, Topic::Recordings).0, Weight::Good);
            assert!(report.worst() <= Weight::Warning, "{report:#?}");
            assert_eq!(report.about(Topic::CannotBeTold).count(), 6);
            assert!(report.event_uid.is_none());
            let tally = receiver.tally();
            assert_eq!((tally.events, tally.refused_bodies, tally.dropped_requests), (0, 0, 0));
            let arrays = if framing == Framing::Array { 2 } else { 0 };
            assert_eq!((tally.requests, tally.arrays), (arrays, arrays), "in single mode no body");
        }
    }
}

#[tokio::test]
async fn a_missing_parser_is_found_before_events_are_refused() {
    for version in [FluentdVersion::V1_12, FluentdVersion::V1_16, FluentdVersion::V1_19] {
        let receiver = receiver();
        receiver.set(|switches| (switches.version, switches.parse) = (version, false));
        let report = sink(&receiver, |_| {}).examine(true).await;
        let (weight, text) = only(&report, Topic::Parsing);
        assert_eq!(weight, Weight::Problem);
        assert!(text.contains("no `<parse>` section"), "{text}");
        assert_eq!(report.family, Family::Unknown, "without a parser all answer alike");
        // The marked event has a time in words and is refused, as others would be.
        let (weight, text) = only(&report, Topic::Event);
        assert_eq!(weight, Weight::Problem);
        assert!(text.contains("can't convert String into an exact number"), "{text}");
        assert_eq!(receiver.tally().events, 0);
    }
}

#[tokio::test]
async fn a_marked_event_goes_out_only_when_asked_for() {
    for (framing, gzip) in [(Framing::Array, Gzip::Always), (Framing::Single, Gzip::Off)] {
        let receiver = receiver();
        let sink = sink(&receiver, |config| (config.framing, config.gzip) = (framing, gzip));
        assert!(sink.examine(false).await.event_uid.is_none());
        assert_eq!(receiver.tally().events, 0);
        let report = sink.examine(true).await;
        let uid = report.event_uid.clone().expect("sent");
        let (weight, text) = only(&report, Topic::Event);
        assert_eq!(weight, Weight::Good);
        assert!(text.contains(&uid) && text.contains("only at the receiver's output"), "{text}");
        let [event] = &receiver.received()[..] else { panic!("one event") };
        let event = std::str::from_utf8(&event.body).expect("text");
        assert!(event.contains(&format!(r#""event":"ev.probe","uid":"{uid}""#)), "{event}");
        assert!(event.contains(r#""time":"2026-06-01T00:00:00Z""#), "{event}");
        let tally = receiver.tally();
        assert_eq!(tally.compressed > 0, gzip == Gzip::Always);
        if gzip == Gzip::Always {
            assert_eq!(only(&report, Topic::Gzip).0, Weight::Good);
        }
        assert_eq!(sink.stats().requests, 0, "an examination is no delivery");
    }
}

#[tokio::test]
async fn what_success_is_worth() {
    for (version, weight) in
        [(FluentdVersion::V1_16, Weight::Good), (FluentdVersion::V1_19, Weight::Warning)]
    {
        let receiver = receiver();
        receiver.set(|switches| switches.version = version);
        let report = sink(&receiver, |_| {}).examine(true).await;
        assert_eq!(only(&report, Topic::Storage).0, weight, "{report:#?}");
        // A tag that nobody matches looks the same from here, and that is said.
        receiver.set(|switches| switches.unmatched = "test".to_owned());
        let unmatched = sink(&receiver, |_| {}).examine(true).await;
        assert_eq!(only(&unmatched, Topic::Event).0, Weight::Good);
        assert_eq!(receiver.tally().events, 1, "only that of the first");
        assert!(unmatched.about(Topic::CannotBeTold).any(|f| f.text.contains("`<match>`")));
    }
}

#[tokio::test]
async fn refusals_are_problems_and_a_full_receiver_is_none() {
    let check = async |status, arrays, event| {
        let receiver = receiver();
        receiver.set(|switches| {
            switches.fail = vec![FailRule { status, ..FailRule::default() }];
        });
        let report = sink(&receiver, |config| config.gzip = Gzip::Always).examine(true).await;
        assert_eq!(only(&report, Topic::Arrays).0, arrays, "{report:#?}");
        assert_eq!(only(&report, Topic::Event).0, event, "{report:#?}");
        assert_eq!(report.about(Topic::Gzip).count(), 0, "not asked after a refusal");
    };
    check(400, Weight::Problem, Weight::Problem).await;
    check(403, Weight::Problem, Weight::Problem).await;
    check(500, Weight::Problem, Weight::Problem).await;
    check(503, Weight::Problem, Weight::Problem).await;
    // One that has no room for an event takes what needs none.
    let full = receiver();
    full.set(|switches| {
        let containing = "ev.probe".to_owned();
        switches.fail = vec![FailRule { status: 503, containing, ..FailRule::default() }];
    });
    let report = sink(&full, |_| {}).examine(true).await;
    assert_eq!(only(&report, Topic::Arrays).0, Weight::Good, "{report:#?}");
    assert_eq!(only(&report, Topic::Event).0, Weight::Warning, "{report:#?}");
}

#[tokio::test]
async fn who_takes_nothing_at_all_is_a_problem() {
    for (status, weight) in [(503, Weight::Problem), (500, Weight::Problem), (405, Weight::Note)] {
        let stage = Stage::new(Framing::Array).await;
        let (report, ()) = join!(stage.sink.examine(false), async {
            for status in [status, 503, status] {
                let mut peer = stage.accept().await;
                peer.request().await;
                let head = format!("HTTP/1.1 {status} Why\r\nServer: nginx\r\n");
                peer.write(&format!("{head}Content-Length: 0\r\n\r\n")).await;
            }
        });
        assert_eq!(only(&report, Topic::Presence).0, weight, "{report:#?}");
        assert_eq!(only(&report, Topic::Recordings).0, weight, "{report:#?}");
        let finding = report.about(Topic::Arrays).next().expect("one");
        assert_eq!((finding.weight, finding.trouble), (Weight::Problem, Trouble::Busy));
    }
}

#[tokio::test]
async fn tls_shows_version_and_certificate() {
    let pki = ClientFolder::new();
    for (versions, name) in [(TlsVersions::Only12, "TLS 1.2"), (TlsVersions::Both, "TLS 1.3")] {
        let receiver = strict(&pki, versions, Validity::Long);
        let config = config(&receiver, files(&pki));
        let sink = FluentdSink::new(config, ManualEnv::new()).expect("good settings");
        let report = sink.examine(false).await;
        let facts = report.tls.as_ref().expect("TLS");
        assert_eq!(facts.version, name);
        assert_eq!(facts.chain[0].issuer, "Test CA");
        let (weight, text) = only(&report, Topic::Tls);
        assert_eq!(weight, Weight::Good);
        assert!(text.starts_with(&format!("{name}, certificate `")), "{text}");
        assert_eq!(report.family, Family::V113To116);
        assert_eq!(receiver.tally().events, 0);
    }
}

#[tokio::test]
async fn a_plain_receiver_is_warned_of() {
    let receiver = receiver();
    let report = sink(&receiver, |_| {}).examine(false).await;
    let (weight, text) = only(&report, Topic::Tls);
    assert_eq!(weight, Weight::Warning);
    assert!(text.starts_with("no TLS"), "{text}");
    assert!(report.tls.is_none());
}

#[tokio::test]
async fn who_cannot_be_reached_is_asked_nothing_more() {
    let pki = ClientFolder::new();
    let receiver = strict(&pki, TlsVersions::Only12, Validity::Expired);
    let expired = FluentdSink::new(config(&receiver, files(&pki)), ManualEnv::new());
    let report = expired.expect("good settings").examine(true).await;
    let (weight, text) = only(&report, Topic::Connection);
    assert_eq!(weight, Weight::Problem);
    assert!(text.contains("certificate of the server expired"), "{text}");
    assert_eq!(report.about(Topic::Version).count() + report.about(Topic::Event).count(), 0);

    let receiver = strict(&pki, TlsVersions::Only12, Validity::Long);
    let files = CredentialFiles { certificate: None, key: None, ..files(&pki) };
    let nobody = FluentdSink::new(config(&receiver, files), ManualEnv::new());
    let report = nobody.expect("good settings").examine(true).await;
    let (_, text) = only(&report, Topic::Connection);
    assert!(text.contains("demands a client certificate"), "{text}");
}

#[tokio::test]
async fn a_frozen_receiver_ends_the_questions() {
    let receiver = receiver();
    receiver.set(|switches| switches.frozen = true);
    let env = ManualEnv::new();
    let config = Config::new(receiver.url("test.log"), receiver.url("session"));
    let sink = FluentdSink::new(config, env.clone()).expect("good settings");
    let (report, ()) = join!(sink.examine(true), async {
        // For the connection, for the request, and now for the answer.
        env.slept(3).await;
        env.advance(Duration::from_secs(30));
    });
    assert_eq!(report.worst(), Weight::Problem);
    let texts: Vec<_> = report.about(Topic::Connection).map(|finding| &*finding.text).collect();
    assert!(
        texts.last().expect("one").ends_with("did not answer a GET: no answer within 30s"),
        "{texts:?}"
    );
    assert_eq!(report.about(Topic::Event).count(), 0);
}

#[tokio::test]
async fn another_receiver_is_not_taken_for_fluentd() {
    let stage = Stage::new(Framing::Array).await;
    let (report, heads) = join!(stage.sink.examine(false), async {
        let mut heads = Vec::new();
        for status in ["405 Method Not Allowed", "204 No Content", "405 Method Not Allowed"] {
            let mut peer = stage.accept().await;
            heads.push(peer.request().await.0.lines().next().expect("a line").to_owned());
            let head = format!("HTTP/1.1 {status}\r\nServer: nginx\r\n");
            peer.write(&format!("{head}Content-Length: 0\r\n\r\n")).await;
        }
        heads
    });
    assert_eq!(heads[0], "GET /test.log HTTP/1.1");
    assert_eq!(heads[1], "POST /test.log HTTP/1.1");
    assert_eq!(heads[2], "GET /session.ev-probe.log HTTP/1.1");
    assert_eq!(report.family, Family::Unknown);
    assert!(report.about(Topic::Version).any(|finding| finding.text.contains("`nginx`")));
    assert_eq!(only(&report, Topic::Presence).0, Weight::Note);
    assert_eq!(only(&report, Topic::Arrays).0, Weight::Good);
    assert_eq!(report.about(Topic::Parsing).count(), 0);
}

#[tokio::test]
async fn certificates_that_end_soon_are_spoken_of() {
    let pki = ClientFolder::new();
    let receiver = strict(&pki, TlsVersions::Only12, Validity::Long);
    let env = ManualEnv::new();
    let sink = FluentdSink::new(config(&receiver, files(&pki)), env.clone());
    let sink = sink.expect("good settings");
    // Both sides' certificates end at the same time; go to ten days before that.
    let end = sink.identity_facts()[0].not_after - ManualEnv::START.seconds();
    env.advance(Duration::from_secs(u64::try_from(end).expect("the future") - 10 * 24 * 3600));
    let report = sink.examine(false).await;
    let texts: Vec<_> = report.about(Topic::Tls).map(|finding| &*finding.text).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].starts_with("TLS 1.2, certificate `"), "{texts:?}");
    assert!(texts[1].starts_with("our certificate `"), "{texts:?}");
    let troubles: Vec<_> = report.about(Topic::Tls).map(|finding| finding.trouble).collect();
    assert_eq!(troubles, [Trouble::ItsCertificate, Trouble::OurCertificate]);
    for finding in report.about(Topic::Tls) {
        assert_eq!(finding.weight, Weight::Warning);
        assert!(
            finding.text.contains("valid until 409") && finding.text.ends_with("which is soon")
        );
    }
}
