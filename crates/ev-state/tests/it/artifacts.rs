//! Decoder artifacts, looked at beside the handler that keeps them.

use bytes::Bytes;
use ev_core::{AuthVersion, SignedArtifact, StateStore};
use ev_state::{SqliteStore, StateReader};

#[test]
fn those_that_are_kept_are_listed_by_their_versions() {
    let storage = tempfile::tempdir().expect("a folder for files");
    let store = SqliteStore::open(storage.path()).expect("a new state");
    let read = || {
        let reader = StateReader::open(storage.path()).expect("a state");
        reader.artifacts().expect("they can be read")
    };
    assert_eq!(read(), []);
    let artifact = |text: &'static str| SignedArtifact {
        envelope: Bytes::from_static(b"{}"),
        payload: Bytes::from_static(text.as_bytes()),
    };
    for (version, text) in [("18.1.0", "b"), ("15.0.0", "old"), ("15.0.0", "a")] {
        store.put_artifact(&AuthVersion::new(version), &artifact(text)).expect("it is kept");
    }
    let expected = [("15.0.0", "a"), ("18.1.0", "b")];
    assert_eq!(read(), expected.map(|(version, text)| (AuthVersion::new(version), artifact(text))));
}
