//! What the pages tell people to type: each command line of the program in a fenced block is taken
//! by the program, each block of TOML is read by it, and the blocks behind `<!-- run -->` run. Those
//! that need a site are in `site.rs`.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ev_sink_fluentd::answer_table;
use ev_test_support::certs::{Authority, Identity, Validity};

use crate::stage::{templates, write};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ev-handler");
/// By which a line calls it.
const NAMES: [&str; 3] = ["ev-handler", "teleport-event-handler", "teleport-plugin"];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names and texts of the README and of all pages in `docs`.
pub(crate) fn pages() -> Vec<(String, String)> {
    let names = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    paths.push(root().join("README.md"));
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

pub(crate) struct Block {
    language: String,
    /// The line in front of it, by which it may be marked.
    pub(crate) before: String,
    pub(crate) text: String,
}

/// The fenced blocks of a page, also those inside of lists.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut before, mut open) = (Vec::new(), "", None::<Block>);
    for line in page.lines() {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.push_str(&format!("{line}\n")),
            (None, Some(language)) => {
                let (language, before) = (language.to_owned(), before.to_owned());
                open = Some(Block { language, before, text: String::new() });
            }
            (None, None) => before = trimmed,
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// One line for each command, without comments; a line that ends with `\` goes on in the next.
pub(crate) fn lines(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// A line with `[what may be left out]` is one with all of that; of `[this | that]` either.
pub(crate) fn variants(line: &str) -> Vec<String> {
    let Some((head, (inside, rest))) =
        line.split_once(" [").and_then(|(head, tail)| Some((head, tail.split_once(']')?)))
    else {
        return vec![line.to_owned()];
    };
    inside.split('|').flat_map(|one| variants(&format!("{head} {} {rest}", one.trim()))).collect()
}

/// The words of a command as a shell would give them, as far as the pages need it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(mark), _) if mark == letter => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, ' ') => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            _ => word.push(letter),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The arguments that a command line gives to the program, if it calls it: by one of its names, as
/// another user, out of a unit, or in a container.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start_matches("$ ").trim_start_matches("ExecStart=");
    let words = words(line);
    let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut at = 0;
    match words.first()?.as_str() {
        "docker" => at = words.iter().position(|word| word.contains("/ev-handler:"))?,
        "sudo" => at = if words.get(1)? == "-u" { 3 } else { 1 },
        _ => {}
    }
    if words[0] != "docker" && !NAMES.contains(&&*name(words.get(at)?)) {
        return None;
    }
    let ends = |word: &&String| !matches!(&***word, ">" | "&&" | ">>" | "<" | "&");
    Some(words[at + 1..].iter().take_while(ends).cloned().collect())
}

/// All command lines of the program in all pages, with the page that each is in.
fn commands() -> Vec<(String, Vec<String>)> {
    let mut commands = Vec::new();
    for (page, text) in pages() {
        for block in blocks(&text) {
            if !["", "sh", "text", "ini", "console"].contains(&&*block.language) {
                continue;
            }
            // What is shown as text is no command without the sign of a prompt.
            let is_shown = block.language == "text";
            let calls = |line: &String| {
                NAMES.iter().any(|name| line.contains(name))
                    && (!is_shown || line.starts_with("$ "))
            };
            for line in lines(&block.text).into_iter().filter(calls) {
                for line in variants(&line) {
                    for part in line.split(" | ") {
                        let found = arguments(part.trim());
                        commands.extend(found.map(|arguments| (page.clone(), arguments)));
                    }
                }
            }
        }
    }
    commands
}

struct Ran {
    code: Option<i32>,
    stderr: String,
}

fn run(dir: &Path, arguments: &[String]) -> Ran {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(dir).env_clear().stdin(Stdio::null());
    let output = command.output().unwrap();
    Ran { code: output.status.code(), stderr: String::from_utf8_lossy(&output.stderr).into() }
}

/// Asked for help behind its own words, a command line is read up to there: what is not known in
/// it is refused. Those that end by themselves where none of their files is are run as well, so
/// that nothing is missing in them either.
#[test]
fn every_command_line_of_the_pages_is_taken() {
    let commands = commands();
    let has = |name: &str| commands.iter().any(|(_, words)| words.iter().any(|w| w == name));
    for name in ["start", "config", "configure", "doctor", "verify", "parked", "decoder", "schema"]
    {
        assert!(has(name), "no page has `{name}`, or lines are not found any more");
    }
    assert!(commands.len() > 30, "{} lines", commands.len());
    for (page, words) in commands {
        let dir = tempfile::tempdir().unwrap();
        let mut asked = words.clone();
        asked.push("--help".into());
        // Where it writes has to be there.
        for word in asked.iter_mut().filter(|word| *word == "/etc/ev") {
            *word = ".".into();
        }
        let ran = run(dir.path(), &asked);
        assert_eq!(ran.code, Some(0), "{page}: {words:?}: {}", ran.stderr);
        // Keys of the usual length take long, and these lines stand in a block that is run.
        if words.first().is_some_and(|word| word == "configure") {
            continue;
        }
        let ran = run(dir.path(), &words);
        assert!(!ran.stderr.contains("Usage:"), "{page}: {words:?}: {}", ran.stderr);
    }
}

/// A page with a mistake is not passed: the test above can fail.
#[test]
fn a_command_line_with_a_mistake_is_found() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "ev-handler strat --config ev-handler.toml",
        "sudo -u handler /usr/local/bin/ev-handler start --confg=ev-handler.toml",
        "docker run --rm registry.example.com/ev-handler:0.1.0 start --teleport-adr=auth:3025",
        "ExecStart=/usr/local/bin/teleport-event-handler start --storag=x",
    ] {
        let mut words = arguments(line).expect("it calls the program");
        words.push("--help".into());
        assert_eq!(run(dir.path(), &words).code, Some(1), "{line}");
    }
    assert_eq!(arguments("systemctl enable teleport-event-handler"), None);
    assert_eq!(variants("a [b | c] [d]"), ["a b  d ", "a c  d "]);
}

