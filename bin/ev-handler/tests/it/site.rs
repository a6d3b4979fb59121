//! Commands of the pages that need a site: a configuration, a state, Auth and a receiver. Those of
//! the blocks behind `<!-- run: site -->` are run, line by line.

use std::path::Path;
use std::process::{Command, Stdio};

use ev_test_support::data::{Made, Maker};

use crate::pages::{blocks, lines, pages, tools, variants};
use crate::stage::{Stage, make, now, templates};

/// Where the pages have something, and where it is here.
const PLACES: [(&str, &str); 4] = [
    ("/etc/ev/ev-handler.toml", "handler.toml"),
    ("/etc/teleport-event-handler.toml", "handler.toml"),
    ("/var/lib/teleport-event-handler/", "storage/"),
    ("/var/lib/back", "back"),
];

/// How a line may end where nothing runs, and what stdout has then.
fn expected(line: &str) -> (&'static [i32], &'static str) {
    let ends: [(&str, &[i32], &str); 13] = [
        // Certificates of a test are short-lived, which is a warning.
        ("ev-handler doctor", &[0, 2], "ok "),
        ("ev-handler parked list", &[0], "unknown"),
        ("ev-handler parked show", &[0], ""),
        ("ev-handler parked export", &[0], ""),
        (
            "ev-handler parked retry",
            &[0],
            "to be tried again when the handler is started: 2 events",
        ),
        ("ev-handler parked drop", &[0], "dropped 1 event, "),
        ("ev-handler replay", &[0], "\"complete\":true"),
        ("ev-handler state export", &[0], ""),
        ("ev-handler state show", &[0], "rig.example.com"),
        // No handler runs.
        ("ev-handler status", &[1], "state"),
        ("ev-handler verify", &[0, 3], "compared"),
        ("cp ", &[0], ""),
        ("systemctl ", &[0], ""),
    ];
    let found = ends.into_iter().find(|(begin, ..)| line.starts_with(begin));
    let (_, codes, part) = found.unwrap_or_else(|| panic!("nothing is known of: {line}"));
    (codes, part)
}

/// The line with what is here in the place of what the page names, and with the hours of the events
/// that there are.
fn at_site(line: &str, from: &str, to: &str) -> String {
    let mut line = line.to_owned();
    for (there, here) in PLACES {
        line = line.replace(there, here);
    }
    for (option, time) in [(" --from ", from), (" --to ", to)] {
        if let Some((head, tail)) = line.split_once(option) {
            let (_, rest) = tail.split_once(' ').unwrap_or((tail, ""));
            line = format!("{head}{option}{time} {rest}");
        }
    }
    line
}

/// Runs them all at one site, in the order of the pages.
fn run_all(dir: &Path, path: &str) -> usize {
    let hour = |ago: i64| now().plus_nanos(i128::from(-ago) * 3_600_000_000_000).to_string();
    let (from, to) = (hour(1), hour(0));
    let mut count = 0;
    for (page, text) in pages() {
        for block in blocks(&text).iter().filter(|block| block.before == "<!-- run: site -->") {
            let lines = lines(&block.text).into_iter().filter(|line| !line.is_empty());
            for line in lines.flat_map(|line| variants(&line)) {
                let here = at_site(&line, &from, &to);
                let mut command = Command::new("/bin/sh");
                command.args(["-e", "-u", "-c", &here]).env_clear().env("PATH", path);
                let output = command.current_dir(dir).stdin(Stdio::null()).output().unwrap();
                let [out, told] =
                    [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
                let (codes, part) = expected(line.trim());
                let code = output.status.code().unwrap_or(-1);
                assert!(codes.contains(&code), "{page}: {line}: {code}\n{out}\n{told}");
                assert!(out.contains(part), "{page}: {line}:\n{out}\n{told}");
                count += 1;
            }
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn marked_commands_work_at_a_site() {
    let stage = Stage::new("15.0.0-dev");
    let made = make(&mut Maker::new(29), &templates("v15dev"), 141, 1, 5);
    stage.auth.append(made.iter().map(Made::event));
    let mut settings = stage.settings();
    settings.decoder.unknown = ev_config::Unknown::Park;
    let summary = stage
        .run_settings_until(settings, async |stage| {
            stage.fluentd.wait(|tally| tally.events > 20).await;
            let calls = || stage.auth.tally().methods.get("GetEvents").map_or(0, |m| m.calls);
            let before = calls();
            let again = stage
                .auth
                .wait(|tally| tally.methods.get("GetEvents").is_some_and(|m| m.calls > before + 4));
            again.await;
        })
        .await;
    assert!(summary.totals.parked > 20, "{summary:?}");
    stage.write_config(stage.auth.addr());
    let dir = stage.dir.path().to_owned();
    let count = tokio::task::spawn_blocking(move || {
        let path = tools(&dir);
        let count = run_all(&dir, &path);
        assert!(dir.join("events.jsonl").is_file() && dir.join("back").is_dir());
        assert!(dir.join("storage/ev-state.before/state.db").is_file());
        count
    });
    assert!(count.await.unwrap() >= 17, "lines are not found any more");
}
