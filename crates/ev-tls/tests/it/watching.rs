//! What is said of credentials that change, break, or come to their end.

use std::cell::Cell;
use std::fs;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};

use ev_tls::{ClientOptions, ClientTls, Clock, CredentialFiles, CredentialWatch, Error, News};

use crate::pki::{Ca, Leaf, NOW, VALID};

const DAY: i64 = 86_400;
/// 2027-01-01T00:00:00Z, when certificates that are valid now end.
const END: i64 = 1_798_761_600;

struct Rig {
    dir: tempfile::TempDir,
    now: Arc<AtomicI64>,
    tls: ClientTls,
    watch: CredentialWatch,
}

fn write(dir: &Path, ca: &Ca, leaf: &Leaf) -> CredentialFiles {
    for (name, content) in
        [("ca.pem", &ca.pem), ("client.pem", &leaf.certificate), ("client.key", &leaf.key)]
    {
        fs::write(dir.join(name), content).expect("a writable directory");
    }
    CredentialFiles {
        ca: Some(dir.join("ca.pem")),
        certificate: Some(dir.join("client.pem")),
        key: Some(dir.join("client.key")),
        passphrase: None,
    }
}

impl Rig {
    fn new(ca: &Ca, leaf: &Leaf) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let now = Arc::new(AtomicI64::new(NOW));
        let clock = Arc::clone(&now);
        let clock = Clock::new(move || clock.load(Ordering::SeqCst));
        let files = write(dir.path(), ca, leaf);
        let tls = ClientTls::new(files, ClientOptions::default(), clock).expect("good files");
        Self { dir, now, tls, watch: CredentialWatch::new("auth", "make new ones") }
    }

    fn look(&mut self) -> News {
        self.watch.take(self.tls.reload(), &self.tls)
    }

    /// Whether the certificate has expired, at that time.
    fn expired_at(&mut self, now: i64) -> bool {
        self.now.store(now, Ordering::SeqCst);
        self.watch.expiry(&self.tls)
    }
}

#[test]
fn trouble_is_news_once_and_until_it_is_over() {
    let ca = Ca::new("Test CA");
    let (first, second) = (ca.issue("first", VALID), ca.issue("second", VALID));
    let mut rig = Rig::new(&ca, &first);
    assert!(matches!(rig.look(), News::Same));
    let key = rig.dir.path().join("client.key");
    fs::write(&key, "nonsense").expect("ours");
    let error = rig.tls.reload().expect_err("no key");
    assert!(rig.watch.is_new(&error, &rig.tls));
    assert!(matches!(rig.look(), News::Bad(Error::NoKey { .. })));
    let error = rig.tls.reload().expect_err("no key");
    assert!(!rig.watch.is_new(&error, &rig.tls));
    assert!(matches!(rig.look(), News::StillBad));
    fs::write(&key, &second.key).expect("ours");
    assert!(matches!(rig.look(), News::Bad(Error::KeyMismatch { .. })));
    fs::write(&key, &first.key).expect("ours");
    assert!(matches!(rig.look(), News::GoodAgain));
    assert!(matches!(rig.look(), News::Same));
    write(rig.dir.path(), &ca, &second);
    let News::Taken(facts) = rig.look() else { panic!("others") };
    assert_eq!(facts[0].subject, "second");
    assert_eq!(facts, rig.tls.identity_facts());
}

/// The output of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn files_in_new_trouble_are_looked_at_again_before_they_are_judged() {
    let ca = Ca::new("Test CA");
    let (first, second) = (ca.issue("first", VALID), ca.issue("second", VALID));
    let mut rig = Rig::new(&ca, &first);
    let (certificate, key) = (rig.dir.path().join("client.pem"), rig.dir.path().join("client.key"));
    let settled = |rig: &Rig, in_between: &dyn Fn()| {
        let settles = Cell::new(0);
        let settle = || {
            settles.set(settles.get() + 1);
            in_between();
            ready(())
        };
        let read = at_once(rig.watch.settled(&rig.tls, || ready(rig.tls.reload()), settle));
        (read, settles.get())
    };
    assert!(matches!(settled(&rig, &|| ()), (Ok(false), 0)), "nothing is wrong");
    // The certificate is new, and its key is about to come.
    fs::write(&certificate, &second.certificate).expect("ours");
    let comes = || fs::write(&key, &second.key).expect("ours");
    assert!(matches!(settled(&rig, &comes), (Ok(true), 1)));
    // What stays wrong is waited for once.
    fs::write(&key, &first.key).expect("ours");
    let (read, settles) = settled(&rig, &|| ());
    assert!(matches!(read, Err(Error::KeyMismatch { .. })) && settles == 1);
    rig.watch.take(read, &rig.tls);
    assert!(matches!(settled(&rig, &|| ()), (Err(Error::KeyMismatch { .. }), 0)));
}

#[test]
fn the_end_of_what_is_in_use_is_no_trouble_with_the_files() {
    let ca = Ca::new("Test CA");
    let mut rig = Rig::new(&ca, &ca.issue("first", VALID));
    assert_eq!(rig.tls.identity_facts()[0].warn_from(), END - 30 * DAY);
    assert!(!rig.expired_at(END - DAY));
    assert!(!rig.expired_at(END));
    assert!(rig.expired_at(END + 1));
    assert!(rig.expired_at(END + 2));
    // The files hold the same.
    let error = rig.tls.reload().expect_err("expired");
    assert!(!rig.watch.is_new(&error, &rig.tls));
    assert!(matches!(rig.look(), News::StillBad));
    // Another one that has expired too is trouble.
    write(rig.dir.path(), &ca, &ca.issue("older", (2024, 2025)));
    let error = rig.tls.reload().expect_err("expired");
    assert!(rig.watch.is_new(&error, &rig.tls));
    assert!(matches!(rig.look(), News::Bad(Error::Expired { .. })));
    // And a good one ends it.
    write(rig.dir.path(), &ca, &ca.issue("next", (2026, 2028)));
    assert!(matches!(rig.look(), News::Taken(_)));
    assert!(!rig.watch.expiry(&rig.tls));
}