/// Each file or directory that a block names is made below `dir` and named there.
fn with_files(dir: &Path, text: &str) -> String {
    let (mut moved, mut key) = (String::new(), "");
    for (at, part) in text.split('"').enumerate() {
        let is_text = at % 2 == 1;
        let is_path = is_text && (part.starts_with('/') || part.starts_with("./"));
        if is_path {
            let path = dir.join(part.trim_start_matches(['.', '/']));
            let is_file = !["storage", "artifacts"].iter().any(|name| key.ends_with(name));
            let folder = if is_file { path.parent().unwrap() } else { &path };
            std::fs::create_dir_all(folder).unwrap();
            if is_file {
                std::fs::write(&path, "").unwrap();
            }
            moved.push_str(&format!("\"{}\"", path.display()));
        } else if is_text {
            moved.push_str(&format!("\"{part}\""));
        } else {
            moved.push_str(part);
            key = part.trim_end().trim_end_matches('=').trim_end();
        }
    }
    moved
}

/// What a block leaves out stands in flags; an unknown key or a wrong value ends it.
#[test]
fn every_block_of_toml_is_read_without_a_warning() {
    let mut count = 0;
    for (page, text) in pages() {
        for block in blocks(&text).iter().filter(|block| block.language == "toml") {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), "identity", "");
            write(dir.path(), "block.toml", &with_files(dir.path(), &block.text));
            let has = |key: &str| block.text.contains(key);
            let mut words = vec!["config", "--config", "block.toml", "--strict"];
            if !has("storage") {
                words.push("--storage=state");
            }
            if !has("identity") {
                words.push("--teleport-identity=identity");
            }
            // Without any receiver in the block it is Fluentd.
            if !has("forward") {
                words.push("--fluentd-url=https://localhost:8888/events.log");
                words.push("--fluentd-session-url=https://localhost:8888/session");
            }
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let ran = run(dir.path(), &words);
            assert_eq!(ran.code, Some(0), "{page}: {}\n{}", ran.stderr, block.text);
            count += 1;
        }
    }
    assert!(count > 5, "{count} blocks");
}

