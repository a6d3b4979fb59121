//! A process that forks: the sender stays with the parent.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use ev_audit::transport::MemoryTransport;
use ev_audit::{Client, Plane, Refused};

use crate::rig::{record, service};

/// The copy of the client in the fork refuses everything and blocks nowhere; the parent's goes on.
#[test]
fn a_fork_is_refused_and_the_parent_goes_on() {
    let (transport, audited) = MemoryTransport::new();
    let client = Client::builder(service(), transport).build().unwrap();
    client.send(Plane::Data, record(0)).unwrap();
    assert_eq!(audited.wait_for(1, Duration::from_secs(60)).len(), 1);

    let parent = std::process::id();
    let in_fork = client.clone();
    let first = record(1);
    let mut forked = Command::new("true");
    let check = move || {
        // Runs between fork and exec, in the child.
        let refused = in_fork.send_ref(Plane::Data, &first);
        let is_told = matches!(refused, Err(Refused::Forked { parent: of }) if of == parent);
        let nothing = in_fork.flush(Duration::from_secs(600)).is_empty()
            && in_fork.close(Duration::from_secs(600)).is_empty()
            && in_fork.ledger().accepted == 0;
        in_fork.reset();
        if is_told && nothing {
            Ok(())
        } else {
            Err(std::io::Error::from(std::io::ErrorKind::Other))
        }
    };
    #[expect(unsafe_code, reason = "the only way to run something in a fork")]
    // SAFETY: the closure takes no lock of the parent and opens nothing; it allocates nothing but
    // what an allocator that survives forks gives.
    unsafe {
        forked.pre_exec(check);
    }
    assert!(forked.status().unwrap().success());

    client.send(Plane::Data, record(2)).unwrap();
    assert_eq!(audited.wait_for(2, Duration::from_secs(60)).len(), 2);
    drop(forked);
    assert!(client.close(Duration::from_secs(60)).is_empty());
}
