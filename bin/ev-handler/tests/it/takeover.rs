//! First starts on what a reference handler left behind, before an Auth that has the events it was
//! working on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ev_config::Settings;
use ev_handler::start::{Error, start};
use ev_pipeline::Summary;
use ev_test_support::Api;
use ev_test_support::data::{Vector, read_vectors};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::stage::Stage;

const PATIENCE: Duration = Duration::from_secs(120);
/// The directory in the samples; our Auth has another port.
const DIRECTORY: &str = "127.0.0.1_3025";
const START: i64 = 1_794_268_800;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/reference-state")
}

/// All events, and what the manifest says of a sample.
struct Rig {
    stage: Stage,
    log: Vec<Vector>,
    recordings: BTreeMap<String, Vec<Vector>>,
}

impl Rig {
    fn new() -> Self {
        let stage = Stage::new("18.0.0-dev");
        stage.auth.offer(stage.table("v18dev"));
        let (mut log, mut recordings) = (Vec::new(), BTreeMap::<_, Vec<Vector>>::new());
        for vector in read_vectors(&data().join("events.jsonl.gz")).unwrap() {
            match vector.recording.as_str() {
                "" => log.push(vector),
                session => recordings.entry(session.to_owned()).or_default().push(vector),
            }
        }
        assert_eq!((log.len(), recordings.len()), (600, 4));
        stage.auth.append(log.iter().map(|vector| vector.event(vector.time)));
        for (session, events) in &recordings {
            let events = events.iter().map(|vector| vector.event(vector.time));
            stage.auth.store(|store| store.append_recording(session, events));
        }
        Self { stage, log, recordings }
    }

    /// Puts the files of a sample under a name into the storage directory.
    fn put(&self, sample: &str, name: &str) {
        let storage = self.stage.path("storage");
        copy(&data().join(sample).join(DIRECTORY), &storage.join(name));
        if sample == "7-cursor-v2" {
            // An empty directory is not kept in a repository.
            std::fs::create_dir_all(storage.join(name).join("cursor_v2/2026-11-19")).unwrap();
        }
    }

    fn settings(&self) -> Settings {
        let mut settings = self.stage.settings();
        settings.ingest.start_time_unix_secs = None;
        settings.ingest.exit_on_last_event = true;
        settings
    }

    async fn run(&self, settings: Settings) -> Result<Summary, Error> {
        let run = start(settings, CancellationToken::new());
        tokio::time::timeout(PATIENCE, run).await.expect("it ends in time")
    }

    /// Ids of the log in their order.
    fn ids(&self) -> Vec<&str> {
        self.log.iter().map(|vector| vector.uid.as_str()).collect()
    }

    /// Ids of the events of the log that were sent, in that order.
    fn sent(&self) -> Vec<String> {
        let received = self.stage.fluentd.received();
        let of_log = received.iter().filter(|event| event.tag == "events.log");
        of_log.map(|event| text(&json(&event.body), "uid")).collect()
    }

    /// Indexes of the events of each recording that were sent.
    fn sent_indexes(&self) -> BTreeMap<String, Vec<i64>> {
        let mut sent = BTreeMap::<String, Vec<i64>>::new();
        for event in self.stage.fluentd.received() {
            let session = event.tag.strip_prefix("session.").and_then(|t| t.strip_suffix(".log"));
            if let Some(session) = session {
                let index = json(&event.body)["ei"].as_i64().unwrap_or_default();
                sent.entry(session.to_owned()).or_default().push(index);
            }
        }
        sent
    }

    /// Indexes of a recording that are sent at all, from one on.
    fn indexes(&self, session: &str, from: i64) -> Vec<i64> {
        let events = self.recordings[session].iter();
        let sent = events.filter(|event| event.kind != "print" && event.index >= from);
        sent.map(|event| event.index).collect()
    }