/// All else is read-only to it (`ProtectSystem=strict`).
#[test]
fn files_of_the_pages_lie_where_our_unit_may_write() {
    let unit = root().join("deploy/systemd/teleport-event-handler.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let state = unit.lines().find_map(|line| line.strip_prefix("StateDirectory=")).unwrap();
    let mut count = 0;
    for (page, text) in pages() {
        for block in blocks(&text).iter().filter(|block| block.language == "toml") {
            let Some((_, table)) = block.text.split_once("[forward.file]\n") else { continue };
            let path = table.lines().find_map(|line| line.strip_prefix("path = \"")).unwrap();
            if path.starts_with('/') {
                assert!(path.starts_with(&format!("/var/lib/{state}/")), "{page}: {path}");
                count += 1;
            }
        }
    }
    assert!(count > 0, "no page has a file");
}

/// A directory with the program under its name, and a `tctl` that gives the identity which a
/// cluster would have signed, and a `systemctl` that does nothing; the rest is the system's.
pub(crate) fn tools(dir: &Path) -> String {
    let tools = dir.join("tools");
    std::fs::create_dir(&tools).unwrap();
    symlink(PROGRAM, tools.join("ev-handler")).unwrap();
    let authority = Authority::new("Teleport CA").unwrap();
    let client = authority.issue_teleport_client("handler", Validity::Long).unwrap();
    let identity = Identity::new(&client, "handler", "example", authority.cert_pem()).to_text();
    write(&tools, "identity", &identity);
    let script = "#!/bin/sh -eu\n\
        for word in \"$@\"; do case $word in\n\
        --out=*) install -m 600 \"${0%/*}/identity\" \"${word#--out=}\";;\n\
        *.yaml) test -s \"$word\";;\n\
        esac; done\n";
    write(&tools, "tctl", script);
    write(&tools, "systemctl", "#!/bin/sh\n");
    for name in ["tctl", "systemctl"] {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(tools.join(name), mode).unwrap();
    }
    format!("{}:/usr/bin:/bin", tools.display())
}

/// What the pages take for there: Teleport's schemas, and an event as base64 with its JSON.
fn surroundings(here: &Path) -> String {
    std::fs::create_dir_all(here.join("teleport/api")).unwrap();
    symlink(root().join("proto/teleport/v18dev"), here.join("teleport/api/proto")).unwrap();
    let event = templates("v18dev").swap_remove(0);
    write(here, "event.b64", &(STANDARD.encode(&event.oneof) + "\n"));
    String::from_utf8(event.json.to_vec()).unwrap()
}

/// The blocks that are marked run as they stand, those of a page one behind the other.
#[test]
fn marked_blocks_run_as_they_stand() {
    let mut count = 0;
    for (page, text) in pages() {
        let marked = |block: &&Block| block.before == "<!-- run -->";
        let all = blocks(&text);
        let scripts: Vec<&Block> = all.iter().filter(marked).collect();
        let (dir, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = tools(dir.path());
        let event = surroundings(here.path());
        let mut printed = String::new();
        for script in &scripts {
            let mut command = Command::new("/bin/sh");
            command.args(["-e", "-u", "-c", &script.text]).env_clear().env("PATH", &path);
            let output =
                command.current_dir(here.path()).stdin(Stdio::null()).output().expect("a shell");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}:\n{}\n{told}", script.text);
            printed.push_str(&String::from_utf8(output.stdout).unwrap());
        }
        count += scripts.len();
        let is_there = |name: &str| here.path().join(name).is_file();
        // That of `docs` has nothing to run.
        if page == "README.md" && !scripts.is_empty() {
            assert!(is_there("keys/decoder-key.pem") && is_there("table-v1.evt.dsse.json"));
        }
        if page == "decoder-modules.md" {
            let lines: Vec<&str> = printed.lines().collect();
            let [.., native, report, module] = lines.as_slice() else { panic!("{printed}") };
            assert_eq!((*native, *module), (event.as_str(), event.as_str()));
            let report: serde_json::Value = serde_json::from_str(report).unwrap();
            assert_eq!(report["json"], event.as_str());
            let index = std::fs::read_to_string(here.path().join("artifacts/versions.json"));
            assert_eq!(index.unwrap().trim(), r#"{"versions":["18.1.0"]}"#);
        }
        if page == "guide.md" {
            let names = ["ca.crt", "client.key", "fluent.conf", "identity", "server.key"];
            for name in names {
                let file = here.path().join(name).metadata().unwrap();
                assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
            }
        }
    }
    assert!(count >= 9, "{count} blocks");
}

/// The guide goes the way of the one that people know, with nothing left out.
#[test]
fn the_guide_has_every_step_in_its_order() {
    let page = std::fs::read_to_string(root().join("docs/guide.md")).unwrap();
    let mut rest = page.as_str();
    for step in [
        "## 1. What you need",
        "## 2. Certificates and configurations",
        "ev-handler configure",
        "## 3. Role and user",
        "tctl create -f teleport-event-handler-role.yaml",
        "## 4. Identity",
        "### By `tctl`",
        "tctl auth sign --format=file --user=teleport-event-handler --out=identity --ttl=",
        "### By `tbot`",
        "/opt/machine-id/identity",
        "### By the Kubernetes operator",
        "## 5. Fluentd",
        "fluent/fluentd:edge",
        "## 6. The handler",
        "### As a systemd service",
        "systemctl enable",
        "journalctl -u teleport-event-handler",
        "### In Docker",
        "docker run --network host",
        "### By Helm",
        "## 7. See it arrive",
    ] {
        let (_, behind) = rest.split_once(step).unwrap_or_else(|| panic!("`{step}` is missing"));
        rest = behind;
    }
}

/// Each receiver of the page has a success that is one by the table that decides.
#[test]
fn every_receiver_of_the_page_has_an_answer_that_is_a_success() {
    let page = std::fs::read_to_string(root().join("docs/receivers.md")).unwrap();
    let (_, table) = page.split_once("| receiver |").expect("the table");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let named = |name: &str| rows.iter().find(|row| row[0].contains(name)).expect("a row");
    assert!(named("Fluent Bit")[1].contains("201") && named("Alloy")[1].contains("204"));
    assert!(answer_table().contains("| 200–299 | delivered | acknowledged |"));
    for row in rows {
        let statuses = row[1].split(|letter: char| !letter.is_ascii_digit());
        let statuses: Vec<u16> = statuses.filter_map(|digits| digits.parse().ok()).collect();
        assert!(!statuses.is_empty() && statuses.iter().all(|s| (200..300).contains(s)), "{row:?}");
    }
}

/// Each page is found from a front page, and no link of a page leads nowhere.
#[test]
fn every_page_is_found_from_the_index_and_every_link_leads_somewhere() {
    let index = std::fs::read_to_string(root().join("docs/README.md")).unwrap()
        + &std::fs::read_to_string(root().join("README.md")).unwrap();
    for (name, text) in pages() {
        if name != "README.md" {
            let is_there = [format!("({name})"), format!("(docs/{name})")];
            assert!(is_there.iter().any(|link| index.contains(link)), "nothing leads to {name}");
        }
        let folder = if text.starts_with("# ev\n") { root() } else { root().join("docs") };
        for link in text.split("](").skip(1).filter_map(|tail| tail.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !file.contains(' ') {
                assert!(folder.join(file).exists(), "{name}: {link}");
            }
        }
    }
}
