//! The forms that a command line may have.

use std::ffi::OsString;

use clap::{Arg, Command, value_parser};
use ev_config::{global_args, is_debug, load, load_beside, start_command};

use crate::rig::Rig;

#[test]
fn switches_take_their_value_behind_an_equals_sign() {
    let check = |flag: &str, expected| {
        let settings = Rig::new().flag(flag).load().settings;
        assert_eq!(settings.ingest.exit_on_last_event, expected, "{flag}");
    };
    check("--exit-on-last-event", true);
    check("--exit-on-last-event=true", true);
    check("--exit-on-last-event=T", true);
    check("--exit-on-last-event=false", false);
    let rig = Rig::new().flag("--teleport-refresh-enabled").flag("true");
    insta::assert_snapshot!(rig.refusal(), @"`true`: belongs to no flag; a switch takes its value behind `=`: `--teleport-refresh-enabled=true`");
    let rig = Rig::new().flag("-d").flag("--batch=3").flag("false");
    insta::assert_snapshot!(rig.refusal(), @"`false`: belongs to no flag");
    insta::assert_snapshot!(Rig::new().flag("word").refusal(), @"`word`: belongs to no flag");
}

#[test]
fn a_repeated_flag_appends_to_a_list_and_else_replaces() {
    let rig = Rig::new()
        .flag("--types=session.upload,b")
        .flag("--types=c")
        .flag("--batch=1")
        .flag("--batch")
        .flag("2");
    let ingest = rig.load().settings.ingest;
    assert_eq!(ingest.types, ["session.upload", "b", "c"]);
    assert_eq!(ingest.page_size, 2);
}

#[test]
fn config_and_debug_may_stand_before_the_command_word() {
    let rig = Rig::new().toml("batch = 33\n").without("FDFWD_CONFIG");
    let path = rig.path("ev.toml").display().to_string();
    let root = || Command::new("ev-handler").args(global_args()).subcommand(start_command());
    for words in [
        ["--config", &path, "-d", "start"],
        ["-d", "start", "--config", &path],
        ["start", "--config", &path, "-d"],
    ] {
        let all = ["ev-handler"].into_iter().chain(words);
        let matches = root().try_get_matches_from(all).expect("well formed");
        let (name, matches) = matches.subcommand().expect("a command is given");
        assert_eq!(name, "start");
        let loaded = load(matches, &|name: &str| rig.variable(name), &rig.path(""));
        let settings = loaded.expect("complete").settings;
        assert!(settings.debug);
        assert_eq!(settings.ingest.page_size, 33);
    }
}

/// A command may call an argument of its own like a setting.
#[test]
fn other_commands_take_config_and_debug_alone() {
    let rig = Rig::new().toml("batch = 33\ntypes = ['a']\n").without("FDFWD_CONFIG");
    let path = rig.path("ev.toml").display().to_string();
    let types = Arg::new("types").long("types").value_parser(value_parser!(OsString));
    let root =
        Command::new("ev-handler").args(global_args()).subcommand(Command::new("x").arg(types));
    let all = ["ev-handler", "--config", &path, "x", "-d", "--types=b"];
    let matches = root.try_get_matches_from(all).expect("well formed");
    let (_, matches) = matches.subcommand().expect("a command is given");
    let env = |name: &str| rig.variable(name);
    let settings = load_beside(matches, &env, &rig.path("")).expect("complete").settings;
    assert_eq!((settings.debug, settings.ingest.page_size), (true, 33));
    assert_eq!(settings.ingest.types, ["a"]);
    // Where there are no settings, `debug` is known all the same.
    assert!(is_debug(matches, &|_| None));
    let plain = Command::new("x").args(global_args());
    let plain = plain.try_get_matches_from(["x"]).expect("well formed");
    assert!(!is_debug(&plain, &|_| None));
    assert!(is_debug(&plain, &|name| (name == "FDFWD_DEBUG").then(|| "true".into())));
}

#[test]
fn flags_of_old_releases_are_refused_with_what_to_do() {
    insta::assert_snapshot!(Rig::new().flag("--namespace=default").refusal(), @"`namespace` (--namespace): is obsolete and without effect; remove it, Teleport has no namespaces any more");
    insta::assert_snapshot!(Rig::new().flag("--teleport-debug").refusal(), @"`teleport.debug` (--teleport-debug): is obsolete and without effect; use `debug`, which is for the whole program");
}

#[test]
fn the_short_flags_work() {
    let rig = Rig::new().toml("batch = 33\n").without("FDFWD_CONFIG");
    let settings = rig.flag("-d").flag("-c").flag("ev.toml").load().settings;
    assert!(settings.debug);
    assert_eq!(settings.ingest.page_size, 33);
}

#[test]
fn the_help_names_every_flag_with_default_and_variable() {
    let help = start_command().render_long_help().to_string();
    for option in ev_config::options().iter().filter(|option| option.has_flag()) {
        assert!(help.contains(&format!("--{}", option.name)), "{}", option.name);
        assert!(help.contains(option.env[0]), "{}", option.name);
    }
    assert!(help.contains("[default: localhost:3025]"), "{help}");
    assert!(!help.contains("stray") && !help.contains("namespace"), "{help}");
}
