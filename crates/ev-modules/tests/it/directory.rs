//! The directory, as a server answers from it and as a source of one's own.

use std::fs;
use std::path::Path;

use ev_core::{ArtifactKind, ArtifactRequest, ArtifactSource, FetchedArtifact};
use ev_modules::{
    Directory, DirectorySource, Manifest, ServeError, SigningKey, envelope_name, file_name, sha256,
};

use crate::log::captured;
use crate::support::{manifest, version};

fn put(base: &Path, key: &SigningKey, kind: ArtifactKind, abi: u32, payload: &[u8]) {
    let dir = base.join("18.1.0");
    fs::create_dir_all(&dir).unwrap();
    let manifest = Manifest { kind, abi, ..manifest(key, payload) };
    let name = file_name(kind, abi);
    fs::write(dir.join(&name), payload).unwrap();
    fs::write(dir.join(envelope_name(&name)), key.sign(&manifest)).unwrap();
}

fn request() -> ArtifactRequest {
    ArtifactRequest {
        auth_version: version("18.1.0"),
        kinds: vec![ArtifactKind::Table, ArtifactKind::Module],
        module_abis: vec![1],
        table_formats: vec![1, 2],
        held_sha256: None,
        max_bytes: 100,
    }
}

fn payload(answer: FetchedArtifact) -> Vec<u8> {
    match answer {
        FetchedArtifact::Artifact(artifact) => artifact.payload.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_in_the_order_of_the_request() {
    let base = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let directory = Directory::new(base.path(), 100);
    assert!(matches!(directory.answer(&request()), Ok(FetchedArtifact::NotOffered)));

    put(base.path(), &key, ArtifactKind::Module, 1, b"module");
    assert_eq!(payload(directory.answer(&request()).unwrap()), b"module");
    put(base.path(), &key, ArtifactKind::Table, 1, b"table 1");
    assert_eq!(payload(directory.answer(&request()).unwrap()), b"table 1");
    put(base.path(), &key, ArtifactKind::Table, 2, b"table 2");
    assert_eq!(payload(directory.answer(&request()).unwrap()), b"table 2", "the newest format");
    put(base.path(), &key, ArtifactKind::Table, 3, b"table 3");
    assert_eq!(payload(directory.answer(&request()).unwrap()), b"table 2", "nobody reads 3");

    let modules = ArtifactRequest { kinds: vec![ArtifactKind::Module], ..request() };
    assert_eq!(payload(directory.answer(&modules).unwrap()), b"module");
    let other = ArtifactRequest { module_abis: vec![2], ..modules };
    assert!(matches!(directory.answer(&other), Ok(FetchedArtifact::NotOffered)));
    let elsewhere = ArtifactRequest { auth_version: version("18.1.1"), ..request() };
    assert!(matches!(directory.answer(&elsewhere), Ok(FetchedArtifact::NotOffered)));
}

#[test]
fn what_is_held_is_not_sent_again() {
    let base = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    put(base.path(), &key, ArtifactKind::Table, 1, b"table");
    let directory = Directory::new(base.path(), 100);
    let held = ArtifactRequest { held_sha256: Some(sha256(b"table")), ..request() };
    assert!(matches!(directory.answer(&held), Ok(FetchedArtifact::NotModified)));
    put(base.path(), &key, ArtifactKind::Table, 1, b"other");
    assert_eq!(payload(directory.answer(&held).unwrap()), b"other");
}

#[test]
fn a_version_never_leads_out_of_the_base() {
    let outside = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    put(outside.path(), &key, ArtifactKind::Table, 1, b"secret");
    let base = outside.path().join("base");
    fs::create_dir(&base).unwrap();
    let directory = Directory::new(&base, 100);
    let absolute = outside.path().join("18.1.0").display().to_string();
    for odd in ["../18.1.0", "./../18.1.0", &absolute, "..", "", "\0"] {
        let request = ArtifactRequest { auth_version: version(odd), ..request() };
        assert!(matches!(directory.answer(&request), Ok(FetchedArtifact::NotOffered)), "{odd}");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let base = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let nowhere = Directory::new(base.path().join("missing"), 100);
    assert!(matches!(nowhere.answer(&request()), Err(ServeError::NoDirectory { .. })));

    put(base.path(), &key, ArtifactKind::Table, 1, &[0; 101]);
    let table = base.path().join("18.1.0/table-v1.evt");
    let directory = Directory::new(base.path(), 1000);
    let error = directory.answer(&request()).unwrap_err();
    assert!(matches!(&error, ServeError::TooLarge { max: 100, .. }), "the asker's limit: {error}");
    assert!(error.to_string().contains("table-v1.evt"));
    let directory = Directory::new(base.path(), 10);
    assert!(matches!(directory.answer(&request()), Err(ServeError::TooLarge { max: 10, .. })));

    fs::remove_file(&table).unwrap();
    assert!(matches!(directory.answer(&request()), Err(ServeError::Unpaired { .. })));
    put(base.path(), &key, ArtifactKind::Table, 1, b"table");
    fs::remove_file(base.path().join("18.1.0/table-v1.evt.dsse.json")).unwrap();
    assert!(matches!(directory.answer(&request()), Err(ServeError::Unpaired { .. })));
    fs::create_dir(base.path().join("18.1.0/table-v1.evt.dsse.json")).unwrap();
    assert!(matches!(directory.answer(&request()), Err(ServeError::Io { .. })));
}

#[tokio::test]
async fn the_source_answers_as_the_server_does() {
    let base = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    put(base.path(), &key, ArtifactKind::Table, 1, b"table");
    let source = DirectorySource::new(Directory::new(base.path(), 100));
    assert!(source.name().starts_with("directory /"));
    let envelope = source.envelope(request()).await.unwrap().unwrap();
    match source.fetch(request()).await.unwrap() {
        FetchedArtifact::Artifact(artifact) => {
            assert_eq!(artifact.payload, "table");
            assert_eq!(artifact.envelope, envelope);
        }
        other => panic!("{other:?}"),
    }
    fs::remove_file(base.path().join("18.1.0/table-v1.evt")).unwrap();
    let error = source.fetch(request()).await.unwrap_err();
    assert!(error.to_string().contains("table-v1.evt"), "{error}");
    assert!(error.to_string().contains(&base.path().display().to_string()), "{error}");
}

#[test]
fn a_pipe_is_told_and_not_waited_for() {
    let base = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    put(base.path(), &key, ArtifactKind::Table, 1, b"table");
    let table = base.path().join("18.1.0/table-v1.evt");
    fs::remove_file(&table).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&table).status().unwrap();
    assert!(made.success());
    let error = Directory::new(base.path(), 100).answer(&request()).unwrap_err();
    let ServeError::Io { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "not a plain file");
}

#[tokio::test]
async fn names_that_were_not_looked_at_are_told_once() {
    let base = tempfile::tempdir().unwrap();
    for number in 0..10_003 {
        fs::write(base.path().join(number.to_string()), b"").unwrap();
    }
    let source = DirectorySource::new(Directory::new(base.path(), 100));
    let lines = captured(async {
        for _ in 0..3 {
            assert_eq!(source.versions().await.unwrap(), Some(Vec::new()));
        }
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("some were not looked at"), "{lines:?}");
    assert!(lines[0].contains(" left_out=3 limit=10000"), "{lines:?}");
}
