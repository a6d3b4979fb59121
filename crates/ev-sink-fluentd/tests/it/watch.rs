//! Certificates that are replaced while the sink is in use.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ev_core::testing::ManualEnv;
use ev_core::testing::sink::batch;
use ev_core::{Route, Sink, Verdict};
use ev_sink_fluentd::{CertificateWatch, FluentdSink};
use ev_test_support::certs::{Authority, ClientFolder, Leaf, Validity};
use ev_test_support::{FakeFluentd, TlsVersions};
use ev_tls::{CredentialFiles, Error, News};
use tokio::join;

use crate::tls::{config, files, strict};

const SECOND: Duration = Duration::from_secs(1);

struct Rig {
    pki: ClientFolder,
    receiver: FakeFluentd,
    env: Arc<ManualEnv>,
    sink: Arc<FluentdSink>,
    watch: CertificateWatch,
}

impl Rig {
    fn new(pki: ClientFolder, files: CredentialFiles) -> Self {
        let receiver = strict(&pki, TlsVersions::Both, Validity::Long);
        let env = ManualEnv::new();
        let sink = FluentdSink::new(config(&receiver, files), env.clone()).expect("good settings");
        let sink = Arc::new(sink);
        let watch = CertificateWatch::new(sink.clone());
        Self { pki, receiver, env, sink, watch }
    }

    fn usual() -> Self {
        let pki = ClientFolder::new();
        let files = files(&pki);
        Self::new(pki, files)
    }

    async fn send(&self) {
        let events = batch(1, Route::Audit, &["{}"]);
        assert_eq!(self.sink.send(events).await.1, Verdict::Delivered);
    }

    /// Looks at files that are bad, which takes a second look.
    async fn check_bad(&mut self) -> News {
        let before = self.env.sleeps();
        join!(self.watch.check(), async {
            self.env.slept(before + 1).await;
            self.env.advance(SECOND);
        })
        .0
    }

    fn leaf(&self) -> Leaf {
        self.pki.client()
    }

    fn connections(&self) -> u64 {
        self.receiver.tally().connections
    }
}

/// Lays out files as Kubernetes mounts a secret: links into a directory behind a link that is
/// swapped by a rename.
fn mount(root: &Path, generation: &str, files: &[(&str, &str)]) {
    let data = root.join(generation);
    fs::create_dir(&data).expect("a new directory");
    for (name, text) in files {
        fs::write(data.join(name), text).expect("a writable directory");
        if !root.join(name).exists() {
            symlink(Path::new("..data").join(name), root.join(name)).expect("a link");
        }
    }
    symlink(generation, root.join("..data_tmp")).expect("a link");
    fs::rename(root.join("..data_tmp"), root.join("..data")).expect("a swap");
}

#[tokio::test]
async fn a_swapped_link_brings_the_new_certificate() {
    let pki = ClientFolder::new();
    let root = pki.file("secret");
    fs::create_dir(&root).expect("a new directory");
    let leaf = pki.client();
    let ca = pki.authority.cert_pem().to_owned();
    let files = |leaf: &Leaf| {
        [
            ("ca.crt", ca.clone()),
            ("tls.crt", leaf.cert_pem.clone()),
            ("tls.key", leaf.key_pem.clone()),
        ]
    };
    let mounted = |generation: &str, leaf: &Leaf| {
        let files = files(leaf);
        mount(&root, generation, &files.each_ref().map(|(name, text)| (*name, text.as_str())));
    };
    mounted("..1", &leaf);
    let mut rig = Rig::new(
        pki,
        CredentialFiles {
            ca: Some(root.join("ca.crt")),
            certificate: Some(root.join("tls.crt")),
            key: Some(root.join("tls.key")),
            passphrase: None,
        },
    );
    rig.send().await;
    assert!(matches!(rig.watch.check().await, News::Same));
    // The same content in another place is nothing new.
    mounted("..2", &leaf);
    assert!(matches!(rig.watch.check().await, News::Same));
    rig.send().await;
    assert_eq!(rig.connections(), 1);

    mounted("..3", &rig.leaf());
    let News::Taken(facts) = rig.watch.check().await else { panic!("a new one") };
    assert_eq!(facts, rig.sink.identity_facts());
    assert_eq!(facts.len(), 1);
    assert_eq!(rig.sink.stats().certificate_reloads, 1);
    rig.send().await;
    assert_eq!(rig.connections(), 2, "the idle connection showed the old one and is closed");
    assert!(matches!(rig.watch.check().await, News::Same));
}

