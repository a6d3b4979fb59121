//! `docs/reliability.md` says what the program does.

use std::collections::BTreeSet;
use std::path::Path;

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join("docs/reliability.md")).unwrap()
}

#[test]
fn the_table_of_answers_is_the_one_that_decides() {
    let page = page();
    let (_, behind) = page.split_once("<!-- answer-table -->\n").expect("where it begins");
    let (block, _) = behind.split_once("<!-- /answer-table -->").expect("where it ends");
    let table = ev_sink_fluentd::answer_table();
    assert_eq!(block, table, "the page has another table; the right one is:\n{table}");
}

#[test]
fn every_fault_has_a_promise_and_a_test() {
    let page = page();
    let (_, faults) = page.split_once("## Faults and promises\n").expect("the heading");
    let mut seen = BTreeSet::new();
    for line in faults.lines().filter(|line| line.starts_with("| ") && !HEADS.contains(line)) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [fault, promise, test] = cells[..] else { panic!("three cells: {line}") };
        assert!(!fault.is_empty() && !promise.is_empty(), "{line}");
        assert!(test.contains(".rs::"), "names a test: {line}");
        assert!(seen.insert((fault, test)), "there twice: {line}");
    }
    assert!(seen.len() > 40, "{} faults", seen.len());
}

/// The last one is of what the simulation found: a seed, what was wrong, and what shows it now.
const HEADS: [&str; 2] = ["| fault | promise | test |", "| seed | what was found | test |"];
