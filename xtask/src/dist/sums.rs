//! `SHA256SUMS`, in the form that `sha256sum --check` reads.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

const NAME: &str = "SHA256SUMS";

/// The digest of some bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    ev_modules::sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the sums of these files, sorted by name.
pub(crate) fn write(folder: &Path, names: &[String]) -> Result<()> {
    let mut names: Vec<&String> = names.iter().collect();
    names.sort();
    let mut text = String::new();
    for name in names {
        let path = folder.join(name);
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        text.push_str(&format!("{}  {name}\n", hex(&bytes)));
    }
    fs::write(folder.join(NAME), text).context(NAME)
}

/// Has the sums checked by the program that our users have, and sees that no file is without.
pub(crate) fn check(folder: &Path) -> Result<()> {
    let status = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", NAME])
        .current_dir(folder)
        .status()
        .context("failed to start `sha256sum`")?;
    ensure!(status.success(), "`sha256sum` refuses {NAME}");
    let sums = fs::read_to_string(folder.join(NAME))?;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let summed = sums.lines().any(|line| line.ends_with(&format!("  {name}")));
        ensure!(summed || name == NAME, "{name} has no sum");
    }
    Ok(())
}