#[tokio::test]
async fn a_bad_file_is_reported_once_and_the_old_certificate_stays() {
    let mut rig = Rig::usual();
    rig.send().await;
    let before = rig.sink.identity_facts();
    let good = fs::read_to_string(rig.pki.key()).expect("a key");

    rig.pki.write("client.key", "nonsense");
    let News::Bad(error) = rig.check_bad().await else { panic!("a bad key") };
    assert!(matches!(error, Error::NoKey { .. } | Error::InvalidPem { .. }), "{error:?}");
    // Without another look, as this one is known.
    for _ in 0..3 {
        assert!(matches!(rig.watch.check().await, News::StillBad));
    }
    rig.send().await;
    assert_eq!(rig.sink.identity_facts(), before);

    // Bad for another reason: said again, once.
    let foreign = Authority::new("Other CA").expect("a CA");
    let expired = foreign.issue_fluentd_client(Validity::Expired).expect("a leaf");
    rig.pki.set_client(&expired);
    assert!(matches!(rig.check_bad().await, News::Bad(Error::Expired { .. })));
    // Time goes on, and with it the time in the message; the reason is the same.
    rig.env.advance(60 * SECOND);
    assert!(matches!(rig.watch.check().await, News::StillBad));

    // The old files come back.
    let leaf = rig.leaf();
    rig.pki.set_client(&leaf);
    assert!(matches!(rig.watch.check().await, News::Taken(_)));
    rig.pki.write("client.key", &good);
    assert!(matches!(rig.check_bad().await, News::Bad(Error::KeyMismatch { .. })));
    rig.pki.write("client.key", &leaf.key_pem);
    assert!(matches!(rig.watch.check().await, News::GoodAgain));
    assert!(matches!(rig.watch.check().await, News::Same));
    rig.send().await;
    assert_eq!(rig.sink.stats().certificate_reloads, 1);
}

#[tokio::test]
async fn a_moment_between_two_files_is_not_reported() {
    let mut rig = Rig::usual();
    let leaf = rig.leaf();
    rig.pki.write("client.pem", &leaf.cert_pem);
    let before = rig.env.sleeps();
    let (news, ()) = join!(rig.watch.check(), async {
        // The two do not belong together, and the watch waits before it says so.
        rig.env.slept(before + 1).await;
        rig.pki.write("client.key", &leaf.key_pem);
        rig.env.advance(SECOND);
    });
    assert!(matches!(news, News::Taken(_)), "{news:?}");
}

#[tokio::test]
async fn a_connection_in_use_during_the_change_is_closed_behind_its_request() {
    let mut rig = Rig::usual();
    rig.receiver.set(|switches| switches.hold_at = Some(1));
    let sink = rig.sink.clone();
    let (verdict, ()) =
        join!(async { sink.send(batch(1, Route::Audit, &["{}"])).await.1 }, async {
            rig.receiver.wait(|tally| tally.events == 1).await;
            rig.pki.renew();
            assert!(matches!(rig.watch.check().await, News::Taken(_)));
            rig.receiver.set(|switches| {
                switches.hold_at = None;
                switches.release += 1;
            });
        });
    assert_eq!(verdict, Verdict::Delivered, "it is not cut off");
    rig.send().await;
    assert_eq!(rig.connections(), 2);
}

#[tokio::test]
async fn it_looks_once_per_interval() {
    let Rig { pki, receiver: _receiver, env, sink, watch } = Rig::usual();
    let leaf = pki.client();
    let before = env.sleeps();
    tokio::select! {
        biased;
        never = watch.run(Duration::from_secs(30)) => match never {},
        () = async {
            env.slept(before + 1).await;
            pki.set_client(&leaf);
            env.advance(29 * SECOND);
            // Not yet; a second later it looks, takes it, and sleeps again.
            tokio::task::yield_now().await;
            assert_eq!(sink.stats().certificate_reloads, 0);
            env.advance(SECOND);
            env.slept(before + 2).await;
        } => {}
    }
    assert_eq!(sink.stats().certificate_reloads, 1);
}

#[tokio::test]
async fn it_looks_at_once_when_asked_to() {
    let Rig { pki, receiver: _receiver, env, sink, watch } = Rig::usual();
    let leaf = pki.client();
    let before = env.sleeps();
    tokio::select! {
        biased;
        never = watch.run(Duration::from_secs(30)) => match never {},
        () = async {
            env.slept(before + 1).await;
            pki.set_client(&leaf);
            sink.reload_soon();
            env.slept(before + 2).await;
            assert_eq!(sink.stats().certificate_reloads, 1);
            // The same once more is nothing new.
            sink.reload_soon();
            env.slept(before + 3).await;
        } => {}
    }
    assert_eq!(sink.stats().certificate_reloads, 1);
}
