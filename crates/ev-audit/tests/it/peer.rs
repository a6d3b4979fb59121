//! Whose socket it is, over real sockets.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use ev_audit::transport::{
    CheckedUnixTransport, ConnectError, PeerRefused, PeerRules, Transport as _, UnixTransport,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

fn listen(path: &Path, mode: u32) -> UnixListener {
    let listener = UnixListener::bind(path).expect("a socket");
    set_permissions(path, Permissions::from_mode(mode)).expect("our file");
    listener
}

fn transport(path: &Path, rules: PeerRules) -> CheckedUnixTransport {
    CheckedUnixTransport::new(UnixTransport::at(path), rules)
}

fn reason(error: ConnectError) -> PeerRefused {
    let ConnectError::Retry { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied);
    let refused = source.get_ref().and_then(|cause| cause.downcast_ref::<PeerRefused>());
    refused.expect("it says why").clone()
}

fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

#[tokio::test]
async fn the_right_process_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = listen(&path, 0o660);
    let (uid, gid) = ids();
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    for (path, rules) in [
        (&path, PeerRules::new()),
        (&path, PeerRules::new().user(uid).group(gid).owner(uid).mode(0o660)),
        (&path, PeerRules::new().user(uid + 1).user(uid).mode(0o777)),
        (&link, PeerRules::new().owner(uid).mode(0o660)),
    ] {
        let mut stream = transport(path, rules).connect().await.expect("it is the agent").stream;
        stream.write_all(b"a frame").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        listener.accept().await.unwrap().0.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"a frame");
    }
}

#[tokio::test]
async fn another_process_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = listen(&path, 0o666);
    let (uid, gid) = ids();
    for (rules, expected) in [
        (
            PeerRules::new().user(uid + 1).user(uid + 2),
            PeerRefused::User { found: uid, allowed: vec![uid + 1, uid + 2] },
        ),
        (
            PeerRules::new().user(uid).group(gid + 1),
            PeerRefused::Group { found: gid, allowed: vec![gid + 1] },
        ),
    ] {
        let error = transport(&path, rules).connect().await.expect_err("it is another one");
        assert_eq!(reason(error), expected);
        let mut bytes = Vec::new();
        listener.accept().await.unwrap().0.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"", "the connection is closed, and nothing was written");
    }
}

#[tokio::test]
async fn a_path_of_another_owner_or_open_to_all_is_not_even_connected_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = listen(&path, 0o666);
    let (uid, _) = ids();
    for (rules, expected) in [
        (
            PeerRules::new().owner(uid + 1),
            PeerRefused::Owner { found: uid, allowed: vec![uid + 1] },
        ),
        (
            PeerRules::new().owner(uid).mode(0o660),
            PeerRefused::Mode { found: 0o666, allowed: 0o660 },
        ),
    ] {
        let error = transport(&path, rules).connect().await.expect_err("it is another one");
        assert_eq!(reason(error), expected);
    }
    // The first connection that waits at the listener is this one.
    let mut stream = transport(&path, PeerRules::new()).connect().await.unwrap().stream;
    stream.write_all(b"first").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    listener.accept().await.unwrap().0.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"first");
}

#[tokio::test]
async fn what_is_no_socket_is_refused_and_what_is_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let rules = PeerRules::new().mode(0o777);
    let error = transport(&path, rules.clone()).connect().await.expect_err("it is not there");
    let ConnectError::Retry { peer, source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(peer, path.display().to_string());
    std::fs::write(&path, "").unwrap();
    let error = transport(&path, rules).connect().await.expect_err("it is a file");
    assert_eq!(reason(error), PeerRefused::NoSocket);
}
