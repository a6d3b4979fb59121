//! The programs that take part.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::cargo;

/// Where the programs lie.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) handler: PathBuf,
    pub(super) auth: PathBuf,
    pub(super) fluentd: PathBuf,
}

/// Builds the programs in the profile of the tests.
pub(super) fn programs(quiet: bool) -> Result<Programs> {
    if !quiet {
        eprintln!("building the programs …");
    }
    let mut command = cargo::command();
    if quiet {
        command.arg("--quiet");
    }
    let output = command
        .args(["build", "--bins", "-p", "ev-handler", "-p", "ev-test-support"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(crate::root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("failed to start cargo")?;
    ensure!(output.status.success(), "the programs do not build");
    let mut found = BTreeMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        let name = message["target"]["name"].as_str();
        if let (Some(name), Some(path)) = (name, message["executable"].as_str()) {
            found.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    let mut program = |name: &str| {
        found.remove(name).with_context(|| format!("cargo has built no program `{name}`"))
    };
    Ok(Programs {
        handler: program("ev-handler")?,
        auth: program("ev-fake-auth")?,
        fluentd: program("ev-fake-fluentd")?,
    })
}
