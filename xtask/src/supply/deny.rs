//! `cargo deny`: licences, bans and sources always; known weaknesses where their database can be
//! fetched.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::steps::Steps;
use crate::tools::{How, State, Tool, ensure as bring, home};
use crate::{cargo, root};

static DENY: Tool = Tool {
    name: "cargo-deny",
    program: "cargo-deny",
    how: How::Cargo { package: "cargo-deny", version: "0.20.2" },
};

/// The database of weaknesses, as `deny.toml` names it.
static DATABASE: Tool =
    Tool { name: "advisory database", program: "", how: How::Made(fetched_database) };

/// Adds the steps.
pub(super) fn add(steps: &mut Steps) -> Result<()> {
    let Some(deny) = steps.tool(&DENY) else { return Ok(()) };
    let deny = deny.display().to_string();
    let line = [&*deny, "--locked", "--offline", "--workspace", "check", "--hide-inclusion-graph"];
    let what = ["licenses", "bans", "sources"];
    steps.run("licences, bans and sources", &[&line[..], &what].concat(), &[])?;
    if steps.tool(&DATABASE).is_some() {
        // It has just been fetched.
        let what = ["advisories", "--disable-fetch"];
        steps.run("known weaknesses", &[&line[..], &what].concat(), &[])?;
    }
    Ok(())
}

/// Fetches the database below the folder of tools.
fn fetched_database(_: &std::path::Path) -> Result<std::path::PathBuf> {
    let State::Found(deny) = bring(&DENY) else { anyhow::bail!("cargo-deny is missing") };
    let output = cargo::clean(Command::new(deny))
        .args(["--locked", "fetch", "db"])
        .current_dir(root())
        .output()
        .context("failed to start cargo-deny")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let why = said.lines().find(|line| line.contains("failed")).unwrap_or("it does not say why");
    ensure!(output.status.success(), "{}", why.trim());
    Ok(home())
}
