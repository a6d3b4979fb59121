//! Credentials that change while a source is in use, and such that come to their end.

use std::time::Duration;

use ev_core::{Credit, Source, SourceEvent};
use ev_source::{Config, SearchSource};
use ev_test_support::certs::{Authority, Identity, Leaf, Validity};

use crate::env::NOW;
use crate::rig::{CLUSTER, POLL, Reader, Rig, certs, events, lane, names};

const LOOK: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(1);
/// Pause between two looks once the credentials have expired.
const EXPIRED_LOOK: Duration = Duration::from_secs(5);
/// 4000-01-01T00:00:00Z.
const YEAR_4000: i64 = 64_060_588_800;

fn client(user: &str, validity: Validity) -> Leaf {
    certs().authority.issue_teleport_client(user, validity).expect("a certificate")
}

/// Replaces the identity file as `tbot` does, by a rename.
fn replace(rig: &Rig, client: &Leaf) {
    let text = Identity::new(client, "ev", CLUSTER, certs().authority.cert_pem()).to_text();
    let fresh = rig.dir.path().join("identity.tmp");
    std::fs::write(&fresh, text).expect("a file");
    std::fs::rename(fresh, rig.dir.path().join("identity")).expect("the same folder");
}

fn looking(rig: &Rig) -> Config {
    Config { refresh: Some(LOOK), ..rig.config() }
}

fn user(source: &SearchSource) -> String {
    source.credentials().facts()[0].subject.clone()
}

/// Moves on until somebody sleeps for exactly `pause`; what happened meanwhile.
async fn step_until_asleep(
    rig: &Rig,
    source: &mut SearchSource,
    pause: Duration,
) -> Vec<SourceEvent> {
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            biased;
            event = source.next(Credit { pages: 0 }) => seen.push(event.expect("nothing to mend")),
            () = rig.env.sleeping(pause) => return seen,
        }
    }
}

async fn read_until_connected(reader: &mut Reader, times: usize) {
    reader.read_until(|reader| reader.versions.len() == times).await;
}

#[tokio::test]
async fn certificates_rotate_under_load_without_a_gap() {
    const TIMES: usize = 5;
    let rig = Rig::new();
    rig.auth.set(|switches| switches.page_cap = 3);
    let mut reader = rig.reader(looking(&rig), NOW - 10);
    reader.read_to_the_tip().await;
    for n in 0..TIMES {
        rig.auth.append(events(&format!("e{n}-"), NOW + 10 * i64::try_from(n).unwrap(), 0, 50));
        replace(&rig, &client(&format!("user-{n}"), Validity::Long));
        // Both are due: the next page, and a look at the files.
        rig.env.advance(LOOK);
        read_until_connected(&mut reader, n + 2).await;
        assert_eq!(user(reader.source()), format!("user-{n}"));
        reader.read_to_the_tip().await;
    }
    assert_eq!(reader.ids().len(), 50 * TIMES, "nothing is missing");
    let tally = rig.auth.tally();
    assert_eq!(tally.connections, 1 + u64::try_from(TIMES).unwrap());
    assert_eq!(tally.handshakes_failed, 0);
    assert_eq!(tally.methods["GetEvents"].errors, 0, "no call was cut");
}

#[tokio::test]
async fn a_stream_lives_on_over_the_connection_on_which_it_was_begun() {
    let rig = Rig::new();
    rig.auth.store(|store| store.append_recording("s", events("s", NOW - 900, 1, 1_000)));
    let mut reader = rig.reader(looking(&rig), NOW);
    reader.open("s", None);
    reader.read_with(1, |reader| !reader.ids_of(&lane("s")).is_empty()).await;
    assert!(reader.ids_of(&lane("s")).len() < 1_000, "the stream is being read");
    replace(&rig, &client("next", Validity::Long));
    rig.env.advance(LOOK);
    reader.read_with(0, |reader| reader.versions.len() == 2).await;
    reader.read_until(|reader| reader.ended.contains(&lane("s"))).await;
    assert_eq!(reader.ids_of(&lane("s")).len(), 1_000);
    assert_eq!(rig.calls("StreamSessionEvents"), 1);
    assert_eq!(rig.auth.tally().connections, 2);
}

