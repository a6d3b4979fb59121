//! What holds when nobody says otherwise, and how each kind of value is read.

use std::time::Duration;

use ev_config::{
    ArtifactPlace, BatchMode, BatchModeReason, Batching, Body, Credentials, Decoder, Downgrade,
    EmbeddedTables, Exactness, Export, Fluentd, Gzip, InFlight, Ingest, Json, JsonFlavour, Lock,
    LogFormat, Origin, Road, Settings, Teleport, Timeouts, Unknown, VersionPolicy, options,
};

use crate::rig::Rig;

#[test]
fn a_minimal_configuration_has_the_defaults_of_the_reference() {
    let rig = Rig::new();
    let loaded = rig.load();
    let expected = Settings {
        storage: "/var/lib/ev".into(),
        debug: false,
        log_format: LogFormat::Text,
        diag_addr: None,
        teleport: Teleport {
            addr: "localhost:3025".into(),
            credentials: Credentials::Identity(rig.path("identity")),
            refresh: Some(Duration::from_secs(60)),
            proxy_ca: None,
        },
        fluentd: Some(Fluentd {
            url: "https://fluentd:8888/test.log".into(),
            session_url: "https://fluentd:8888/session".into(),
            ca: None,
            client: None,
            key_passphrase_file: None,
            key_passphrase_variable: "EV_FLUENTD_KEY_PASSPHRASE".into(),
            refresh: Duration::from_secs(30),
            max_connections: 10,
            in_flight: InFlight::Adaptive,
            batching: Batching {
                mode: BatchMode::Single,
                body: Body::Json,
                reason: BatchModeReason::OnlyReferenceSettings,
                max_events: 500,
                max_bytes: 1 << 20,
                max_age: Duration::from_millis(200),
                gzip: Gzip::Off,
            },
            headers: Vec::new(),
            token: None,
            id_headers: true,
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                handshake: Duration::from_secs(5),
                request: Duration::from_secs(30),
                response: Duration::from_secs(30),
            },
            probe: false,
        }),
        forward: None,
        file: None,
        ingest: Ingest {
            page_size: 20,
            types: Vec::new(),
            skip_event_types: Vec::new(),
            skip_session_types: vec!["print".into(), "desktop.recording".into()],
            cursor: None,
            start_time_unix_secs: None,
            poll_interval: Duration::from_secs(10),
            window_size: Duration::from_secs(24 * 3600),
            concurrency: 5,
            exit_on_last_event: false,
            rescan: vec![Duration::from_secs(600), Duration::from_secs(6 * 3600)],
            recording_patience: Some(Duration::from_secs(48 * 3600)),
            max_parked_events: 1_000_000,
            max_parked_bytes: 1 << 30,
            export_parked: false,
            source: Road::Auto,
            export: Export { chunks: 3, backlog: 2, poll: Duration::from_secs(16) },
        },
        json: Json { flavour: JsonFlavour::Auto, print_data: false },
        decoder: Decoder {
            trust: None,
            artifacts: None,
            version_policy: VersionPolicy::Exact,
            exactness: Exactness::Auth,
            unknown: Unknown::Auto,
            artifact_wait: Duration::from_secs(60),
            embedded: EmbeddedTables::All,
            downgrade: Downgrade::Always,
            allow_wasi_modules: false,
        },
        lock: None,
        audit: None,
        dry_run: false,
        dry_run_print: false,
    };
    assert_eq!(loaded.settings, expected);
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.file, None);
    assert_eq!(*loaded.origin("batch"), Origin::Default);
    assert_eq!(*loaded.origin("storage"), Origin::Env("FDFWD_STORAGE"));
}

#[test]
fn every_default_of_the_table_is_read() {
    let rig = Rig::new();
    let loaded = rig.load();
    for effective in loaded.effective() {
        assert_eq!(
            effective.value.is_some(),
            effective.option.default.is_some() || effective.origin.is_given(),
            "{}",
            effective.option.name
        );
    }
    assert_eq!(loaded.effective().count(), options().len());
    // A default written as a flag means the same, and is no reason for a warning.
    for option in options().iter().filter(|option| option.has_flag()) {
        if let Some(default) = option.default {
            let loaded = Rig::new().flag(format!("--{}={default}", option.name)).load();
            // Of a receiver that is not turned on, any setting is.
            let is_orphan = ["forward-", "file-"].iter().any(|p| option.name.starts_with(p));
            assert_eq!(loaded.warnings.len(), usize::from(is_orphan), "{}", option.name);
            let mut settings = loaded.settings;
            // Ours change the batch mode and what goes with it, and each rig has its own directory.
            settings.fluentd.as_mut().expect("set").batching =
                rig.load().settings.fluentd.expect("set").batching;
            settings.fluentd.as_mut().expect("set").max_connections =
                rig.load().settings.fluentd.expect("set").max_connections;
            settings.teleport.credentials = rig.load().settings.teleport.credentials;
            assert_eq!(settings, rig.load().settings, "{}", option.name);
        }
    }
}

