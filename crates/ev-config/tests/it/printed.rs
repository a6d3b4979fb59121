//! What is in force, printed as a file that gives the same settings.

use ev_config::{BatchModeReason, Kind, Loaded, Settings, options};
use proptest::prelude::ProptestConfig;

use crate::precedence::{alone, values};
use crate::rig::Rig;

/// Printed settings, read alone.
fn again(rig: &Rig, loaded: &Loaded) -> Loaded {
    std::fs::write(rig.path("printed.toml"), loaded.to_toml()).expect("can be written");
    let alone = Rig::empty().flag("--config").flag(rig.path("printed.toml"));
    alone.load()
}

/// Everything but why the batch mode is what it is: in the printed file it is written.
fn without_reasons(mut settings: Settings) -> Settings {
    settings.fluentd.as_mut().expect("set").batching.reason =
        BatchModeReason::OnlyReferenceSettings;
    settings
}

#[track_caller]
fn check(rig: &Rig) {
    let loaded = rig.load();
    let again = again(rig, &loaded);
    assert_eq!(without_reasons(again.settings), without_reasons(loaded.settings));
}

#[test]
fn the_printed_file_gives_the_same_settings() {
    check(&Rig::new());
    check(&Rig::new().toml("batch = 100000\nconcurrency = 7\ntypes = 'a, b\"c\\\\,d'"));
    check(&Rig::new().flag("--start-time=2026-01-31T12:00:00.75+01:00").flag("-d"));
    check(&Rig::new().flag("--fluentd-batch-mode=array").env("FDFWD_STORAGE", "relative \"s\""));
    check(&Rig::new().flag("--decoder-trust=other").flag("--decoder-artifacts=dir"));
    check(&Rig::new().flag("--decoder-trust=other").flag("--decoder-artifacts=https://h/ev"));
    check(&Rig::new().flag("--fluentd-gzip=always").flag("--fluentd-gzip-above=7"));
    check(&Rig::new().flag("--rescan=").flag("--skip-session-types=").flag("--log-format=json"));
    check(&Rig::new().toml("namespace = 'default'\nteleport.debug = true\ncursor = 'a=b#c'"));
    check(
        &Rig::new().toml("lock.enabled = true\nlock.failed-attempts-count = 9\nlock.for = '1.5h'"),
    );
    let files = Rig::new()
        .without("FDFWD_TELEPORT_IDENTITY")
        .env("FDWRD_TELEPORT_CERT", "cert")
        .env("FDFWD_TELEPORT_KEY", "key")
        .flag("--teleport-ca=ca")
        .flag("--teleport-refresh-enabled=false")
        .flag("--fluentd-cert=cert")
        .flag("--fluentd-key=key")
        .flag("--fluentd-max-connections=0");
    check(&files);
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    /// Whatever is set, and wherever, apart from headers, whose values are not printed.
    #[test]
    fn any_settings_come_back(places in proptest::collection::vec(0..7u8, options().len())) {
        let (mut rig, mut toml) = (Rig::new(), String::new());
        for (option, place) in alone().zip(places).filter(|(option, _)| option.name != "strict" && option.kind != Kind::Headers) {
            let [value, other] = values(option);
            let paths = option.toml_paths();
            match (place, option.env.first(), paths.first()) {
                (1, ..) if option.has_flag() => rig = rig.flag(format!("--{}={value}", option.name)),
                (2, ..) if option.has_flag() => rig = rig.flag(format!("--{}={other}", option.name)),
                (3, Some(variable), _) => rig = rig.env(variable, value),
                (4, _, Some(path)) => toml.push_str(&format!("{path} = '{value}'\n")),
                _ => {}
            }
        }
        let rig = rig.toml(&toml);
        // What this release cannot do is refused.
        let loaded = rig.try_load();
        proptest::prop_assume!(loaded.is_ok());
        let loaded = loaded.expect("assumed");
        let again = again(&rig, &loaded);
        proptest::prop_assert_eq!(without_reasons(again.settings), without_reasons(loaded.settings));
    }
}

#[test]
fn each_has_its_origin_behind_it() {
    let rig = Rig::new()
        .toml("batch = 30\n[teleport]\nrefresh.interval = '90s'\n")
        .flag("--types=session.upload,user.login")
        .env("FDFWD_LOCKING_FOR", "1h");
    let printed = rig.load().to_toml().replace(&rig.path("").display().to_string(), "DIR/");
    let expected = [
        "# --config ev.toml (FDFWD_CONFIG)",
        "storage = \"/var/lib/ev\" # FDFWD_STORAGE",
        "batch = 30 # DIR/ev.toml:1",
        "types = [\"session.upload\", \"user.login\"] # --types",
        "# start-time is not set",
        "concurrency = 5 # default",
        "\n[teleport]",
        "refresh.interval = \"1m30s\" # DIR/ev.toml:3",
        "\n[forward.fluentd]",
        "max-connections = 10 # default",
        "batch-mode = \"single\" # default, as there is no setting of ours about what is sent",
        "# gzip-above = 8192 # default; without effect, as `gzip` is not `auto`",
        "\n[lock]",
        "failed.attempts.count = 3 # default",
        "for = \"1h0m0s\" # FDFWD_LOCKING_FOR",
    ];
    let mut rest = &printed[..];
    for line in expected {
        let at = rest.find(&format!("{line}\n")).unwrap_or_else(|| panic!("{line}: {printed}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn secrets_are_not_printed() {
    let rig = Rig::new()
        .flag("--fluentd-url=https://user:s3cret@f/a")
        .flag("--decoder-artifacts=https://h/ev?sig=s3cret")
        .flag("--fluentd-headers=X-Key: s3cret,X-Other: s3cret\\,s3cret");
    let printed = rig.load().to_toml();
    assert!(!printed.contains("s3cret"), "{printed}");
    let lines: Vec<_> = printed.lines().filter(|line| line.contains("***")).collect();
    let rest = "what is secret in it is not shown";
    assert_eq!(
        lines,
        [
            format!("# url = \"https://***@f/a\" # --fluentd-url; {rest}"),
            format!("# headers = \"X-Key: ***,X-Other: ***\" # --fluentd-headers; {rest}"),
            format!("# artifacts = \"https://h/ev?***\" # --decoder-artifacts; {rest}"),
        ]
    );
}
