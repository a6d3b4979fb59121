//! Artifacts of a newer version where the exact one is not offered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ev_core::testing::MemoryStore;
use ev_core::{
    ArtifactError, ArtifactRequest, ArtifactSource, AuthVersion, BoxFuture, Choice,
    FetchedArtifact, SignedArtifact, StateStore, UnknownPolicy,
};
use ev_modules::{Directory, DirectorySource, Manifest, SigningKey, VersionPolicy, sha256};

use crate::log::captured;
use crate::rig::{EXACT, MARKED, PARKED, Setup, key, pass};
use crate::support::{Answer, TestSource, embedded, manifest, signed, version};

/// A place that can list what it has.
#[derive(Default)]
struct Place(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    artifacts: BTreeMap<AuthVersion, SignedArtifact>,
    /// Listed although there is nothing.
    empty: Vec<AuthVersion>,
    unreachable: bool,
    asked: Vec<String>,
    downloads: usize,
    lists: usize,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn put(&self, of: &str, artifact: SignedArtifact) {
        self.0.lock().unwrap().artifacts.insert(version(of), artifact);
    }

    fn list_empty(&self, of: &str) {
        self.0.lock().unwrap().empty.push(version(of));
    }

    fn set_unreachable(&self, unreachable: bool) {
        self.0.lock().unwrap().unreachable = unreachable;
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    fn downloads(&self) -> usize {
        self.0.lock().unwrap().downloads
    }

    fn lists(&self) -> usize {
        self.0.lock().unwrap().lists
    }
}

fn unreachable() -> ArtifactError {
    ArtifactError { from: "place".into(), message: "connection refused".into(), source: None }
}

impl ArtifactSource for Place {
    fn name(&self) -> &str {
        "place"
    }

    fn fetch(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<FetchedArtifact, ArtifactError>> {
        let mut inside = self.0.lock().unwrap();
        inside.asked.push(request.auth_version.to_string());
        let answer = match inside.artifacts.get(&request.auth_version).cloned() {
            _ if inside.unreachable => Err(unreachable()),
            None => Ok(FetchedArtifact::NotOffered),
            Some(artifact) if request.held_sha256 == Some(sha256(&artifact.payload)) => {
                Ok(FetchedArtifact::NotModified)
            }
            Some(artifact) => {
                inside.downloads += 1;
                Ok(FetchedArtifact::Artifact(artifact))
            }
        };
        Box::pin(std::future::ready(answer))
    }

    fn versions(&self) -> BoxFuture<'_, Result<Option<Vec<AuthVersion>>, ArtifactError>> {
        let mut inside = self.0.lock().unwrap();
        inside.lists += 1;
        let listed = inside.artifacts.keys().chain(&inside.empty).cloned().collect();
        let answer = if inside.unreachable { Err(unreachable()) } else { Ok(Some(listed)) };
        Box::pin(std::future::ready(answer))
    }
}

/// A good table of a version.
fn table_of(key: &SigningKey, of: &str, payload: &str) -> SignedArtifact {
    let manifest = Manifest { auth_version: version(of), ..manifest(key, payload.as_bytes()) };
    signed(key, &manifest, payload.as_bytes())
}

fn good(key: &SigningKey, of: &str) -> SignedArtifact {
    table_of(key, of, &format!("table of {of}"))
}

/// A registry that takes the nearest newer one from `place`, with Auth behind it.
fn setup(key: &SigningKey, place: &Arc<Place>, auth: &Arc<TestSource>) -> Setup {
    let mut setup = Setup::new(key, &[auth]);
    setup.places = vec![Arc::clone(place) as _];
    setup.settings.version_policy = VersionPolicy::NearestNewerInMajor;
    setup.settings.artifact_configured = true;
    setup
}

fn nothing() -> Arc<TestSource> {
    TestSource::new([Answer::Nothing])
}

const NEAREST: &str = "inexact table 18.1.2 Park";

#[tokio::test(start_paused = true)]
async fn the_exact_version_is_what_is_taken_unless_set_otherwise() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", good(&key, "18.1.2"));
    let mut setup = setup(&key, &place, &nothing());
    setup.settings.version_policy = ev_modules::Settings::default().version_policy;
    let rig = setup.start();
    rig.until("18.1.0", PARKED).await;
    pass(600).await;
    assert_eq!(rig.state("18.1.0"), PARKED);
    assert_eq!((place.lists(), place.downloads()), (0, 0), "nobody is asked what else there is");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_nearest_newer_one_of_the_major_is_taken_and_counted_as_inexact() {
    let key = key();
    let place = Place::new();
    for of in ["17.9.9", "18.0.9", "18.1.0-rc.1", "18.1.2", "18.1.10", "18.2.0", "19.0.0"] {
        place.put(of, good(&key, of));
    }
    let rig = setup(&key, &place, &nothing()).start();
    assert_eq!(rig.state("18.1.0"), "pending");
    rig.until("18.1.0", NEAREST).await;
    assert_eq!(place.take_asked(), ["18.1.0", "18.1.2"]);
    let Choice::Inexact { decoder, unknown } = rig.choose("18.1.0") else { panic!("inexact") };
    assert_eq!(decoder.identity().schema_sha256, sha256(b"table of 18.1.2"));
    assert_eq!(unknown, UnknownPolicy::Park);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn never_an_older_one_and_never_one_of_another_major() {
    let key = key();
    let place = Place::new();
    for of in ["17.9.9", "18.0.9", "18.1.0-rc.1", "18.1.0+build", "19.0.0", "nightly"] {
        place.put(of, good(&key, of));
    }
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", PARKED).await;
    pass(600).await;
    assert_eq!(rig.state("18.1.0"), PARKED);
    assert!(place.take_asked().iter().all(|of| of == "18.1.0"));
    assert_eq!(place.downloads(), 0);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_pre_release_takes_its_release() {
    let key = key();
    let place = Place::new();
    place.put("18.1.0", good(&key, "18.1.0"));
    place.put("18.1.0-rc.10", good(&key, "18.1.0-rc.10"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0-rc.9", "inexact table 18.1.0-rc.10 Park").await;
    rig.until("18.1.0-rc.11", "inexact table 18.1.0 Park").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_exact_one_replaces_it_when_it_appears() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", good(&key, "18.1.2"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", NEAREST).await;
    pass(600).await;
    assert_eq!(place.downloads(), 1, "what is held is not sent again");

    // A nearer one first, then that very version.
    place.put("18.1.1", good(&key, "18.1.1"));
    rig.until("18.1.0", "inexact table 18.1.1 Park").await;
    place.put("18.1.0", good(&key, "18.1.0"));
    rig.until("18.1.0", EXACT).await;
    let lists = place.lists();
    pass(7200).await;
    assert_eq!(place.lists(), lists, "with the exact one nothing else is looked for");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_exact_one_replaces_it_though_its_bytes_be_the_same() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", table_of(&key, "18.1.2", "one file for both"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", NEAREST).await;
    place.put("18.1.0", table_of(&key, "18.1.0", "one file for both"));
    rig.until("18.1.0", EXACT).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_exact_one_of_auth_goes_before_the_nearest_of_a_place() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", good(&key, "18.1.2"));
    let auth = TestSource::new([Answer::Offer(good(&key, "18.1.0"))]);
    let rig = setup(&key, &place, &auth).start();
    rig.until("18.1.0", EXACT).await;
    assert_eq!((place.lists(), place.downloads()), (0, 0));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn auth_itself_is_never_asked_for_another_version() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", good(&key, "18.1.2"));
    let auth = nothing();
    let rig = setup(&key, &place, &auth).start();
    rig.until("18.1.0", NEAREST).await;
    pass(600).await;
    assert!(auth.asked() > 3, "it is asked for the exact one again and again");
    let requests = auth.requests.lock().unwrap().clone();
    assert!(requests.iter().all(|request| request.auth_version == version("18.1.0")));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_must_be_signed_for_the_version_that_was_chosen() {
    let key = key();
    let place = Place::new();
    // Signed, but for a third version, for an older one, or by a stranger.
    place.put("18.1.2", good(&key, "18.3.0"));
    place.put("18.1.3", good(&key, "18.0.0"));
    place.put("18.1.4", good(&self::key(), "18.1.4"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", PARKED).await;
    assert_eq!(rig.registry.counts().accepted, 0);
    assert!(rig.registry.counts().refused >= 3);
    assert_eq!(rig.loader.calls.load(std::sync::atomic::Ordering::SeqCst), 0);

    // Behind a refused one the next is looked at.
    place.put("18.1.5", good(&key, "18.1.5"));
    rig.until("18.1.0", "inexact table 18.1.5 Park").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_listed_version_need_not_be_there() {
    let key = key();
    let place = Place::new();
    place.list_empty("18.1.1");
    place.put("18.1.2", good(&key, "18.1.2"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", NEAREST).await;
    rig.end().await;

    // A list without end costs a bounded number of questions.
    let liar = Place::new();
    (0..1000).for_each(|patch| liar.list_empty(&format!("18.1.{patch}")));
    let rig = setup(&key, &liar, &nothing()).start();
    rig.until("18.1.0-dev", PARKED).await;
    // 1 + 2 + 4 + 8 + 16 s between six attempts, then at most one a minute.
    assert_eq!(liar.take_asked().len(), 6 * (1 + 4));
    pass(600).await;
    assert!(liar.take_asked().len() <= 11 * (1 + 4));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_good_one_is_hidden_by_others_for_ever() {
    let key = key();
    let place = Place::new();
    // Nearer ones that nobody offers, and that cannot be used.
    for patch in 1..=7 {
        place.list_empty(&format!("18.1.{patch}"));
    }
    for patch in 10..=15 {
        let of = format!("18.1.{patch}");
        place.put(&of, good(&self::key(), &of));
    }
    place.put("18.1.20", good(&key, "18.1.20"));
    let lines = captured(async {
        let rig = setup(&key, &place, &nothing()).start();
        // Within the time that events wait.
        for _ in 0..59 {
            assert!(["pending", "inexact table 18.1.20 Park"].contains(&&*rig.state("18.1.0")));
            pass(1).await;
        }
        assert_eq!(rig.state("18.1.0"), "inexact table 18.1.20 Park");
        let asked = place.take_asked();
        let nearer: Vec<_> = asked.iter().filter(|of| *of != "18.1.0").collect();
        let mut in_order: Vec<String> = (1..=7).map(|patch| format!("18.1.{patch}")).collect();
        // A refused table is no reason not to take a module of the same version.
        in_order.extend((10..=15).flat_map(|patch| vec![format!("18.1.{patch}"); 2]));
        in_order.push("18.1.20".to_owned());
        assert_eq!(nearer[..in_order.len()], in_order.iter().collect::<Vec<_>>());

        // Then it begins anew: a nearer one that appears is found, and nothing is sent twice.
        assert_eq!(place.downloads(), 2 * 6 + 1);
        place.put("18.1.2", good(&key, "18.1.2"));
        rig.until("18.1.0", NEAREST).await;
        rig.end().await;
    })
    .await;
    let told: Vec<_> = lines.iter().filter(|line| line.contains("others are tried next")).collect();
    assert!(told[0].contains("version=18.1.0 tried=4 left=10 next=18.1.5"), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn one_in_use_stays_while_those_before_it_are_tried() {
    let key = key();
    let place = Place::new();
    (1..=9).for_each(|patch| place.list_empty(&format!("18.1.{patch}")));
    place.put("18.1.20", good(&key, "18.1.20"));
    place.put("18.1.30", good(&key, "18.1.30"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", "inexact table 18.1.20 Park").await;
    for _ in 0..600 {
        pass(1).await;
        assert_eq!(rig.state("18.1.0"), "inexact table 18.1.20 Park");
    }
    assert_eq!(place.downloads(), 1);
    assert!(!place.take_asked().contains(&"18.1.30".to_owned()), "nothing behind it is wanted");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_exact_one_that_is_refused_is_no_absence() {
    let key = key();
    let place = Place::new();
    place.put("18.1.0", good(&self::key(), "18.1.0"));
    place.put("18.1.2", good(&key, "18.1.2"));
    let rig = setup(&key, &place, &nothing()).start();
    assert_eq!(rig.state("18.1.0"), "pending");
    pass(59).await;
    assert_eq!(rig.state("18.1.0"), "pending");
    rig.until("18.1.0", PARKED).await;
    pass(600).await;
    assert_eq!(place.lists(), 0);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_does_not_answer_is_waited_for_before_a_newer_one_is_taken() {
    let key = key();
    let (silent, place) = (Place::new(), Place::new());
    silent.set_unreachable(true);
    place.put("18.1.2", good(&key, "18.1.2"));
    let mut setup = setup(&key, &place, &nothing());
    setup.places.insert(0, Arc::clone(&silent) as _);
    let rig = setup.start();
    assert_eq!(rig.state("18.1.0"), "pending");
    pass(59).await;
    assert_eq!(rig.state("18.1.0"), "pending", "it may have the exact one");
    assert_eq!(place.lists(), 0);
    rig.until("18.1.0", NEAREST).await;

    // It comes back, and has it.
    silent.put("18.1.0", good(&key, "18.1.0"));
    silent.set_unreachable(false);
    rig.until("18.1.0", EXACT).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_exact_one_in_use_is_not_given_up_for_a_newer_one() {
    let key = key();
    let place = Place::new();
    place.put("18.1.0", good(&key, "18.1.0"));
    place.put("18.1.2", good(&key, "18.1.2"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", EXACT).await;
    place.0.lock().unwrap().artifacts.remove(&version("18.1.0"));
    pass(4 * 3600).await;
    assert_eq!(rig.state("18.1.0"), EXACT);
    // Not even when it fails.
    rig.fail_for_long().await;
    pass(7200).await;
    assert_ne!(rig.state("18.1.0"), NEAREST);
    assert_eq!(place.lists(), 0);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_kept_and_used_after_a_restart_without_network() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", good(&key, "18.1.2"));
    let store = Arc::new(MemoryStore::new());
    let mut first = setup(&key, &place, &nothing());
    first.store = Some(Arc::clone(&store));
    let rig = first.start();
    rig.until("18.1.0", NEAREST).await;
    rig.end().await;
    assert_eq!(store.artifact(&version("18.1.0")).unwrap(), Some(good(&key, "18.1.2")));

    let again = |policy| {
        let dead = Place::new();
        dead.set_unreachable(true);
        let mut setup = setup(&key, &dead, &TestSource::new([Answer::Unreachable]));
        setup.store = Some(Arc::clone(&store));
        setup.settings.version_policy = policy;
        setup.start()
    };
    let rig = again(VersionPolicy::NearestNewerInMajor);
    rig.until("18.1.0", NEAREST).await;
    rig.end().await;
    // With the policy gone, so is what it allowed.
    let rig = again(VersionPolicy::Exact);
    rig.until("18.1.0", PARKED).await;
    assert_eq!(rig.registry.counts().refused, 1);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_for_a_version_must_still_be_newer() {
    let key = key();
    let store = Arc::new(MemoryStore::new());
    for wrong in ["18.0.9", "19.0.0"] {
        store.put_artifact(&version("18.1.0"), &good(&key, wrong)).unwrap();
        let mut setup = setup(&key, &Place::new(), &nothing());
        setup.store = Some(Arc::clone(&store));
        let rig = setup.start();
        rig.until("18.1.0", PARKED).await;
        assert_eq!(rig.registry.counts().refused, 1, "{wrong}");
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_embedded_table_that_it_names_is_inexact_too() {
    let key = key();
    let named = Manifest {
        auth_version: version("18.1.2"),
        schema_sha256: embedded("18.0.0-dev").schema_sha256,
        ..manifest(&key, b"table")
    };
    let place = Place::new();
    place.put("18.1.2", signed(&key, &named, b"table"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", "inexact native 18.0.0-dev Park").await;
    assert_eq!(rig.registry.counts().accepted, 1);
    let Choice::Inexact { .. } = rig.choose("18.1.0") else { panic!("never exact") };
    rig.until("18.1.2", "exact native 18.0.0-dev").await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn unknown_events_follow_the_setting() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", good(&key, "18.1.2"));
    let mut setup = setup(&key, &place, &nothing());
    setup.settings.unknown = Some(UnknownPolicy::Incomplete);
    let rig = setup.start();
    rig.until("18.1.0", "inexact table 18.1.2 Incomplete").await;
    assert_ne!(rig.state("18.1.0"), MARKED);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_tried_again_as_an_exact_one_is() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", good(&key, "18.1.2"));
    let rig = setup(&key, &place, &nothing()).start();
    rig.until("18.1.0", NEAREST).await;
    rig.fail_for_long().await;
    assert_eq!(rig.state("18.1.0"), "pending", "it is fetched again");
    rig.until("18.1.0", NEAREST).await;
    assert_eq!(place.downloads(), 2);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_log_line_names_both_versions() {
    let key = key();
    let place = Place::new();
    place.put("18.1.2", good(&key, "18.1.2"));
    let lines = captured(async {
        let rig = setup(&key, &place, &nothing()).start();
        rig.until("18.1.0", NEAREST).await;
        pass(600).await;
        rig.end().await;
    })
    .await;
    let both: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(" version=18.1.0") && line.contains("artifact_version=18.1.2"))
        .collect();
    assert_eq!(both.len(), 1, "{lines:#?}");
    let said = "decoder artifact of a newer version accepted, as none of this version is offered";
    assert!(both[0].contains(said), "{both:?}");
}

#[tokio::test(start_paused = true)]
async fn a_directory_lists_its_folders() {
    let key = key();
    let base = tempfile::tempdir().unwrap();
    for of in ["18.0.9", "18.1.2", "18.10.0"] {
        let artifact = good(&key, of);
        let folder = base.path().join(of);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("table-v1.evt"), &artifact.payload).unwrap();
        std::fs::write(folder.join("table-v1.evt.dsse.json"), &artifact.envelope).unwrap();
    }
    std::fs::create_dir(base.path().join(".hidden")).unwrap();
    std::fs::create_dir(base.path().join("18.1.1")).unwrap();
    std::fs::write(base.path().join("18.1.1-file"), b"").unwrap();
    std::fs::write(base.path().join("versions.json"), b"not even read").unwrap();
    let directory = Directory::new(base.path(), 100);
    let listed = directory.versions().unwrap();
    assert_eq!(listed, ["18.0.9", "18.1.1", "18.1.2", "18.10.0"].map(AuthVersion::new));
    let missing = Directory::new(base.path().join("nowhere"), 100);
    assert!(matches!(missing.versions(), Err(ev_modules::ServeError::NoDirectory { .. })));

    let mut setup = setup(&key, &Place::new(), &nothing());
    setup.places = vec![Arc::new(DirectorySource::new(directory))];
    let rig = setup.start();
    rig.until("18.1.0", NEAREST).await;
    rig.end().await;
}

#[tokio::test]
async fn a_source_that_cannot_list_says_so() {
    let auth: Arc<dyn ArtifactSource> = nothing();
    assert!(auth.versions().await.unwrap().is_none());
    let envelope: Option<Bytes> = auth.envelope(request()).await.unwrap();
    assert_eq!(envelope, None);
}

fn request() -> ArtifactRequest {
    ArtifactRequest {
        auth_version: version("18.1.0"),
        kinds: Vec::new(),
        module_abis: Vec::new(),
        table_formats: Vec::new(),
        held_sha256: None,
        max_bytes: 0,
    }
}
