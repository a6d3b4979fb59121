//! `ev-handler schema`, and the page about it.

use std::path::Path;
use std::process::Command;

use ev_test_support::data::Maker;
use serde_json::Value;

use crate::stage::{Stage, make, templates};

/// Status, stdout and stderr.
fn handler(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn schema(dir: &Path, args: &[&str]) -> String {
    let (status, out, errors) = handler(dir, &[&["schema"], args].concat());
    assert_eq!((status, errors.as_str()), (Some(0), ""), "{args:?}");
    out
}

fn json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&schema(dir, args)).unwrap()
}

/// Each block of the page that begins with a command shows what that command prints; `…` stands for
/// lines left out.
#[test]
fn the_page_shows_what_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/schema.md")).unwrap();
    let mut commands = 0;
    for block in page.split("```text\n$ ev-handler ").skip(1) {
        let (block, _) = block.split_once("```").expect("where the block ends");
        let (command, shown) = block.split_once('\n').expect("a command and its output");
        let args: Vec<&str> = command.split(' ').collect();
        let (status, out, errors) = handler(dir.path(), &args);
        assert_eq!((status, errors.as_str()), (Some(0), ""), "{command}");
        let mut rest = out.as_str();
        let whole = !shown.contains("…\n");
        for part in shown.split("…\n") {
            let (_, behind) = rest.split_once(part).unwrap_or_else(|| {
                panic!("`{command}` does not print:\n{part}\nbut:\n{out}");
            });
            rest = behind;
        }
        assert!(!whole || shown == out, "`{command}` prints more:\n{out}");
        commands += 1;
    }
    assert_eq!(commands, 5);
}

#[test]
fn types_are_told_as_json_too() {
    let dir = tempfile::tempdir().unwrap();
    let versions = json(dir.path(), &["list", "--json"]);
    assert_eq!(versions[2]["version"], "18.0.0-dev");
    assert_eq!(versions[2]["event_types"], 195);
    let types = json(dir.path(), &["list", "18.0.0-dev", "--json"]);
    assert_eq!(types[0]["name"], "UserLogin");
    assert_eq!(types[0]["events"][0], "user.login");
    let one = json(dir.path(), &["show", "UserLogin", "--json", "--flavour", "struct"]);
    assert_eq!(one["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(one["properties"]["ei"]["maximum"], 9_223_372_036_854_776_000_u64);
    let all = json(dir.path(), &["show", "--json", "--version", "v13"]);
    assert_eq!(all["anyOf"].as_array().unwrap().len(), 124);
    let difference = json(dir.path(), &["diff", "v15dev", "v18dev", "--json"]);
    assert_eq!(difference["added"].as_array().unwrap().len(), 54);
    assert_eq!(difference["changed"][0]["event"], "UserLogin");
    assert_eq!(schema(dir.path(), &["show", "--json"]), schema(dir.path(), &["show", "--json"]));
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("text"), "no table").unwrap();
    for (args, expected) in [
        (&["show", "user.logon"][..], "`ev-handler schema list 18.0.0-dev` lists those it has"),
        (&["diff", "v13", "19.0.0"], "there are `13.3.8`, `15.0.0-dev`, `18.0.0-dev`"),
        (&["list", "--storage", "nowhere"], "nowhere"),
        (&["list", "--artifact", "text"], "`text` tells no schema"),
    ] {
        let (status, out, errors) = handler(dir.path(), &[&["schema"], args].concat());
        assert_eq!((status, out.as_str()), (Some(1), ""), "{args:?}");
        assert!(errors.contains(expected), "{args:?}: {errors}");
    }
}

/// Files are looked at as they are; modules have no names of their own.
#[tokio::test(flavor = "multi_thread")]
async fn tables_and_modules_in_files_are_told() {
    let stage = Stage::new("18.0.0-dev");
    std::fs::write(stage.path("module.wasm"), &stage.module("v15dev").payload).unwrap();
    std::fs::write(stage.path("table.evt"), &stage.table("v15dev").payload).unwrap();
    let dir = stage.dir.path();
    for file in ["module.wasm", "table.evt"] {
        let list = schema(dir, &["list", "--artifact", file]);
        assert!(
            list.contains(&format!("15.0.0-dev  141          2bdb06a83bd7  `{file}`")),
            "{list}"
        );
        let of_file =
            schema(dir, &["show", "role.updated", "--version", "15.0.0-dev", "--artifact", file]);
        assert_eq!(of_file, schema(dir, &["show", "role.updated", "--version", "v15dev"]));
    }
    // Whatever it is a program for, it tells nothing.
    std::fs::write(stage.path("other.wasm"), wat::parse_str("(module)").unwrap()).unwrap();
    let (_, _, errors) = handler(dir, &["schema", "list", "--artifact", "other.wasm"]);
    assert!(errors.contains("a module of another toolchain"), "{errors}");
}

/// What the handler has fetched is at hand, beside it and afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn fetched_schemas_are_found_in_the_state() {
    let stage = Stage::new("15.0.0-dev");
    stage.auth.offer(stage.module("v15dev"));
    let made = make(&mut Maker::new(5), &templates("v15dev"), 20, 1, 5);
    stage.auth.append(made.iter().map(|event| event.event()));
    let storage = stage.settings().storage;
    let list = |storage: &Path| schema(storage, &["list", "--storage", storage.to_str().unwrap()]);
    stage
        .run_until(async |stage| {
            stage.received(20).await;
            let listed = list(&storage);
            assert!(listed.contains("2bdb06a83bd7  kept in the state"), "{listed}");
        })
        .await;
    let listed = list(&storage);
    assert!(listed.contains("2bdb06a83bd7  kept in the state"), "{listed}");
}

/// An artifact whose schema is not the one before it is one line of the log.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_artifact_brings_is_one_line_of_the_log() {
    let stage = Stage::new("16.0.0");
    stage.auth.offer(stage.module_for("v18dev", "16.0.0"));
    let made = make(&mut Maker::new(5), &templates("v18dev"), 20, 1, 5400);
    stage.auth.append(made.iter().map(|event| event.event()));
    stage.write_config(stage.auth.addr());
    let args = ["start", "--exit-on-last-event", "--config", "handler.toml"];
    let (status, _, log) = handler(stage.dir.path(), &args);
    assert_eq!(status, Some(0), "{log}");
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("the schema of events changes")).collect();
    let [line] = lines[..] else { panic!("one line: {log}") };
    for part in ["16.0.0", "15.0.0-dev", "new_types=54", "gone=0", "BotCreate, BotDelete", " more"]
    {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
    assert_eq!(stage.fluentd.tally().events, 20, "{log}");
    let listed = schema(stage.dir.path(), &["list", "--storage", "storage"]);
    assert!(
        listed.contains("16.0.0      195          c3f72e663c89  kept in the state"),
        "{listed}"
    );
    let difference =
        json(stage.dir.path(), &["diff", "v18dev", "16.0.0", "--storage", "storage", "--json"]);
    assert_eq!(difference["added"].as_array().unwrap().len(), 0);
    let args = ["show", "user.login", "--version", "16.0.0", "--storage", "storage", "--json"];
    let of_module = json(stage.dir.path(), &args);
    assert_eq!(of_module["$id"], "urn:ev-handler:schema:16.0.0:go:UserLogin");
}
