//! Rules of the project that no compiler knows.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{coverage, direction, root};

/// Checks all of them; the error names everything that is wrong.
pub(crate) fn run() -> Result<()> {
    let mut wrong = Vec::new();
    direction::check(&mut wrong)?;
    front_pages(&mut wrong)?;
    coverage::check(&mut wrong)?;
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{} rules are broken:\n  {}", wrong.len(), wrong.join("\n  "))
}

/// Each library begins with a page that says what it is, and forbids unsafe code. The guest is the
/// exception to the second: its few lines of `unsafe` stand in one module.
fn front_pages(wrong: &mut Vec<String>) -> Result<()> {
    let crates = root().join("crates");
    for entry in fs::read_dir(&crates).with_context(|| crates.display().to_string())? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let page = folder.join("src/lib.rs");
        let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        if !text.starts_with("//! ") {
            wrong.push(format!("{name}: lib.rs does not begin with what the crate is"));
        }
        if !text.contains("#![forbid(unsafe_code)]") && name != "ev-decoder-module" {
            wrong.push(format!("{name}: lib.rs does not forbid unsafe code"));
        }
        description(&folder, &name, wrong)?;
    }
    Ok(())
}

fn description(folder: &Path, name: &str, wrong: &mut Vec<String>) -> Result<()> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
    if !manifest.contains("\ndescription = \"") {
        wrong.push(format!("{name}: Cargo.toml has no description"));
    }
    if !manifest.contains("[lints]\nworkspace = true") {
        wrong.push(format!("{name}: does not take the lints of the workspace"));
    }
    Ok(())
}
