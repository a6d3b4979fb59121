//! `docs/coverage.md` names a test for each feature; this checks that the test exists.

use std::fs;

use anyhow::{Context, Result};

use crate::root;

/// Adds a line to `wrong` for each named test that is not there.
///
/// A test is named as `` `path/to/file.rs::function` ``, the path relative to the root.
pub(crate) fn check(wrong: &mut Vec<String>) -> Result<()> {
    let page = root().join("docs/coverage.md");
    let text = fs::read_to_string(&page).context("failed to read `docs/coverage.md`")?;
    let mut named = 0;
    for (index, line) in text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2) {
            let Some((file, function)) = name.split_once(".rs::") else { continue };
            named += 1;
            let file = format!("{file}.rs");
            let Ok(source) = fs::read_to_string(root().join(&file)) else {
                wrong.push(format!("docs/coverage.md:{}: `{file}` is not there", index + 1));
                continue;
            };
            if !source.contains(&format!("fn {function}(")) {
                let line = index + 1;
                wrong.push(format!("docs/coverage.md:{line}: `{file}` has no test `{function}`"));
            }
        }
    }
    if named == 0 {
        wrong.push("docs/coverage.md names no test".to_owned());
    }
    Ok(())
}