#[tokio::test]
async fn the_old_connection_serves_until_the_new_one_is_there() {
    let rig = Rig::new();
    let mut reader = rig.reader(looking(&rig), NOW);
    reader.read_to_the_tip().await;
    // Ping, by which a new connection is begun, is answered by nobody for now.
    let fault = ev_test_support::CallFault {
        code: 14,
        method: "Ping".into(),
        ..ev_test_support::CallFault::default()
    };
    rig.auth.set(|switches| switches.fail.push(fault));
    replace(&rig, &client("next", Validity::Long));
    rig.auth.append(events("e", NOW + 5, 1, 3));
    rig.env.advance(LOOK);
    reader.read_until(|reader| reader.ids() == names("e", 3)).await;
    assert_eq!(reader.versions.len(), 1, "over the first connection");

    rig.auth.set(|switches| switches.fail.clear());
    read_until_connected(&mut reader, 2).await;
    assert_eq!(user(reader.source()), "next");
}

#[tokio::test]
async fn credentials_that_auth_refuses_leave_the_old_connection_alone() {
    let rig = Rig::new();
    let mut reader = rig.reader(looking(&rig), NOW);
    reader.read_to_the_tip().await;
    let stranger = Authority::new("stranger").expect("an authority");
    replace(&rig, &stranger.issue_teleport_client("stranger", Validity::Long).expect("one"));
    rig.env.advance(LOOK);
    while rig.auth.tally().handshakes_failed == 0 {
        reader.read_or_sleep().await;
    }
    rig.auth.append(events("e", NOW + 5, 1, 3));
    rig.env.advance(POLL);
    reader.read_until(|reader| reader.ids() == names("e", 3)).await;
    assert_eq!(reader.versions.len(), 1);
    // Good ones end it at once.
    replace(&rig, &client("good", Validity::Long));
    rig.env.advance(LOOK);
    read_until_connected(&mut reader, 2).await;
    assert_eq!(user(reader.source()), "good");
}

/// What is read over the old connection does not make attempts for a new one come any faster.
#[tokio::test]
async fn attempts_with_credentials_that_auth_refuses_get_rare() {
    let rig = Rig::new();
    rig.env.wait_as_long_as_allowed();
    let mut reader = rig.reader(looking(&rig), NOW);
    reader.read_to_the_tip().await;
    let stranger = Authority::new("stranger").expect("an authority");
    replace(&rig, &stranger.issue_teleport_client("stranger", Validity::Long).expect("one"));
    // Ten minutes of reading at the tip; pauses between attempts double up to half a minute.
    for n in 0..120 {
        rig.auth.append(events(&format!("e{n}-"), NOW + 5 * n, 0, 1));
        rig.env.advance(POLL);
        let wanted = usize::try_from(n).expect("few") + 1;
        reader.read_until(|reader| reader.ids().len() == wanted).await;
        reader.read_to_the_tip().await;
    }
    let attempts = rig.auth.tally().connections - 1;
    assert!((5..=30).contains(&attempts), "{attempts}");
    assert_eq!(reader.versions.len(), 1);
}

