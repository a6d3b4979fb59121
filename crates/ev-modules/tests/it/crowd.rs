//! More versions than can be served at once.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ev_core::testing::MemoryStore;
use ev_core::{ArtifactError, ArtifactRequest, ArtifactSource, BoxFuture, FetchedArtifact};
use ev_modules::{Manifest, SigningKey};

use crate::log::captured;
use crate::rig::{PARKED, Rig, Setup, key, pass};
use crate::support::{manifest, signed, version};

/// What a place does when it is asked for a version.
#[derive(Clone, Copy)]
enum Does {
    Offer,
    Refuse,
    Hang,
}

struct Place {
    key: SigningKey,
    does: BTreeMap<String, Does>,
    asked: Mutex<Vec<String>>,
}

impl Place {
    fn new(does: impl IntoIterator<Item = (String, Does)>) -> Arc<Self> {
        let does = does.into_iter().collect();
        Arc::new(Self { key: key(), does, asked: Mutex::default() })
    }

    fn setup(self: &Arc<Self>) -> Setup {
        let mut setup = Setup::new(&self.key, &[]);
        setup.places = vec![Arc::clone(self) as _];
        setup.settings.artifact_configured = true;
        setup
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl ArtifactSource for Place {
    fn name(&self) -> &str {
        "place"
    }

    fn fetch(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<FetchedArtifact, ArtifactError>> {
        let of = request.auth_version.as_str();
        self.asked.lock().unwrap().push(of.to_owned());
        let Some(does) = self.does.get(of).copied() else {
            return Box::pin(std::future::ready(Ok(FetchedArtifact::NotOffered)));
        };
        let manifest = Manifest { auth_version: version(of), ..manifest(&self.key, of.as_bytes()) };
        let answer = match does {
            _ if request.held_sha256 == Some(manifest.sha256) => FetchedArtifact::NotModified,
            Does::Refuse => FetchedArtifact::Artifact(signed(&key(), &manifest, of.as_bytes())),
            _ => FetchedArtifact::Artifact(signed(&self.key, &manifest, of.as_bytes())),
        };
        match does {
            Does::Hang => Box::pin(std::future::pending()),
            _ => Box::pin(std::future::ready(Ok(answer))),
        }
    }
}

fn versions(count: usize) -> Vec<String> {
    (0..count).map(|minor| format!("18.{minor}.1")).collect()
}

fn all(count: usize, does: Does) -> Arc<Place> {
    Place::new(versions(count).into_iter().map(|of| (of, does)))
}

fn exact(of: &str) -> String {
    format!("exact table {of}")
}

/// Asks for all, as a round over parked events does; returns those that have their decoder.
fn round(rig: &Rig, of: &[String]) -> Vec<String> {
    of.iter().filter(|of| rig.state(of) == exact(of)).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn versions_that_hang_do_not_keep_others_from_being_tried() {
    // By name and by age, all of them are before the good one.
    let hung = versions(28);
    let good = "18.99.1".to_owned();
    let does = hung.iter().map(|of| (of.clone(), Does::Hang));
    let place = Place::new(does.chain([(good.clone(), Does::Offer)]));
    let rig = place.setup().start();
    drop(round(&rig, &hung));
    pass(600).await;
    let start = tokio::time::Instant::now();
    drop(rig.choose(&good));
    rig.until(&good, &exact(&good)).await;
    // As soon as one of those under way is given up.
    assert!(start.elapsed() <= Duration::from_secs(30), "{:?}", start.elapsed());

    // And each of them has its turn: four at once, for 30 s.
    place.take_asked();
    pass(7 * 30 + 30).await;
    let asked = place.take_asked();
    assert!(hung.iter().all(|of| asked.contains(of)), "{asked:?}");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn more_versions_than_are_in_use_keep_their_pauses() {
    for does in [None, Some(Does::Refuse)] {
        let of = versions(40);
        let place = Place::new(of.iter().filter_map(|of| Some((of.clone(), does?))));
        let rig = place.setup().start();
        drop(round(&rig, &of));
        pass(3600).await;
        let asked = place.take_asked();
        assert!(of.iter().all(|of| asked.contains(of)), "none is left out");
        // Rounds over the parked events change nothing.
        for _ in 0..360 {
            assert_eq!(round(&rig, &of), [""; 0]);
            pass(10).await;
        }
        let asked = place.take_asked();
        for of in &of {
            // The pauses are twice as long as with a few: one attempt in two minutes. A refused
            // table is no reason not to ask for a module.
            let times = asked.iter().filter(|asked| *asked == of).count();
            let most = if does.is_some() { 31 * 2 } else { 31 };
            assert!((29..=most).contains(&times), "{of}: {times}");
        }
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_use_is_not_put_out_of_use_before_its_turn_is_over() {
    let of = versions(33);
    let (first, last) = of.split_at(32);
    let place = all(33, Does::Offer);
    let lines = captured(async {
        let rig = place.setup().start();
        for of in first {
            rig.until(of, &exact(of)).await;
        }
        let loads = || rig.loader.calls.load(Ordering::SeqCst);
        // All are asked for, and so is one more.
        for second in 0..540 {
            assert_eq!(round(&rig, first), first);
            let state = rig.state(&last[0]);
            assert!(state == "pending" || (second >= 60 && state == PARKED), "{second} {state}");
            pass(1).await;
        }
        assert_eq!(loads(), 33, "what waits is loaded once, and not again and again");
        // By then the first have had their turn.
        rig.until(&last[0], &exact(&last[0])).await;
        assert_eq!(round(&rig, first), first[1..], "the first that came");
        rig.end().await;
    })
    .await;
    let told = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(told("decoder artifact waits, as so many others are in use"), 1, "{lines:#?}");
    assert_eq!(told("decoder artifact makes place for another version=18.32.1 gone=18.0.1"), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_asks_for_makes_place() {
    let of = versions(33);
    let rig = all(33, Does::Offer).setup().start();
    for of in &of[..32] {
        rig.until(of, &exact(of)).await;
    }
    // All but the sixth are asked for.
    for _ in 0..60 {
        for of in of.iter().filter(|of| **of != "18.5.1") {
            drop(rig.choose(of));
        }
        pass(2).await;
    }
    rig.until("18.32.1", &exact("18.32.1")).await;
    assert_ne!(rig.state("18.5.1"), exact("18.5.1"));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn more_than_can_be_in_use_have_it_in_turns() {
    let of = versions(40);
    let place = all(40, Does::Offer);
    let mut setup = place.setup();
    setup.store = Some(Arc::new(MemoryStore::new()));
    let rig = setup.start();
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..(4 * 3600 / 30) {
        let exact = round(&rig, &of);
        assert!(exact.len() <= 32);
        for of in exact {
            *served.entry(of).or_default() += 1;
        }
        pass(30).await;
    }
    // Four fifths of the time, were it shared to the second.
    for of in &of {
        let rounds = served.get(of).copied().unwrap_or(0);
        assert!((240..=460).contains(&rounds), "{of} in {rounds} of 480 rounds");
    }
    // Each turn is one load, and at most one in vain.
    let loads = rig.loader.calls.load(Ordering::SeqCst);
    assert!(loads <= 40 * 4 * 6 * 2, "{loads}");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_does_not_come_back_by_itself() {
    let of = versions(40);
    let rig = all(40, Does::Offer).setup().start();
    drop(round(&rig, &of));
    pass(3600).await;
    let loads = rig.loader.calls.load(Ordering::SeqCst);
    assert!((40..=48).contains(&loads), "each had its place once, some waited for it: {loads}");
    pass(12 * 3600).await;
    assert_eq!(rig.loader.calls.load(Ordering::SeqCst), loads);
    rig.end().await;
}
