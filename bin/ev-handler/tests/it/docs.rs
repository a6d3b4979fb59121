//! `docs/reliability.md` says what the program does, and `docs/migration.md` what shows it.

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

/// The guide for those who come from the reference handler names a test of each line of its
/// checklist, and of each thing that its users suffered from.
#[test]
fn the_migration_guide_names_a_test_for_each_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/migration.md")).unwrap();
    let (_, compared) = page.split_once("## What was compared\n").expect("the heading");
    let (checklist, pains) = compared.split_once("suffered from:\n").expect("both tables");
    let rows = |table: &str| -> Vec<Vec<String>> {
        let lines = table.lines().filter(|line| line.starts_with("| ") && !line.contains("| test"));
        lines
            .map(|line| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect())
            .collect()
    };
    let (checklist, pains) = (rows(checklist), rows(pains));
    let labels: BTreeSet<String> =
        checklist.iter().flat_map(|row| row[0].split(", ").map(str::to_owned)).collect();
    let count =
        |letter: &'static str, from: u8, to: u8| (from..=to).map(move |n| format!("{letter}{n}"));
    let expected = [("E", 1, 6), ("F", 1, 2), ("W", 1, 7), ("N", 1, 2), ("X", 1, 4), ("B", 1, 5)];
    let mut expected: BTreeSet<String> =
        expected.into_iter().flat_map(|(letter, from, to)| count(letter, from, to)).collect();
    expected.extend(["C1 to C8", "K1", "S1", "S3", "S4", "S5"].map(str::to_owned));
    assert_eq!(labels, expected);
    let numbers: Vec<String> = pains.iter().map(|row| row[0].clone()).collect();
    assert_eq!(numbers, (1..=30).map(|n| n.to_string()).collect::<Vec<_>>());
    for row in checklist.iter().chain(&pains).filter(|row| row[0] != "29") {
        let tests: Vec<&str> = row.last().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row:?}");
        for test in tests {
            let (file, name) = test.split_once("::").expect("`file.rs::test`");
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            assert!(text.contains(&format!("fn {name}(")), "there is no {test}");
        }
    }
}