#[tokio::test]
async fn files_that_cannot_be_used_change_nothing() {
    let rig = Rig::new();
    let mut source = rig.source(looking(&rig));
    source.survey().await.expect("an answer");
    step_until_asleep(&rig, &mut source, LOOK).await;
    for bad in
        ["nonsense", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\n-----END"]
    {
        std::fs::write(rig.dir.path().join("identity"), bad).expect("a file");
        rig.env.advance(LOOK);
        // Looked at once more, a second later, before anything is said.
        step_until_asleep(&rig, &mut source, SETTLE).await;
        rig.env.advance(SETTLE);
        step_until_asleep(&rig, &mut source, LOOK).await;
    }
    replace(&rig, &client("expired", Validity::Expired));
    rig.env.advance(LOOK);
    step_until_asleep(&rig, &mut source, SETTLE).await;
    rig.env.advance(SETTLE);
    step_until_asleep(&rig, &mut source, LOOK).await;
    assert_eq!((user(&source).as_str(), rig.auth.tally().connections), ("ev", 1));

    replace(&rig, &client("good", Validity::Long));
    rig.env.advance(LOOK);
    let seen = step_until_asleep(&rig, &mut source, LOOK).await;
    drop(seen);
    assert_eq!(user(&source), "good");
}

/// Trap 24: on by default and with `true`; `false` alone turns it off.
#[tokio::test]
async fn only_an_explicit_no_keeps_files_from_being_looked_at() {
    assert!(Config::new("a:1", ev_source::Credentials::Identity("i".into())).refresh.is_some());
    let rig = Rig::new();
    let mut source = rig.source(Config { refresh: None, ..rig.config() });
    source.survey().await.expect("an answer");
    replace(&rig, &client("next", Validity::Long));
    for _ in 0..10 {
        rig.env.advance(Duration::from_secs(60));
        // It sleeps again, and has not read.
        step_until_asleep(&rig, &mut source, Duration::from_secs(45)).await;
        assert_eq!(user(&source), "ev");
    }
    // Nor for another connection,
    rig.auth.drop_connections().await;
    while rig.auth.tally().connections < 2 {
        source.next(Credit { pages: 0 }).await.expect("connected again");
    }
    assert_eq!(user(&source), "ev");
    // but when somebody asks for it.
    source.credentials().reload();
    while rig.auth.tally().connections < 3 {
        source.next(Credit { pages: 0 }).await.expect("connected again");
    }
    assert_eq!(user(&source), "next");
}

#[tokio::test]
async fn asking_for_the_same_files_changes_nothing() {
    let rig = Rig::new();
    let mut source = rig.source(looking(&rig));
    source.survey().await.expect("an answer");
    step_until_asleep(&rig, &mut source, LOOK).await;
    let handle = source.credentials();
    for _ in 0..3 {
        handle.reload();
        // It wakes, reads, and sleeps once more.
        tokio::select! {
            biased;
            _ = source.next(Credit { pages: 0 }) => panic!("nothing has happened"),
            () = std::future::ready(()) => {}
        }
        let seen = step_until_asleep(&rig, &mut source, LOOK).await;
        assert!(seen.is_empty(), "{} things happened", seen.len());
    }
    assert_eq!(rig.auth.tally().connections, 1);
}

#[tokio::test]
async fn whose_credentials_expire_waits_for_new_ones_and_goes_on() {
    let rig = Rig::new();
    replace(&rig, &client("short", Validity::Until4000));
    let mut source = rig.source(looking(&rig));
    source.survey().await.expect("an answer");
    step_until_asleep(&rig, &mut source, LOOK).await;
    let year_4000 = Duration::from_secs((YEAR_4000 - NOW).unsigned_abs());
    rig.env.advance(year_4000 + Duration::from_secs(1));
    step_until_asleep(&rig, &mut source, EXPIRED_LOOK).await;
    assert_eq!(rig.auth.tally().connections, 1, "the connection that is there is kept");

    // Without one nobody is asked with what has expired.
    assert_eq!(rig.auth.drop_connections().await, 1);
    for _ in 0..20 {
        rig.env.advance(EXPIRED_LOOK);
        step_until_asleep(&rig, &mut source, EXPIRED_LOOK).await;
    }
    assert_eq!(rig.auth.tally().connections, 1);

    replace(&rig, &client("next", Validity::Long));
    rig.env.advance(EXPIRED_LOOK);
    while rig.auth.tally().connections < 2 {
        tokio::select! {
            event = source.next(Credit { pages: 0 }) => drop(event.expect("nothing to mend")),
            () = rig.env.change() => {}
        }
    }
    assert_eq!(user(&source), "next");
}

#[tokio::test]
async fn what_has_expired_is_looked_for_even_where_looking_is_turned_off() {
    let rig = Rig::new();
    replace(&rig, &client("short", Validity::Until4000));
    let mut source = rig.source(Config { refresh: None, ..rig.config() });
    source.survey().await.expect("an answer");
    let year_4000 = Duration::from_secs((YEAR_4000 - NOW).unsigned_abs());
    rig.env.advance(year_4000 + Duration::from_secs(1));
    step_until_asleep(&rig, &mut source, EXPIRED_LOOK).await;
    replace(&rig, &client("next", Validity::Long));
    rig.env.advance(EXPIRED_LOOK);
    while user(&source) != "next" {
        tokio::select! {
            event = source.next(Credit { pages: 0 }) => drop(event.expect("nothing to mend")),
            () = rig.env.change() => {}
        }
    }
}

/// Whoever reads new files, all who read the log go on with them.
#[tokio::test]
async fn every_source_of_a_program_takes_new_credentials() {
    let rig = Rig::new();
    for config in [looking(&rig), rig.config()] {
        let asked = config.refresh.is_none();
        let before = rig.auth.tally().connections;
        let first = rig.source(config);
        let (mut one, mut other) = (first.again(), first.again());
        one.survey().await.expect("auth is there");
        other.survey().await.expect("auth is there");
        replace(&rig, &client(&format!("user-{asked}"), Validity::Long));
        match asked {
            true => first.credentials().reload(),
            false => rig.env.advance(LOOK),
        }
        let step = async |source: &mut SearchSource| {
            source.next(Credit { pages: 0 }).await.expect("nothing to mend")
        };
        // Each tells of its first connection, and then of that with the new credentials.
        for source in [&mut one, &mut other] {
            for _ in 0..2 {
                assert!(matches!(step(source).await, SourceEvent::Upstream(_)));
            }
        }
        assert_eq!(rig.auth.tally().connections, before + 4, "asked: {asked}");
    }
}
