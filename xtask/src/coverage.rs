//! `docs/coverage.md` names a test for each feature, `docs/reliability.md` one for each fault,
//! `docs/audit-client.md` one for each case of the client it is compared with; this checks that the
//! tests exist, and that no feature is without a row.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use crate::root;

/// The pages that name tests.
const PAGES: [&str; 3] = ["docs/audit-client.md", "docs/coverage.md", "docs/reliability.md"];

/// The families of features, each numbered from one on, and the last number of each.
const FEATURES: [(&str, u32); 6] =
    [("AUD", 105), ("BEY", 30), ("EVH", 112), ("EXP", 103), ("RFD", 55), ("T", 66)];

/// How the head of a function begins in the languages that tests are written in.
const LANGUAGES: [(&str, &str); 2] = [("rs", "fn"), ("go", "func")];

/// Adds a line to `wrong` for each named test that is not there.
///
/// A test is named as `` `path/to/file.rs::function` ``, the path relative to the root.
pub(crate) fn check(wrong: &mut Vec<String>) -> Result<()> {
    for page in PAGES {
        check_page(page, wrong)?;
    }
    check_features(wrong)
}

/// Adds a line for each feature that is in no row of `docs/coverage.md`: what has no test has a
/// reason there.
fn check_features(wrong: &mut Vec<String>) -> Result<()> {
    let page = "docs/coverage.md";
    let text = fs::read_to_string(root().join(page))
        .with_context(|| format!("failed to read `{page}`"))?;
    let rows: BTreeSet<_> = text.lines().flat_map(features).collect();
    for (family, last) in FEATURES {
        for number in (1..=last).filter(|number| !rows.contains(&(family, *number))) {
            wrong.push(format!("{page}: {family}-{number:02} is in no row"));
        }
    }
    Ok(())
}

/// The features that a row of a table is of: `| EXP-01, EXP-03 to EXP-05 | ...`.
fn features(row: &str) -> Vec<(&'static str, u32)> {
    let first = row.strip_prefix("| ").and_then(|row| row.split(" | ").next()).unwrap_or_default();
    let feature = |id: &str| {
        let (family, number) = id.split_once('-')?;
        let (family, _) = FEATURES.into_iter().find(|(known, _)| *known == family)?;
        Some((family, number.parse::<u32>().ok()?))
    };
    let mut found = Vec::new();
    for part in first.split(", ") {
        let (begin, end) = part.split_once(" to ").unwrap_or((part, part));
        if let (Some((family, begin)), Some((_, end))) = (feature(begin), feature(end)) {
            found.extend((begin..=end).map(|number| (family, number)));
        }
    }
    found
}

fn check_page(page: &str, wrong: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(root().join(page))
        .with_context(|| format!("failed to read `{page}`"))?;
    let mut named = 0;
    for (index, line) in text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2) {
            let Some((file, function, head)) = test(name) else { continue };
            named += 1;
            let Ok(source) = fs::read_to_string(root().join(&file)) else {
                wrong.push(format!("{page}:{}: `{file}` is not there", index + 1));
                continue;
            };
            if !source.contains(&format!("{head} {function}(")) {
                let line = index + 1;
                wrong.push(format!("{page}:{line}: `{file}` has no test `{function}`"));
            }
        }
    }
    if named == 0 {
        wrong.push(format!("{page} names no test"));
    }
    Ok(())
}

/// The file, the function and the word before it, if this names a test.
fn test(name: &str) -> Option<(String, &str, &'static str)> {
    LANGUAGES.iter().find_map(|(ending, head)| {
        let (file, function) = name.split_once(&format!(".{ending}::"))?;
        Some((format!("{file}.{ending}"), function, *head))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_both_languages_are_found() {
        assert_eq!(test("a/b.rs::works"), Some(("a/b.rs".to_owned(), "works", "fn")));
        assert_eq!(test("a/b_test.go::TestIt"), Some(("a/b_test.go".to_owned(), "TestIt", "func")));
        assert_eq!(test("cargo xtask demo"), None);
        assert_eq!(test("docs/page.md::heading"), None);
    }

    #[test]
    fn a_row_may_be_of_several_features() {
        assert_eq!(features("| BEY-28 | a standby | none |"), [("BEY", 28)]);
        let row = "| EVH-09 to EVH-11, EVH-14, T-01 | options | `a.rs::b`, EXP-01 |";
        assert_eq!(features(row), [("EVH", 9), ("EVH", 10), ("EVH", 11), ("EVH", 14), ("T", 1)]);
        assert_eq!(features("| id | feature | shown by |"), []);
        assert_eq!(features("BEY-28 is no row"), []);
    }
}
