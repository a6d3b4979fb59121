//! What the Helm chart writes: everything in it is known and means what the values mean. The tests
//! of the chart record the files.

use std::fs;

use ev_config::Loaded;

use crate::rig::Rig;

const GUIDE: &str = include_str!("../../../../deploy/tests/testdata/rendered/guide-plain.toml");
const EVERYTHING: &str = include_str!("../../../../deploy/tests/testdata/rendered/everything.toml");

/// Loads a file of the chart, its files being there and under `--strict`.
fn load(toml: &str) -> Loaded {
    let rig = Rig::empty();
    let root = rig.path("root");
    let mut moved = String::new();
    for line in toml.lines() {
        let line = match line.split_once(" = \"/") {
            Some((key, path)) => {
                let path = root.join(path.trim_end_matches('"'));
                let folder = path.parent().expect("it lies in the root");
                fs::create_dir_all(folder).expect("can be made");
                // The state is made by the handler itself.
                if key != "storage" {
                    fs::write(&path, "").expect("can be written");
                }
                format!("{key} = \"{}\"", path.display())
            }
            None => line.to_owned(),
        };
        moved.push_str(&line);
        moved.push('\n');
    }
    rig.toml(&moved).flag("--strict").load()
}

#[test]
fn the_values_of_the_guide_give_its_settings() {
    let loaded = load(GUIDE);
    assert_eq!(loaded.warnings.len(), 0, "{:?}", loaded.warnings);
    let settings = &loaded.settings;
    assert_eq!(settings.teleport.addr, "teleport.example.com:443");
    // Twice the concurrency, as the reference handler has it.
    assert_eq!(settings.fluentd.as_ref().expect("set").max_connections, 10);
}

#[test]
fn all_values_together_are_read() {
    let loaded = load(EVERYTHING);
    assert_eq!(loaded.warnings.len(), 0, "{:?}", loaded.warnings);
}