#[test]
fn everything_can_be_set_by_the_file() {
    let rig = Rig::empty().toml(
        r#"
        storage = "/s"
        debug = true
        batch = 500
        types = ["session.upload", "user.login"]
        skip-event-types = "a,b\\,c"
        skip-session-types = ["print"]
        start-time = 2026-01-31T12:00:00.75+01:00
        timeout = "250ms"
        exit-on-last-event = true
        concurrency = 7
        window-size = "1h"
        rescan = ["1m"]
        recording-patience = "0s"
        parked.max-events = 100
        parked.max-bytes = 2097152
        parked.overflow = "export"
        source = "typed"
        export.chunks = 9
        export.backlog = 0
        export.poll = "1s"
        json-flavour = "struct"
        diag-addr = ":3000"
        print-data = true

        [teleport]
        addr = "[::1]:443"
        cert = "cert"
        key = "key"
        ca = "ca"
        refresh.enabled = false
        refresh.interval = "5s"

        [forward.fluentd]
        url = "https://f/x"
        session-url = "https://f/y"
        ca = "ca"
        cert = "cert"
        key = "key"
        max-connections = 3
        batch-mode = "array"
        body = "ndjson"
        headers = ["X-Key: a"]
        token-file = "other"
        token-scheme = "Token"
        batch-events = 10
        batch-bytes = 2048
        batch-age = "1s"
        in-flight = "fixed"
        gzip = "always"
        id-headers = false
        connect-timeout = "1s"
        handshake-timeout = "2s"
        request-timeout = "3s"
        response-timeout = "4s"
        probe-receiver = true
        refresh-interval = "1m"

        [decoder]
        trust = "other"
        artifacts = "dir"
        version-policy = "nearest-newer-in-major"
        exactness = "known-native"
        unknown = "park"
        artifact-wait = "2m"
        embedded = "oldest"
        downgrade = "never"
        allow-wasi-modules = true

        [log]
        format = "json"
        "#,
    );
    let loaded = rig.load();
    let line = Origin::File { path: rig.path("ev.toml").into(), line: 37 };
    assert_eq!(loaded.origin("fluentd-ca").to_string(), line.to_string());
    let expected = Settings {
        storage: "/s".into(),
        debug: true,
        log_format: LogFormat::Json,
        diag_addr: Some("0.0.0.0:3000".parse().unwrap()),
        teleport: Teleport {
            addr: "[::1]:443".into(),
            credentials: Credentials::Files {
                cert: rig.path("cert"),
                key: rig.path("key"),
                ca: rig.path("ca"),
            },
            refresh: None,
            proxy_ca: None,
        },
        fluentd: Some(Fluentd {
            url: "https://f/x".into(),
            session_url: "https://f/y".into(),
            ca: Some(rig.path("ca")),
            client: Some(ev_config::ClientCertificate {
                cert: rig.path("cert"),
                key: rig.path("key"),
            }),
            key_passphrase_file: None,
            key_passphrase_variable: "EV_FLUENTD_KEY_PASSPHRASE".into(),
            refresh: Duration::from_secs(60),
            max_connections: 3,
            in_flight: InFlight::Fixed,
            batching: Batching {
                mode: BatchMode::Array,
                body: Body::Ndjson,
                reason: BatchModeReason::Set,
                max_events: 10,
                max_bytes: 2048,
                max_age: Duration::from_secs(1),
                gzip: Gzip::Always,
            },
            headers: vec![ev_config::Header { name: "X-Key".into(), value: "a".into() }],
            token: Some(ev_config::Token { file: rig.path("other"), scheme: "Token".into() }),
            id_headers: false,
            timeouts: Timeouts {
                connect: Duration::from_secs(1),
                handshake: Duration::from_secs(2),
                request: Duration::from_secs(3),
                response: Duration::from_secs(4),
            },
            probe: true,
        }),
        forward: None,
        file: None,
        ingest: Ingest {
            page_size: 500,
            types: vec!["session.upload".into(), "user.login".into()],
            skip_event_types: vec!["a".into(), "b,c".into()],
            skip_session_types: vec!["print".into()],
            cursor: None,
            start_time_unix_secs: Some(1_769_857_200),
            poll_interval: Duration::from_millis(250),
            window_size: Duration::from_secs(3600),
            concurrency: 7,
            exit_on_last_event: true,
            rescan: vec![Duration::from_secs(60)],
            recording_patience: None,
            max_parked_events: 100,
            max_parked_bytes: 2 << 20,
            export_parked: true,
            source: Road::Typed,
            export: Export { chunks: 9, backlog: 0, poll: Duration::from_secs(1) },
        },
        json: Json { flavour: JsonFlavour::Struct, print_data: true },
        decoder: Decoder {
            trust: Some(rig.path("other")),
            artifacts: Some(ArtifactPlace::Directory(rig.path("dir"))),
            version_policy: VersionPolicy::NearestNewerInMajor,
            exactness: Exactness::KnownNative,
            unknown: Unknown::Park,
            artifact_wait: Duration::from_secs(120),
            embedded: EmbeddedTables::Oldest,
            downgrade: Downgrade::Never,
            allow_wasi_modules: true,
        },
        lock: None,
        audit: None,
        dry_run: false,
        dry_run_print: false,
    };
    assert_eq!(loaded.settings, expected);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn artifacts_may_lie_under_an_address() {
    let toml = "[decoder]
trust = 'other'
artifacts = 'https://user:s3cret@h/ev?sig=s3cret'
                artifacts-ca = 'ca'
artifacts-cert = 'cert'
artifacts-key = 'key'
";
    let rig = Rig::new().toml(toml);
    let loaded = rig.load();
    let client = ev_config::ClientCertificate { cert: rig.path("cert"), key: rig.path("key") };
    let expected = ArtifactPlace::Https {
        url: "https://user:s3cret@h/ev?sig=s3cret".into(),
        ca: Some(rig.path("ca")),
        client: Some(client),
    };
    assert_eq!(loaded.settings.decoder.artifacts, Some(expected));
    assert_eq!(loaded.warnings, []);
    let shown: Vec<_> = loaded.effective().filter_map(|effective| effective.value).collect();
    assert!(shown.contains(&"https://***@h/ev?***"), "{shown:?}");
    assert!(!shown.iter().any(|value| value.contains("s3cret")), "{shown:?}");
}

#[test]
fn settings_that_say_the_same_are_equal_wherever_they_stand() {
    for text in [
        "[decoder]\nunknown = 'park'\n",
        "[forward.fluentd]\nbatch-mode = 'array'\n",
        "batch = 7\n",
    ] {
        let rig = Rig::new().toml(text);
        let first = rig.load().settings;
        assert_eq!(rig.toml(&format!("# a line more\n\n{text}")).load().settings, first);
    }
}

#[test]
fn the_batch_mode_follows_whom_the_configuration_was_written_for() {
    let check = |rig: Rig, mode, why: &str| {
        let loaded = rig.load();
        let batching = &loaded.settings.fluentd.as_ref().expect("set").batching;
        assert_eq!(batching.mode, mode);
        let reason = match (batching.reason, loaded.first_own()) {
            (BatchModeReason::Set, _) => format!("set {}", loaded.origin("fluentd-batch-mode")),
            (BatchModeReason::OnlyReferenceSettings, None) => "reference".to_owned(),
            (BatchModeReason::OwnSetting, Some(own)) => {
                format!("{} {}", own.option.setting(), own.origin)
            }
            other => panic!("{other:?}"),
        };
        let directory = rig.path("").display().to_string();
        assert_eq!(reason.replace(&directory, ""), why);
    };
    let reference = "debug = true\nbatch = 1\n[teleport]\naddr = 'a:1'\n[lock]\nenabled = true\n";
    check(Rig::new().toml(reference), BatchMode::Single, "reference");
    check(Rig::new().toml("unknown = 1"), BatchMode::Single, "reference");
    check(Rig::new().flag("--strict"), BatchMode::Single, "reference");
    let own = "[decoder]\nunknown = 'park'";
    check(Rig::new().toml(own), BatchMode::Array, "decoder.unknown ev.toml:2");
    let by_default = "[forward.fluentd]\nin-flight = 'adaptive'";
    check(Rig::new().toml(by_default), BatchMode::Array, "forward.fluentd.in-flight ev.toml:2");
    // Whoever only adds metrics, or wants another form of log, is not to find another body at a
    // receiver that knows one event a request.
    let beside = "diag-addr = '127.0.0.1:3000'\n[log]\nformat = 'json'\n[audit]\nplane = 'data'";
    check(Rig::new().toml(beside), BatchMode::Single, "reference");
    check(Rig::new().flag("--diag-addr=:3000"), BatchMode::Single, "reference");
    check(
        Rig::new().flag("--diag-addr=:3000").toml(own),
        BatchMode::Array,
        "decoder.unknown ev.toml:2",
    );
    check(Rig::new().env("EV_PRINT_DATA", "false"), BatchMode::Array, "print-data EV_PRINT_DATA");
    let single = Rig::new().flag("--fluentd-batch-mode=single").toml(own);
    check(single, BatchMode::Single, "set --fluentd-batch-mode");
}

#[test]
fn arrays_are_compressed_above_a_size_and_single_objects_are_not() {
    let check = |toml: &str, gzip| {
        let toml = format!("[forward.fluentd]\n{toml}");
        assert_eq!(
            Rig::new().toml(&toml).load().settings.fluentd.as_ref().expect("set").batching.gzip,
            gzip,
            "{toml}"
        );
    };
    let auto = |above_bytes| Gzip::Auto { above_bytes };
    check("", Gzip::Off);
    check("max-connections = 3", Gzip::Off);
    check("batch-mode = 'single'", Gzip::Off);
    check("batch-mode = 'array'", auto(8192));
    check("gzip-above = 100", auto(100));
    check("gzip-above = 0\ngzip = 'auto'", auto(0));
    check("batch-mode = 'array'\ngzip = 'off'", Gzip::Off);
    check("batch-mode = 'single'\ngzip = 'auto'", auto(8192));
    check("batch-mode = 'single'\ngzip = 'always'", Gzip::Always);
}

#[test]
fn fewer_than_one_connection_means_twice_the_concurrency() {
    let check = |toml: &str, connections| {
        assert_eq!(
            Rig::new().toml(toml).load().settings.fluentd.as_ref().expect("set").max_connections,
            connections
        );
    };
    check("concurrency = 3", 6);
    check("concurrency = 3\nforward.fluentd.max-connections = 0", 6);
    check("concurrency = 3\nforward.fluentd.max-connections = -1", 6);
    check("concurrency = 3\nforward.fluentd.max-connections = 1", 1);
    check("concurrency = 3\nforward.fluentd.batch-mode = \"array\"", 4);
    check("concurrency = 3\nforward.fluentd.batch-mode = \"single\"", 6);
}

#[test]
fn files_may_stand_in_the_home_directory() {
    let rig = Rig::new().flag("--teleport-identity=~/other");
    let home = rig.path("").display().to_string();
    let rig = rig.env("HOME", home);
    let credentials = rig.load().settings.teleport.credentials;
    assert_eq!(credentials, Credentials::Identity(rig.path("other")));
}

#[test]
fn locking_is_off_until_it_is_asked_for() {
    let lock = |toml: &str| Rig::new().toml(toml).load().settings.lock;
    assert_eq!(lock("lock.for = '1h'\nlock.failed-attempts-count = 0"), None);
    let expected = |failed_attempts, period, lock_for: Option<u64>| {
        let lock_for = lock_for.map(Duration::from_secs);
        Some(Lock { failed_attempts, period: Duration::from_secs(period), lock_for })
    };
    assert_eq!(lock("lock.enabled = true"), expected(3, 60, None));
    let all = "enabled = true\nperiod = '5m'\nfor = '1h'\n";
    for count in ["failed-attempts-count", "failed.attempts.count"] {
        assert_eq!(lock(&format!("[lock]\n{all}{count} = 7")), expected(7, 300, Some(3600)));
    }
    let root = "lock-enabled = true\nlock-failed-attempts-count = 2\nlock-for = '0'";
    assert_eq!(lock(root), expected(2, 60, None));
}

#[test]
fn a_cursor_is_handed_on_as_it_is() {
    let cursor = |rig: Rig| rig.load().settings.ingest.cursor;
    assert_eq!(cursor(Rig::new()), None);
    assert_eq!(cursor(Rig::new().env("FDFWD_CURSOR", "")), None);
    assert_eq!(cursor(Rig::new().env("FDFWD_CURSOR", "a b=")).as_deref(), Some("a b="));
    assert_eq!(cursor(Rig::new().flag("--cursor=x")).as_deref(), Some("x"));
    assert_eq!(cursor(Rig::new().toml("cursor = 'y'")).as_deref(), Some("y"));
}
