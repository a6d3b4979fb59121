//! `cargo xtask bench`: measure, in the release profile.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::{cargo, root};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the results as JSON too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with 1 when a bar is missed, naming each
    #[arg(long)]
    bars: bool,
    /// Short rounds, to see whether everything runs; the figures prove nothing
    #[arg(long, conflicts_with = "bars")]
    quick: bool,
    /// Measure these subjects only: decode, guest, load, space, unknown, scaling, pipeline,
    /// handler, audit
    #[arg(value_name = "SUBJECT", conflicts_with = "criterion")]
    subjects: Vec<String>,
    /// The same, separated by commas
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',')]
    only: Vec<String>,
    /// Run the criterion benches instead, whose results are kept from run to run; what stands
    /// behind `--` goes to them, for instance `native/go`
    #[arg(long, conflicts_with_all = ["json", "bars", "quick", "only"])]
    criterion: bool,
    /// Arguments for the criterion benches
    #[arg(last = true, requires = "criterion")]
    rest: Vec<String>,
}

/// Builds and runs.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.criterion {
        let mut command = cargo::command();
        command.args(["bench", "--locked", "--package", "ev-bench", "--benches", "--"]);
        let status = command.args(&args.rest).current_dir(root()).status()?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    // Both programs of the package, one of which calls the other, and the handler itself.
    let mut build = cargo::command();
    build.args(["build", "--locked", "--release", "--bins"]);
    build.args(["--package", "ev-bench", "--package", "ev-handler"]);
    ensure!(build.current_dir(root()).status()?.success(), "the benches do not build");

    let mut run = cargo::command();
    run.args(["run", "--quiet", "--locked", "--release", "--package", "ev-bench"]);
    run.args(["--bin", "ev-bench", "--"]);
    if let Some(path) = &args.json {
        // Relative to where the chore was called, not to the root.
        run.arg("--json").arg(std::path::absolute(path)?);
    }
    run.args(args.bars.then_some("--bars")).args(args.quick.then_some("--quick"));
    let only: Vec<&str> = args.subjects.iter().chain(&args.only).map(String::as_str).collect();
    if !only.is_empty() {
        run.args(["--only", &only.join(",")]);
    }
    let status = run.current_dir(root()).status().context("failed to run the benches")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
