//! `docs/coverage.md` names a test for each feature, `docs/reliability.md` one for each fault,
//! `docs/audit-client.md` one for each case of the client it is compared with; this checks that the
//! tests exist.

use std::fs;

use anyhow::{Context, Result};

use crate::root;

/// The pages that name tests.
const PAGES: [&str; 3] = ["docs/audit-client.md", "docs/coverage.md", "docs/reliability.md"];

/// How the head of a function begins in the languages that tests are written in.
const LANGUAGES: [(&str, &str); 2] = [("rs", "fn"), ("go", "func")];

/// Adds a line to `wrong` for each named test that is not there.
///
/// A test is named as `` `path/to/file.rs::function` ``, the path relative to the root.
pub(crate) fn check(wrong: &mut Vec<String>) -> Result<()> {
    for page in PAGES {
        check_page(page, wrong)?;
    }
    Ok(())
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
}
