//! Shared keys, users, and certificates.

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Route, Sink, Verdict};
use ev_sink_forward::{CertificateWatch, Config, Error, ForwardSink, Login, Secret};
use ev_test_support::certs::{Authority, ClientFolder};
use ev_test_support::{FakeForward, ForwardConfig, TlsVersions};
use ev_tls::{CredentialFiles, News};
use std::sync::Arc;
use std::time::Duration;
use tokio::join;

use crate::rig::{Rig, config, files, receiver, strict};

fn keyed(users: &[(&str, &str)]) -> ForwardConfig {
    ForwardConfig {
        shared_key: Some("key".to_owned()),
        users: users.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        ..ForwardConfig::default()
    }
}

async fn send(receiver: &FakeForward, change: impl FnOnce(&mut Config)) -> Verdict {
    let mut config = config(receiver);
    change(&mut config);
    let sink = ForwardSink::new(config, ManualEnv::new()).expect("good settings");
    sink.send(batch(1, Route::Audit, &["{}"])).await.1
}

fn key(key: &str) -> Option<Secret> {
    Some(Secret::new(key))
}

fn login(user: &str, password: &str) -> Option<Login> {
    Some(Login { user: user.to_owned(), password: Secret::new(password) })
}

#[track_caller]
fn refused(verdict: Verdict, part: &str) {
    let Verdict::Refused { detail } = verdict else { panic!("{verdict:?}") };
    assert!(detail.contains(part), "{detail}");
}

#[tokio::test]
async fn both_sides_show_that_they_know_the_key() {
    let receiver = receiver(keyed(&[]));
    assert_eq!(send(&receiver, |config| config.shared_key = key("key")).await, Verdict::Delivered);
    let wrong = send(&receiver, |config| config.shared_key = key("other")).await;
    refused(wrong, "shared_key mismatch");
    refused(send(&receiver, |_| ()).await, "asks for a shared key");
    let tally = receiver.tally();
    assert_eq!((tally.greeted, tally.refused, tally.events), (1, 2, 1));
}

#[tokio::test]
async fn a_receiver_that_does_not_know_the_key_gets_nothing() {
    let impostor = ForwardConfig { answers_with_key: Some("guess".to_owned()), ..keyed(&[]) };
    let receiver = receiver(impostor);
    let verdict = send(&receiver, |config| config.shared_key = key("key")).await;
    refused(verdict, "does not know the shared key");
    assert_eq!(receiver.tally().events, 0);
}

#[tokio::test]
async fn a_receiver_that_sends_our_own_digest_back_gets_nothing() {
    let receiver = receiver(ForwardConfig { mirrors: true, ..keyed(&[]) });
    let verdict = send(&receiver, |config| config.shared_key = key("key")).await;
    refused(verdict, "our own name");
    assert_eq!(receiver.tally().events, 0);
}

#[tokio::test]
async fn a_receiver_without_a_handshake_is_told_from_one_with() {
    let rig = Rig::with(|config| config.shared_key = key("key"));
    let (verdict, ()) = join!(rig.send(&["{}"]), async {
        // Connecting, then waiting for the HELO.
        rig.env.slept(3).await;
        rig.env.advance(Duration::from_secs(5));
    });
    let Verdict::Unreachable { detail } = verdict else { panic!("{verdict:?}") };
    assert!(detail.contains("`<security>`"), "{detail}");
}

#[tokio::test]
async fn users_are_asked_for_their_password() {
    let receiver = receiver(keyed(&[("name", "word")]));
    let with = |user: Option<Login>| {
        send(&receiver, |config| {
            config.shared_key = key("key");
            config.login = user;
        })
    };
    assert_eq!(with(login("name", "word")).await, Verdict::Delivered);
    refused(with(login("name", "other")).await, "username/password mismatch");
    refused(with(None).await, "username/password mismatch");
}

