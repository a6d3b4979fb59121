//! `cargo xtask deploy`: tests of what stands in `deploy/`: the Helm chart, the units of systemd,
//! the content of the image, the alert rules and the dashboard.
//!
//! They are a Go module of their own, `deploy/tests`, since Kubernetes' types and Helm are Go: each
//! rendered document is decoded strictly into the types that the API server itself uses.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::steps::Steps;
use crate::tools::{GO, HELM, PROMTOOL, SYSTEMD_ANALYZE, Tool};

/// A tool, the variable by which the tests are told where it is, and how the names of the tests
/// begin that need it.
const TOOLS: [(Tool, &str, &str); 3] = [
    (HELM, "EV_HELM", "^TestChart"),
    (PROMTOOL, "EV_PROMTOOL", "^TestRules"),
    (SYSTEMD_ANALYZE, "EV_SYSTEMD_ANALYZE", "^TestUnit"),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the recorded renderings and the page of chart values anew instead of comparing
    #[arg(long)]
    write: bool,
}

/// Runs the tests and says whether all passed.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let mut steps = Steps::default();
    add_with(&mut steps, args.write)?;
    steps.report()
}

/// The steps of the chore; `ci` contains them.
pub(crate) fn add(steps: &mut Steps) -> Result<()> {
    add_with(steps, false)
}

fn add_with(steps: &mut Steps, write: bool) -> Result<()> {
    let Some(go) = steps.tool(&GO) else { return Ok(()) };
    let go = go.to_string_lossy().into_owned();
    let mut env = vec![];
    let mut without = vec![];
    for (tool, variable, tests) in &TOOLS {
        match steps.tool(tool) {
            Some(path) => env.push((*variable, path.to_string_lossy().into_owned())),
            None => without.push(*tests),
        }
    }
    if write {
        env.push(("EV_WRITE", "1".to_owned()));
    }
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // Not from the cache: Go does not know all files that the tools read.
    let mut test = vec![go.as_str(), "-C", "deploy/tests", "test", "-count=1", "-v"];
    let without = without.join("|");
    if !without.is_empty() {
        test.extend(["-skip", &without]);
    }
    test.push("./...");
    steps.run("deployment", &test, &env)?;
    steps.run("go vet", &[&go, "-C", "deploy/tests", "vet", "./..."], &[])?;
    steps.check("go format", || formatted(Path::new(&go)))
}

fn formatted(go: &Path) -> Result<()> {
    let gofmt = go.with_file_name("gofmt");
    let output = Command::new(&gofmt)
        .args(["-l", "deploy/tests"])
        .current_dir(crate::root())
        .output()
        .with_context(|| format!("failed to start `{}`", gofmt.display()))?;
    ensure!(output.status.success(), "`gofmt` failed");
    let files = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(files.is_empty(), "not formatted as `gofmt` does it:\n{files}");
    Ok(())
}
