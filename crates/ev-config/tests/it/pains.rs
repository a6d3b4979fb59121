//! What users of the reference handler suffered from in their configurations, by the number that it
//! has in `docs/migration.md`.

use crate::rig::Rig;

/// Filters that filter nothing.
#[test]
fn pain_07_a_filter_that_no_event_can_pass_is_told() {
    let rig = Rig::new().toml("types = 'session.upload, user.*, user.lgoin'");
    let warnings = rig.warnings();
    for part in ["blanks", "`user.*`: names are exact", "did you mean `user.login`?"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    assert_eq!(rig.load().settings.ingest.types, ["session.upload", "user.*", "user.lgoin"]);
}

/// Names in the documents that nothing reads, and names that nobody documents.
#[test]
fn pain_27_every_documented_variable_is_read_and_a_misspelt_one_is_told_once() {
    let rig = Rig::new()
        .env("FDWRD_FLUENTD_CA", "ca")
        .env("FDFWD_DEBUG", "1")
        .env("FDFWD_DRY_RUN", "0")
        .env("FDFWD_EXIT_ON_LAST_EVENT", "1")
        .env("FDFWD_CONCURRENCY", "7")
        .env("FDFWD_WINDOW_SIZE", "2h")
        .env("FDFWD_START_TIME", "2024-02-29T12:00:00Z");
    let loaded = rig.load();
    let settings = loaded.settings;
    assert!(settings.debug && settings.ingest.exit_on_last_event);
    assert_eq!(settings.ingest.concurrency, 7);
    assert_eq!(settings.ingest.window_size.as_secs(), 7200);
    assert_eq!(settings.ingest.start_time_unix_secs, Some(1_709_208_000));
    assert_eq!(settings.fluentd.as_ref().expect("set").ca, Some(rig.path("ca")));
    let told = loaded.warnings.iter().filter(|found| found.message.contains("misspelling"));
    assert_eq!(told.count(), 1);
}

/// A suffix that nobody expects behind the session URL, and filters that no document has.
#[test]
fn pain_28_where_recordings_go_can_be_said_and_filters_are_documented() {
    let url = "https://fluentd:8888/sessions/{session-id}";
    let rig = Rig::new().flag(format!("--fluentd-session-url={url}"));
    assert_eq!(rig.warnings(), "");
    assert_eq!(rig.load().settings.fluentd.as_ref().expect("set").session_url, url);
    let page = ev_config::document();
    for name in ["types", "skip-event-types", "skip-session-types", "{session-id}"] {
        assert!(page.contains(name), "{name}");
    }
}