#[tokio::test]
async fn mutual_tls_with_either_version() {
    let pki = ClientFolder::new();
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        let receiver = strict(&pki, versions, keyed(&[]));
        let verdict = send(&receiver, |config| {
            config.tls = files(&pki);
            config.shared_key = key("key");
        });
        assert_eq!(verdict.await, Verdict::Delivered, "{versions:?}");
    }
}

#[tokio::test]
async fn a_receiver_of_another_ca_gets_nothing() {
    let pki = ClientFolder::new();
    let receiver = strict(&pki, TlsVersions::Both, ForwardConfig::default());
    pki.write("ca.pem", Authority::new("Other CA").expect("a CA").cert_pem());
    let verdict = send(&receiver, |config| config.tls = files(&pki)).await;
    let Verdict::Unreachable { detail } = verdict else { panic!("{verdict:?}") };
    assert!(detail.contains("TLS handshake failed"), "{detail}");
    assert_eq!(receiver.tally().events, 0);
}

#[tokio::test]
async fn a_new_certificate_is_taken_while_the_sink_is_in_use() {
    let pki = ClientFolder::new();
    let receiver = strict(&pki, TlsVersions::Both, ForwardConfig::default());
    let mut config = config(&receiver);
    config.tls = files(&pki);
    let sink = Arc::new(ForwardSink::new(config, ManualEnv::new()).expect("good settings"));
    let mut watch = CertificateWatch::new(sink.clone());
    let send = async || sink.send(batch(1, Route::Audit, &["{}"])).await.1;
    assert_eq!(send().await, Verdict::Delivered);
    assert!(matches!(watch.check().await, News::Same));
    pki.renew();
    assert!(matches!(watch.check().await, News::Taken(_)));
    assert_eq!(send().await, Verdict::Delivered);
    assert_eq!(receiver.tally().connections, 2, "the idle connection showed the old one");
    assert_eq!(sink.stats().certificate_reloads, 1);
}

#[tokio::test]
async fn a_probe_goes_through_the_handshake() {
    let receiver = receiver(keyed(&[]));
    let probe = async |shared_key| {
        let mut config = config(&receiver);
        config.shared_key = shared_key;
        let sink = ForwardSink::new(config, ManualEnv::new()).expect("good settings");
        sink.probe().await.map_err(|error| error.to_string())
    };
    assert_eq!(probe(key("key")).await, Ok(()));
    let error = probe(key("other")).await.expect_err("refused");
    assert!(error.contains("shared_key mismatch"), "{error}");
    receiver.stop().await;
    assert!(probe(key("key")).await.is_err());
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let error = |change: fn(&mut Config)| {
        let mut config = Config::new("tcp://localhost", "t", "s");
        change(&mut config);
        ForwardSink::new(config, ManualEnv::new()).expect_err("bad settings")
    };
    let error_of = |change| error(change).to_string();
    assert!(matches!(error(|config| config.shared_key = key("")), Error::EmptySharedKey));
    let alone = error(|config| config.login = login("a", "b"));
    assert!(matches!(alone, Error::UserWithoutSharedKey));
    assert!(error_of(|config| config.max_events = 0).contains("`batch-events`"));
    assert!(error_of(|config| config.max_bytes = 0).contains("`batch-bytes`"));
    assert!(error_of(|config| config.max_connections = 0).contains("`max-connections`"));
    assert!(error_of(|config| config.tag.clear()).contains("`tag`"));
    let missing = error(|config| {
        config.url = "tls://localhost".to_owned();
        config.tls = CredentialFiles { ca: Some("/nowhere".into()), ..CredentialFiles::default() };
    });
    assert!(matches!(missing, Error::Tls(_)));
}

#[test]
fn secrets_are_not_printed() {
    let mut config = Config::new("tcp://localhost", "t", "s");
    config.shared_key = key("hidden-key");
    config.login = login("user", "hidden-word");
    let sink = ForwardSink::new(config.clone(), ManualEnv::new()).expect("good settings");
    for text in [format!("{config:?}"), format!("{sink:?}")] {
        assert!(!text.contains("hidden"), "{text}");
    }
}
