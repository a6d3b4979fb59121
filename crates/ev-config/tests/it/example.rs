//! The example file: everything in it is known, and what it calls a default is one.

use crate::rig::Rig;

const EXAMPLE: &str = include_str!("../../../../examples/ev-handler.toml");

/// The example beside files of its names.
fn loaded(change: impl Fn(&str) -> String) -> ev_config::Loaded {
    let rig = Rig::empty();
    for name in ["identity", "ca.crt", "client.crt", "client.key"] {
        std::fs::write(rig.path(name), "").expect("can be written");
    }
    let directory = rig.path("").display().to_string();
    let lines: Vec<_> = EXAMPLE.lines().map(change).collect();
    rig.toml(&lines.join("\n").replace("/etc/ev-handler/", &directory)).load()
}

#[test]
fn the_example_is_read_without_a_warning() {
    let loaded = loaded(str::to_owned);
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.settings.teleport.addr, "teleport.example.com:443");
}

/// A line that is a setting but for the `#` in front of it.
fn is_setting(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("# ")?;
    let (key, _) = rest.split_once(" = ")?;
    key.chars().all(|c| c.is_ascii_lowercase() || ".-".contains(c)).then_some(rest)
}

#[test]
fn what_the_example_calls_a_default_is_one() {
    assert!(EXAMPLE.lines().filter_map(is_setting).count() > 10);
    // An example of a time is no default.
    let with = loaded(|line| {
        let setting = is_setting(line).filter(|setting| !setting.starts_with("start-time"));
        setting.unwrap_or(line).to_owned()
    });
    let without = loaded(str::to_owned);
    let [mut with, mut without] = [with, without].map(|loaded| {
        let choices: Vec<_> = loaded.warnings.iter().filter(|found| found.is_mistake()).collect();
        assert!(choices.is_empty(), "{choices:?}");
        loaded.settings
    });
    // Each was read in a directory of its own.
    for settings in [&mut with, &mut without] {
        settings.teleport.credentials = ev_config::Credentials::Identity("identity".into());
        settings.fluentd.as_mut().expect("set").ca = None;
        settings.fluentd.as_mut().expect("set").client = None;
        settings.fluentd.as_mut().expect("set").batching.reason =
            ev_config::BatchModeReason::OnlyReferenceSettings;
    }
    assert_eq!(with, without);
}
