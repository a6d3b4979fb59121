//! The list of versions.

use ev_core::{ArtifactSource, AuthVersion};

use crate::server::{Reply, Rig};

#[tokio::test]
async fn the_list_is_read() {
    let rig = Rig::new().await;
    rig.server.put("/ev/versions.json", r#"{"versions":["18.1.0","../x","18.2.0"]}"#);
    let versions = rig.source.versions().await.unwrap();
    assert_eq!(versions, Some(["18.1.0", "18.2.0"].map(AuthVersion::new).to_vec()));
}

#[tokio::test]
async fn without_a_list_nothing_can_be_told() {
    let rig = Rig::new().await;
    assert_eq!(rig.source.versions().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_list_is_an_error() {
    let rig = Rig::new().await;
    let check = async |reply: Reply, part: &str| {
        rig.server.reply("/ev/versions.json", reply);
        let error = rig.source.versions().await.unwrap_err().to_string();
        assert!(error.contains(&rig.url("/ev/versions.json")), "{error}");
        assert!(error.contains(part), "{error}");
    };
    check(Reply::status(200), "is no list of versions: expected value").await;
    check(Reply { body: vec![b' '; 65_537].into(), ..Reply::status(200) }, "larger than").await;
    check(Reply::status(500), "500 Internal Server Error; it is tried again").await;
}
