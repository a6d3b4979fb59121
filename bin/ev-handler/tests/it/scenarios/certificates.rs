//! TLS as receivers have it: only 1.2, and certificates that run out.

use ev_test_support::certs::Validity;
use ev_test_support::{TlsVersions, client_config, server_config};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_with_tls_1_2_only_gets_everything() {
    let scene = Scene::new(70, 1000);
    let Scene { stage, .. } = &scene;
    let handshake = async |versions| {
        let client = stage.fluentd_ca.issue_fluentd_client(Validity::Long).unwrap();
        let config =
            client_config(Some(&client), &[stage.fluentd_ca.cert_der()], versions, &[]).unwrap();
        let stream = TcpStream::connect(stage.fluentd.addr()).await.unwrap();
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(config).connect(name, stream).await
    };
    assert!(handshake(TlsVersions::Only13).await.is_err(), "it speaks 1.3");
    handshake(TlsVersions::Only12).await.unwrap();
    let refused = stage.fluentd.tally().handshakes_failed;

    let program = scene.start();
    scene.received(300).await;
    // New connections take up the session of the old ones.
    stage.fluentd.drop_connections().await;
    let tally = scene.received_all().await;
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert_eq!(tally.handshakes_failed, refused, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_whose_certificate_expires_gets_nothing_until_it_has_a_new_one() {
    let mut scene = Scene::new(71, 500);
    let shows = |scene: &Scene, validity| {
        let Scene { stage, .. } = scene;
        let server = stage.fluentd_ca.issue_fluentd_server(validity).unwrap();
        let clients = [stage.fluentd_ca.cert_der()];
        let tls = server_config(&server, &clients, TlsVersions::Both, &[]).unwrap();
        stage.fluentd.set_tls(tls);
    };
    let program = scene.start();
    let before = scene.received_all().await;

    scene.stage.fluentd.stop().await;
    shows(&scene, Validity::Expired);
    scene.stage.fluentd.start_again().await.unwrap();
    scene.go_on(200);
    program.says("WARN", &["delivery failed", "unreachable", "expired", "2002-01-01"], 1).await;
    let tally =
        scene.until("more attempts", |tally| tally.connections >= before.connections + 3).await;
    assert_eq!(tally.events, before.events, "it gets nothing");

    scene.stage.fluentd.stop().await;
    shows(&scene, Validity::Long);
    scene.stage.fluentd.start_again().await.unwrap();
    scene.received_all().await;
    let ending = program.terminate().await;
    scene.all_is_delivered(&ending);
    assert_eq!((scene.repeated(), ending.count("possible_duplicates")), (0, 0));
    assert_eq!(ending.said("INFO", &["delivery works again"]), 1, "{:#?}", ending.log);
}