    /// Everything from event `from` of the log on was sent, each once, and nothing else.
    fn assert_sent_from(&self, from: usize) {
        let mut sent = self.sent();
        sent.sort();
        let mut expected = self.ids()[from..].to_vec();
        expected.sort_unstable();
        let place = |id: &String| self.log.iter().position(|vector| vector.uid == *id);
        let extra: Vec<_> =
            sent.iter().filter(|id| !expected.contains(&id.as_str())).map(place).collect();
        assert_eq!(extra, []);
        assert_eq!(sent.len(), expected.len());
        assert!(sent == expected);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// Ids that were delivered before, by the manifest.
fn delivered_before(sample: &str) -> BTreeSet<String> {
    let manifest = std::fs::read(data().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let list = manifest["samples"][sample]["delivered_before"].as_array().unwrap();
    list.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

const ALL: [(&str, i64); 4] = [
    ("1b4ef158-039f-47cc-d49f-0a64b0da7b7e", 0),
    ("307780cf-e367-4005-8f6f-3d7ae7ab2e67", 0),
    ("377cf02e-00f6-4ae3-8f87-f3b61b9a1268", 0),
    ("e32da67c-bbb0-4808-2cd7-a05f0c29af82", 0),
];

/// A sample, the first event of the log that is to be sent, and of the recordings that are to be
/// sent the first index.
async fn goes_on(sample: &str, from: usize, recordings: &[(&str, i64)]) {
    let rig = Rig::new();
    rig.put(sample, DIRECTORY);
    let before = files(&rig.stage.path("storage").join(DIRECTORY));
    let summary = rig.run(rig.settings()).await.unwrap();
    assert!(summary.totals.balances(), "{summary:?}");
    rig.assert_sent_from(from);
    let expected: BTreeMap<String, Vec<i64>> = recordings
        .iter()
        .map(|(session, index)| ((*session).to_owned(), rig.indexes(session, *index)))
        .filter(|(_, indexes)| !indexes.is_empty())
        .collect();
    assert_eq!(rig.sent_indexes(), expected);
    if sample != "4-done" {
        // Against the manifest: nothing is lost, and nothing but the last event is sent again.
        let sent: BTreeSet<String> = rig.sent().into_iter().collect();
        let delivered = delivered_before(sample);
        let all: BTreeSet<&str> = rig.ids().into_iter().collect();
        assert!(all.iter().all(|id| sent.contains(*id) || delivered.contains(*id)));
        assert!(sent.intersection(&delivered).count() <= 1);
    }
    assert!(files(&rig.stage.path("storage").join(DIRECTORY)) == before, "the old files stay");
    // T-12: in the form that the reference handler sends, on the typed road too.
    let kept = ev_state::StateReader::open(rig.stage.path("storage")).unwrap().identity().unwrap();
    assert_eq!(kept.unwrap().1, ev_core::Flavour::Struct);
    for body in rig.stage.bodies().remove("events.log").unwrap_or_default() {
        assert!(body.find("\"cluster_name\"") < body.find("\"ei\""), "{body}");
    }

    // A second start goes on from its own state.
    let again = rig.run(rig.settings()).await.unwrap();
    assert_eq!((again.passed, again.sent), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_time_alone_begins_there() {
    goes_on("1-start-time-only", 0, &ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_on_the_first_page_is_found() {
    // The event behind the noted one had been sent when the handler was killed.
    goes_on("2-first-page", 7, &ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_an_id_and_recordings_with_their_index() {
    // The index is that of the last event, which comes once more. The event behind the noted one
    // had been sent when the handler was killed.
    let recordings = [(ALL[0].0, 25), (ALL[1].0, 8), (ALL[2].0, 0), (ALL[3].0, 17)];
    goes_on("3-cursor-id-sessions", 491, &recordings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_to_do_where_everything_was_sent() {
    goes_on("4-done", 600, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moving_window_a_recording_and_one_that_was_missing() {
    let rig = Rig::new();
    // Recordings that are announced behind the place come too.
    let announced: Vec<(&str, i64)> = rig.log[250..]
        .iter()
        .filter(|vector| vector.kind == "session.upload")
        .filter_map(|vector| ALL.iter().find(|(session, _)| *session == vector.session))
        .copied()
        .collect();
    let mut recordings = vec![(ALL[3].0, 11), (ALL[0].0, 0)];
    recordings.extend(announced.iter().filter(|(s, _)| *s != ALL[3].0 && *s != ALL[0].0));
    goes_on("6-window-legacy", 250, &recordings).await;
}

/// A clock that was ahead, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_ends_in_the_future_hides_nothing() {
    let rig = Rig::new();
    rig.put("3-cursor-id-sessions", DIRECTORY);
    write_file(&rig, "window_time", "2099-01-01T00:00:00Z");
    rig.run(rig.settings()).await.unwrap();
    assert!(rig.sent().len() >= 109, "{}", rig.sent().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_left_is_no_state() {
    let rig = Rig::new();
    rig.put("5-dry-run", DIRECTORY);
    let mut settings = rig.settings();
    settings.ingest.start_time_unix_secs = Some(START);
    rig.run(settings).await.unwrap();
    rig.assert_sent_from(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_lose_nothing() {
    let rig = Rig::new();
    rig.put("8-damaged", DIRECTORY);
    std::fs::remove_dir_all(rig.stage.path("storage").join(DIRECTORY).join("cursor_v2")).unwrap();
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(0);
    let expected = ALL.map(|(session, from)| (session.to_owned(), rig.indexes(session, from)));
    assert_eq!(rig.sent_indexes(), BTreeMap::from(expected));
}

/// What a crash of the old handler left: it did not start again before somebody removed the files.
#[tokio::test(flavor = "multi_thread")]
async fn pain_15_empty_files_of_recordings_are_no_reason_to_end() {
    let rig = Rig::new();
    rig.put("6-window-legacy", DIRECTORY);
    let (empty, _) = ALL[1];
    write_file(&rig, &format!("session{empty}"), "");
    write_file(&rig, "session", "x");
    let summary = rig.run(rig.settings()).await.unwrap();
    assert!(summary.totals.balances(), "{summary:?}");
    rig.assert_sent_from(250);
    assert_eq!(rig.sent_indexes()[empty], rig.indexes(empty, 0), "it is sent from its beginning");
}

fn message(result: Result<Summary, Error>) -> String {
    let error = result.expect_err("it is refused");
    assert!(!matches!(error, Error::Setting { .. }), "exit status 1, as the reference has it");
    error.to_string()
}

/// Where a search that begins at a second has that event, by Auth's own page keys.
fn key_of_page(rig: &Rig, start: i64, event: usize) -> String {
    let from = rig.log.iter().position(|v| v.time.seconds >= start).unwrap();
    let search = ev_test_support::Search {
        from: ev_test_support::UtcTime::from_seconds(start),
        to: ev_test_support::UtcTime::from_seconds(4_000_000_000),
        types: Vec::new(),
        limit: event - from,
        max_bytes: usize::MAX,
        key: String::new(),
        descending: false,
        unstructured: false,
    };
    rig.stage.auth.store(|store| store.search(&search)).unwrap().last_key
}

fn write_file(rig: &Rig, name: &str, content: &str) {
    let directory = rig.stage.path("storage").join(DIRECTORY);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(name), content).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_key_is_used_with_the_search_that_made_it() {
    // The id of an event that Auth does not have: only the page tells where it stands.
    let rig = Rig::new();
    write_file(&rig, "start_time", "2026-11-10T00:00:00Z");
    write_file(&rig, "id", "00000000-0000-4000-8000-000000000000");
    write_file(&rig, "cursor", &key_of_page(&rig, START, 300));
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(300);

    // Of newer releases the search begins at the window.
    let rig = Rig::new();
    let window = 1_794_960_000;
    write_file(&rig, "start_time", "2026-11-10T00:00:00Z");
    write_file(&rig, "window_time", "2026-11-18T00:00:00Z");
    write_file(&rig, "id", &rig.log[305].uid);
    write_file(&rig, "cursor", &key_of_page(&rig, window, 300));
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(306);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_proof_the_window_is_sent_again_and_nothing_in_front_of_it() {
    let rig = Rig::new();
    write_file(&rig, "start_time", "2026-11-10T00:00:00Z");
    write_file(&rig, "window_time", "2026-11-18T00:00:00Z");
    write_file(&rig, "id", "00000000-0000-4000-8000-000000000000");
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(100);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_events_behind_the_place_are_sent_whatever_their_time() {
    let rig = Rig::new();
    write_file(&rig, "start_time", "2026-11-10T00:00:00Z");
    write_file(&rig, "id", &rig.log[400].uid);
    // Stored behind everything, with a time in front of the place.
    let early = &rig.log[10];
    let made = ev_test_support::data::Maker::new(5).events(&[early], 1, early.time, early.time);
    let event = made.unwrap().remove(0).event();
    assert!(event.time < rig.log[400].time);
    rig.stage.auth.append([event]);
    rig.run(rig.settings()).await.unwrap();
    assert_eq!(rig.sent().len(), 600 - 401 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_of_the_cluster_finds_the_state_again() {
    // Two directories of other addresses: the older one is of this cluster, which its last event
    // proves. The newer one is not.
    let rig = Rig::new();
    rig.put("6-window-legacy", "proxy.example.com_443");
    rig.put("6-window-legacy", "other.example.com_3025");
    let other = rig.stage.path("storage").join("other.example.com_3025");
    std::fs::write(other.join("id"), "00000000-0000-4000-8000-000000000000").unwrap();
    std::fs::write(other.join("cursor"), "").unwrap();
    let later = std::time::Duration::from_secs(100);
    for name in ["id", "cursor"] {
        let file = std::fs::File::open(other.join(name)).unwrap();
        let changed = file.metadata().unwrap().modified().unwrap();
        file.set_modified(changed + later).unwrap();
    }
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(250);

    // Ours is kept by the name of the cluster: another way to it changes nothing.
    let mut settings = rig.settings();
    settings.teleport.addr = settings.teleport.addr.replace("127.0.0.1", "localhost");
    let again = rig.run(settings).await.unwrap();
    assert_eq!((again.passed, again.sent), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_the_one_of_our_address_is_taken() {
    let rig = Rig::new();
    rig.put("4-done", "proxy.example.com_443");
    let own = format!("127.0.0.1_{}", rig.stage.auth.addr().port());
    rig.put("6-window-legacy", &own);
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(250);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_35_the_start_time_is_compared_as_an_instant() {
    let rig = Rig::new();
    rig.put("6-window-legacy", DIRECTORY);
    let with = |start: i64| {
        let mut settings = rig.settings();
        settings.ingest.start_time_unix_secs = Some(start);
        settings
    };
    // Before anything is taken over, and behind it.
    for _ in 0..2 {
        let refused = message(rig.run(with(START + 1)).await);
        assert!(refused.contains("began at 2026-11-10T00:00:00Z"), "{refused}");
        assert!(refused.contains("`start-time` is 2026-11-10T00:00:01Z"), "{refused}");
        assert!(refused.contains("remove it to go on"), "{refused}");
        rig.run(with(START)).await.unwrap();
        rig.assert_sent_from(250);
    }

    // However it is written.
    let config = rig.stage.write_config(rig.stage.auth.addr());
    let text = std::fs::read_to_string(&config).unwrap();
    let line = text.lines().find(|line| line.starts_with("start-time")).unwrap();
    let other = text.replace(line, "start-time = \"2026-11-10T05:30:00+05:30\"");
    std::fs::write(&config, other).unwrap();
    let config = config.to_str().unwrap();
    let args = ["start", "--config", config, "--exit-on-last-event"];
    let matches = ev_config::start_command().try_get_matches_from(args).unwrap();
    let loaded = ev_config::load(&matches, &|_| None, rig.stage.dir.path()).unwrap();
    let summary = rig.run(loaded.settings).await.unwrap();
    assert_eq!(summary.passed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_18_a_new_state_begins_behind_an_event() {
    let rig = Rig::new();
    let with = |cursor: &str, start| {
        let mut settings = rig.settings();
        settings.ingest.cursor = Some(cursor.to_owned());
        settings.ingest.start_time_unix_secs = start;
        settings
    };
    let unknown = "00000000-0000-4000-8000-000000000000";
    let refused = message(rig.run(with(unknown, Some(START))).await);
    assert!(
        refused.contains("the log has no event of the noted id; nothing was sent"),
        "{refused}"
    );
    assert_eq!(rig.sent(), [""; 0]);

    let id = rig.log[449].uid.clone();
    rig.run(with(&id, None)).await.unwrap();
    rig.assert_sent_from(450);
    // Once: what it is for is over.
    let refused = message(rig.run(with(&id, None)).await);
    assert!(refused.contains("remove the setting"), "{refused}");
    assert_eq!(rig.run(rig.settings()).await.unwrap().passed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_18_a_new_state_begins_at_a_page() {
    let rig = Rig::new();
    let mut settings = rig.settings();
    settings.ingest.cursor = Some(key_of_page(&rig, START, 300));
    let refused = message(rig.run(settings.clone()).await);
    assert!(refused.contains("set `start-time`"), "{refused}");
    settings.ingest.start_time_unix_secs = Some(START);
    let mut other = settings.clone();
    other.ingest.cursor = Some("rigk-300".to_owned());
    let refused = message(rig.run(other).await);
    assert!(refused.contains("auth takes no such page key"), "{refused}");
    rig.run(settings).await.unwrap();
    rig.assert_sent_from(300);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_18_a_state_to_take_over_knows_better() {
    let rig = Rig::new();
    rig.put("6-window-legacy", DIRECTORY);
    let mut settings = rig.settings();
    settings.ingest.cursor = Some(rig.log[1].uid.clone());
    let refused = message(rig.run(settings).await);
    assert!(refused.contains(DIRECTORY), "{refused}");
    assert_eq!(rig.sent(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_without_a_start_time_nobody_guesses() {
    let rig = Rig::new();
    for name in ["start_time", "id", "cursor"] {
        write_file(&rig, name, "");
    }
    let refused = message(rig.run(rig.settings()).await);
    assert!(refused.contains("set `start-time`"), "{refused}");
    let mut settings = rig.settings();
    settings.ingest.start_time_unix_secs = Some(START);
    rig.run(settings).await.unwrap();
    rig.assert_sent_from(0);
}

/// What is exported is what a reference handler, or another one of ours, goes on from.
#[tokio::test(flavor = "multi_thread")]
async fn going_back_loses_nothing() {
    let rig = Rig::new();
    rig.put("6-window-legacy", DIRECTORY);
    // Stopped in the middle.
    let stop = CancellationToken::new();
    let mut settings = rig.settings();
    settings.ingest.exit_on_last_event = false;
    settings.ingest.page_size = 20;
    let run = start(settings, stop.clone());
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => panic!("the program ended by itself: {ended:?}"),
        () = rig.stage.received(120) => stop.cancel(),
    }
    run.await.unwrap();
    let sent: BTreeSet<String> = rig.sent().into_iter().collect();
    let delivered = delivered_before("6-window-legacy");

    let dir = rig.stage.dir.path();
    let export = |more: &[&str]| {
        let args = [&["state", "export", "back", "--storage", "storage"][..], more].concat();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"));
        let output = command.args(args).current_dir(dir).env_clear().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, out, errors) = export(&["--addr", "auth.example.com:3025"]);
    assert_eq!((status, out.trim_end()), (Some(0), "back/auth.example.com_3025"), "{errors}");
    let (status, _, errors) = export(&["--addr", "auth.example.com:3025"]);
    assert_eq!(status, Some(1));
    assert!(errors.contains("is there already"), "{errors}");
    let (status, _, errors) = export(&["--addr", "nowhere"]);
    assert_eq!(status, Some(1), "{errors}");

    // By the rules of the layout: everything in front of the window was delivered.
    let (state, findings) =
        ev_reference_state::read(&dir.join("back/auth.example.com_3025")).unwrap();
    assert_eq!(findings, []);
    let window = state.window_time.unwrap();
    for vector in rig.log.iter().filter(|vector| vector.time.seconds < window) {
        assert!(sent.contains(&vector.uid) || delivered.contains(&vector.uid));
    }
    assert!(window > 1_794_960_000, "and it is not where it was");

    // Another handler goes on from there.
    rig.stage.fluentd.clear();
    let mut settings = rig.settings();
    settings.storage = rig.stage.path("back");
    rig.run(settings).await.unwrap();
    let again: BTreeSet<String> = rig.sent().into_iter().collect();
    for vector in &rig.log {
        let id = &vector.uid;
        assert!(sent.contains(id) || delivered.contains(id) || again.contains(id), "{id} is lost");
    }
    let early: Vec<_> = rig.log.iter().filter(|vector| vector.time.seconds < window).collect();
    assert!(early.iter().all(|vector| !again.contains(&vector.uid)), "and nothing from before");
    let all = |session: &str| {
        rig.recordings[session].iter().filter(|e| e.kind != "print").map(|e| e.index).max()
    };
    let indexes = rig.sent_indexes();
    for (session, sent) in &indexes {
        assert_eq!(sent.iter().max().copied(), all(session), "{session}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_shown() {
    let rig = Rig::new();
    rig.put("3-cursor-id-sessions", DIRECTORY);
    for (session, _) in ALL {
        rig.stage.auth.store(|store| store.remove_recording(session));
    }
    let stop = CancellationToken::new();
    let mut settings = rig.settings();
    settings.ingest.exit_on_last_event = false;
    let run = start(settings, stop.clone());
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => panic!("the program ended by itself: {ended:?}"),
        () = rig.stage.received(109) => stop.cancel(),
    }
    run.await.unwrap();
    let show = |more: &[&str]| {
        let args = [&["state", "show", "--storage", "storage"][..], more].concat();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"));
        let dir = rig.stage.dir.path();
        let output = command.args(args).current_dir(dir).env_clear().output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = show(&[]);
    for expected in [
        "cluster       rig.example.com",
        "sink fluentd",
        "start time    2026-11-10T00:00:00Z",
        "109 delivered",
        "window        2026-11-",
        "recording     1b4ef158-039f-47cc-d49f-0a64b0da7b7e from index 25",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let json: Value = serde_json::from_str(&show(&["--json"])).unwrap();
    assert_eq!(json["cluster"], "rig.example.com");
    assert_eq!(json["sinks"][0]["totals"]["delivered"], 109);
    let lanes = json["sinks"][0]["lanes"].as_array().unwrap();
    let recordings = lanes.iter().filter(|lane| lane["index"].is_i64()).count();
    assert_eq!(recordings, 4);
}

/// The sample of the bulk export with the names that our Auth gives its chunks: chunk by chunk the
/// same events.
fn put_chunks(rig: &Rig) {
    rig.put("7-cursor-v2", DIRECTORY);
    let root = rig.stage.path("storage").join(DIRECTORY).join("cursor_v2");
    rig.stage.auth.set(|switches| {
        switches.export_chunk = 50;
        switches.unimplemented.clear();
    });
    let names = |date: &str| {
        let day = ev_core::Date::parse(date).unwrap().start() / 86_400;
        rig.stage.auth.store(|store| store.export_chunks(day, 50))
    };
    let (first, second) = (names("2026-11-17"), names("2026-11-18"));
    assert_eq!((first.len(), second.len()), (2, 4));
    let mut list = first.clone();
    list.sort();
    std::fs::write(root.join("2026-11-17/completed-chunks"), format!("{}\n", list.join("\n")))
        .unwrap();
    let chunk = |ordinal: usize| {
        // Names are listed in no order; that of the n-th chunk is told by its events.
        let day = ev_core::Date::parse("2026-11-18").unwrap().start() / 86_400;
        let first = &rig.log[100 + ordinal * 50];
        let begins = |name: &&String| {
            let events = rig.stage.auth.store(|store| store.export(day, name, "")).unwrap();
            events.first().is_some_and(|(_, event, _)| event.oneof == first.oneof)
        };
        second.iter().find(begins).unwrap().clone()
    };
    let date = root.join("2026-11-18");
    std::fs::write(date.join("completed-chunks"), format!("{}\n", chunk(0))).unwrap();
    std::fs::remove_file(date.join("00000150-5a5ed100960c.chunk")).unwrap();
    let day = ev_core::Date::parse("2026-11-18").unwrap().start() / 86_400;
    let partial = chunk(1);
    let events = rig.stage.auth.store(|store| store.export(day, &partial, "")).unwrap();
    std::fs::write(date.join(format!("{partial}.chunk")), &events[19].2).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_the_bulk_export_are_known_to_a_search() {
    let rig = Rig::new();
    put_chunks(&rig);
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(170);
    let sent: BTreeSet<String> = rig.sent().into_iter().collect();
    assert_eq!(sent.intersection(&delivered_before("7-cursor-v2")).count(), 0);
    let again = rig.run(rig.settings()).await.unwrap();
    assert_eq!((again.passed, again.sent), (0, 0));
}

/// What most handlers of the newest release leave behind: it goes on by the same calls, and back.
#[tokio::test(flavor = "multi_thread")]
async fn the_bulk_export_goes_on_by_the_export_and_back_again() {
    let rig = Rig::new();
    put_chunks(&rig);
    rig.stage.auth.set(|switches| switches.offer_only(&[Api::Export, Api::Unstructured]));
    let with = |storage: &str| {
        let mut settings = rig.settings();
        settings.storage = rig.stage.path(storage);
        settings.ingest.source = ev_config::Road::Auto;
        settings.fluentd.as_mut().unwrap().batching.max_events = 7;
        settings
    };
    // Stopped in the middle of a chunk.
    rig.stage.fluentd.set(|switches| switches.latency_ms = 5);
    let stop = CancellationToken::new();
    let mut settings = with("storage");
    settings.ingest.exit_on_last_event = false;
    let run = start(settings, stop.clone());
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => panic!("the program ended by itself: {ended:?}"),
        () = rig.stage.received(120) => stop.cancel(),
    }
    run.await.unwrap();
    let first = rig.sent();
    let sent: BTreeSet<&str> = first.iter().map(String::as_str).collect();
    let before = delivered_before("7-cursor-v2");
    assert_eq!(sent.len(), first.len(), "nothing twice");
    assert!(!before.iter().any(|id| sent.contains(id.as_str())), "nothing from before");

    // Its dates, chunks and cursors stand in the reference handler's files.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command.args(["state", "export", "back", "--storage", "storage", "--addr", "a.example.com:1"]);
    let output = command.current_dir(rig.stage.dir.path()).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (state, findings) =
        ev_reference_state::read(&rig.stage.path("back/a.example.com_1")).unwrap();
    assert_eq!(findings, []);
    let date = ev_core::Date::parse("2026-11-18").unwrap();
    assert!(!state.dates[&date].completed.is_empty());

    // Whoever goes on from them sends the rest.
    let second = rig.run(with("back")).await.unwrap();
    assert!(second.totals.balances(), "{second:?}");
    let all = rig.sent();
    let again: BTreeSet<&str> = all[first.len()..].iter().map(String::as_str).collect();
    assert_eq!(again.len(), all.len() - first.len(), "nothing twice");
    // What stands in front of a cursor is not sent again. Behind the cursor of a chunk that was
    // under way it is: the reference handler has no place for single events.
    let mut known = 0;
    for (date, chunks) in &state.dates {
        let day = date.start() / 86_400;
        let completed = chunks.completed.iter().map(|chunk| (chunk, None));
        let partial = chunks.partial.iter().map(|(chunk, cursor)| (chunk, Some(cursor)));
        for (chunk, up_to) in completed.chain(partial) {
            let events = rig.stage.auth.store(|store| store.export(day, chunk, "")).unwrap();
            for (_, event, cursor) in &events {
                let of = rig.log.iter().find(|vector| event.oneof == vector.oneof).unwrap();
                assert!(!again.contains(of.uid.as_str()), "{date} {chunk} {}", of.uid);
                known += 1;
                if up_to == Some(cursor) {
                    break;
                }
            }
        }
    }
    assert!(known >= 50, "{known}");
    let repeated = again.intersection(&sent).count();
    assert!(repeated <= 50 * rig.settings().ingest.export.chunks, "{repeated}");
    let mut all: BTreeSet<String> = all.into_iter().collect();
    assert!(all.is_disjoint(&before), "nothing from before");
    all.extend(before);
    assert_eq!(all.len(), rig.log.len(), "nothing is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_auth_does_not_have_are_sent_again_from_their_dates_on() {
    // The names are of another Auth.
    let rig = Rig::new();
    rig.put("7-cursor-v2", DIRECTORY);
    rig.stage.auth.set(|switches| switches.unimplemented.clear());
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(0);

    // Nor does it offer the export.
    let rig = Rig::new();
    rig.put("8-damaged", DIRECTORY);
    let names = ["GetEventExportChunks", "ExportUnstructuredEvents"].map(str::to_owned);
    rig.stage.auth.set(|switches| switches.unimplemented = names.to_vec());
    rig.run(rig.settings()).await.unwrap();
    rig.assert_sent_from(0);
}

/// The program as a process of its own, on the same settings.
fn program(rig: &Rig) -> tokio::process::Command {
    let config = rig.stage.write_config(rig.stage.auth.addr());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command
        .args(["start", "--exit-on-last-event", "--start-time", "2026-11-10T00:00:00Z", "--config"])
        .arg(config)
        .current_dir(rig.stage.dir.path())
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

/// What is odd about the old files, and what becomes of them, is told once.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_what_is_taken_over() {
    let rig = Rig::new();
    rig.put("6-window-legacy", DIRECTORY);
    write_file(&rig, &format!("session{}", ALL[1].0), "");
    for is_first in [true, false] {
        let child = program(&rig).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let ended = tokio::time::timeout(PATIENCE, child.wait_with_output());
        let output = ended.await.expect("an end").unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        for expected in
            ["taking over the state of the reference handler", DIRECTORY, "known_events="]
        {
            assert_eq!(log.contains(expected), is_first, "{expected}: {log}");
        }
        let odd = log.lines().filter(|line| line.contains("WARN") && line.contains(ALL[1].0));
        assert_eq!(odd.count(), usize::from(is_first), "{log}");
    }
}

/// What the reference handler has delivered nobody has kept, which is no loss.
#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_tells_what_lies_before_the_takeover() {
    let rig = Rig::new();
    rig.put("4-done", DIRECTORY);
    let settings = rig.settings();
    rig.run(settings).await.unwrap();
    let verify = async |from: &str, to: &str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ev-handler"));
        command.args(["verify", "--json", "--config", "handler.toml", "--from", from, "--to", to]);
        command.current_dir(rig.stage.dir.path()).env_clear().kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output());
        let output = ended.await.expect("an end").unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let report: Value = serde_json::from_slice(&output.stdout).expect(&errors);
        (output.status.code(), report)
    };
    // The day of its last event is known from its beginning on, 2026-11-20.
    let (status, report) = verify("2026-11-17T12:00:00Z", "2026-11-19T00:00:00Z").await;
    assert_eq!(status, Some(2), "{report}");
    assert_eq!((&report["compared"], &report["before_takeover"]), (&0.into(), &36.into()));
    let (status, report) = verify("2026-11-17T12:00:00Z", "2026-11-20T12:00:00Z").await;
    assert_eq!((&report["compared"], &report["before_takeover"]), (&12.into(), &60.into()));
    assert_eq!((&report["differing"], &report["without_row"]), (&0.into(), &0.into()), "{report}");
    let recordings = &report["recordings"];
    assert_eq!((&recordings["without_row"], &recordings["differing"]), (&0.into(), &0.into()));
    assert!(matches!(status, Some(0 | 3)), "{status:?}: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_takes_over_it_takes_over_once() {
    let rig = Rig::new();
    rig.put("6-window-legacy", DIRECTORY);
    rig.stage.auth.set(|switches| switches.latency_ms = 20);
    let searches = || rig.stage.auth.tally().methods.get("GetEvents").map_or(0, |m| m.calls);
    for more in [1, 2, 4, 7, 9, 12] {
        let before = searches();
        let mut child = program(&rig).spawn().unwrap();
        // The first searches are those of the takeover.
        let asked = rig.stage.auth.wait(|tally| {
            tally.methods.get("GetEvents").is_some_and(|method| method.calls >= before + more)
        });
        tokio::time::timeout(PATIENCE, asked).await.expect("it asks");
        child.kill().await.unwrap();
    }
    let mut child = program(&rig).spawn().unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("an end").unwrap();
    assert!(status.success(), "{status:?}");
    let sent: BTreeSet<String> = rig.sent().into_iter().collect();
    let expected: BTreeSet<String> = rig.ids()[250..].iter().map(|id| (*id).to_owned()).collect();
    assert!(sent == expected, "nothing is lost, and nothing from before comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_without_typed_events_is_asked_by_its_other_calls() {
    let rig = Rig::new();
    rig.put("6-window-legacy", DIRECTORY);
    let names = ["GetEvents", "StreamSessionEvents", "GetEventExportChunks"].map(str::to_owned);
    rig.stage.auth.set(|switches| switches.unimplemented = names.to_vec());
    let mut settings = rig.settings();
    settings.ingest.source = ev_config::Road::Unstructured;
    rig.run(settings).await.unwrap();
    rig.assert_sent_from(250);
    let indexes = rig.sent_indexes();
    assert_eq!(indexes[ALL[3].0], rig.indexes(ALL[3].0, 11), "recordings go on at their index");
}
